/**
 * Between the program's end and ours.
 *
 * A program may write its last bytes, close, and exit at once; the kernel of an ordinary host delivers them all the
 * same. Here they may still be in the guest's kernel, on the wire or with the host socket's back-pressure in our queues,
 * so the data plane outlives the program until the guest has ended every connection and the host's kernel has it all.
 * That is bounded: a process that the program left behind may hold connections for ever.
 *
 * @module
 */

import { earlier, type Instant, later, SECOND } from "../stack/time.ts";

/** Turns that are made in any case: what the wire held when the program ended comes out in so many batches. */
const TURNS = 4;
/** Without a byte or an end for this long, nothing is on the way. */
const STILL = 2 * SECOND;
/** However much moves. */
const PATIENCE = 10 * SECOND;

/** Waits for connections to end. */
export class Drain {
  /** Exit status of the program. */
  readonly status: number;
  readonly #until: Instant;
  #turns = TURNS;
  #flows = -1;
  #bytes = -1;
  #movedAt: Instant;

  constructor(status: number, now: Instant) {
    this.status = status;
    this.#until = later(now, PATIENCE);
    this.#movedAt = now;
  }

  /** Whether there is nothing to wait for any more. Call once per turn. */
  over(left: { readonly flows: number; readonly bytes: number }, now: Instant): boolean {
    // The last of these turns decides: another wait would sleep for STILL, though nothing is left.
    if (this.#turns > 0 && --this.#turns > 0) return false;
    if (left.flows === 0) return true;
    if (left.flows !== this.#flows || left.bytes !== this.#bytes) {
      this.#flows = left.flows;
      this.#bytes = left.bytes;
      this.#movedAt = now;
    }
    return this.pollAt() <= now;
  }

  /** When to ask again though nothing happens. */
  pollAt(): Instant {
    return this.#turns > 0 ? 0 as Instant : earlier(later(this.#movedAt, STILL), this.#until);
  }
}
