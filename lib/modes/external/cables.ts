/**
 * Whether the cables of the guest's own interfaces are in: a guest with a kernel is told by its interface that a provider is
 * gone. Not of short gaps, in which nothing need be lost: what the kernel sends without a cable, it drops.
 *
 * @module
 */

import { earlier, type Instant, later, NEVER, SECOND } from "../../stack/time.ts";

/** A gap that is longer is told of. */
const SHORT_GAP = SECOND;

/** A wire to a provider. */
export interface Wired {
  /** Since when there is nobody; NEVER: there is. */
  readonly lostAt: Instant;
}

/** Keeps cables as they should be. */
export class Cables {
  readonly #wires: readonly Wired[];
  readonly #plug: (index: number, isIn: boolean) => void;
  readonly #isOut = new Set<number>();

  /** @param plug plugs the cable of a wire in, or out; all are in at first */
  constructor(wires: readonly Wired[], plug: (index: number, isIn: boolean) => void) {
    this.#wires = wires;
    this.#plug = plug;
  }

  pollAt(): Instant {
    return this.#wires.reduce<Instant>(
      (at, { lostAt }, i) => this.#isOut.has(i) ? at : earlier(at, later(lostAt, SHORT_GAP)),
      NEVER,
    );
  }

  poll(now: Instant): void {
    for (const [i, { lostAt }] of this.#wires.entries()) {
      const out = now >= later(lostAt, SHORT_GAP);
      if (out === this.#isOut.has(i)) continue;
      if (out) this.#isOut.add(i);
      else this.#isOut.delete(i);
      this.#plug(i, !out);
    }
  }
}
