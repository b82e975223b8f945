/**
 * Changes of what networks say, joined: to carry one out may cost a dozen system calls in the guest's name, and a router can
 * say something else a hundred thousand times a second.
 *
 * @module
 */

import { type Instant, later, MILLISECOND, NEVER } from "../../stack/time.ts";

/** Between two times that changes are carried out. */
export const CHANGE_INTERVAL = 250 * MILLISECOND;

/** Carries changes out: the first at once, more of them together. */
export class Changes {
  readonly #carryOut: () => void;
  #pending = false;
  #nextAt: Instant = 0 as Instant;

  constructor(carryOut: () => void) {
    this.#carryOut = carryOut;
  }

  /** Something is different. */
  note(): void {
    this.#pending = true;
  }

  pollAt(): Instant {
    return this.#pending ? this.#nextAt : NEVER;
  }

  poll(now: Instant): void {
    if (now >= this.pollAt()) this.settle(now);
  }

  /** Does not wait: somebody is about to look. */
  settle(now: Instant): void {
    if (!this.#pending) return;
    this.#pending = false;
    this.#nextAt = later(now, CHANGE_INTERVAL);
    this.#carryOut();
  }
}
