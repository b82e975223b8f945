/**
 * Notices that a wire which has something to move moves nothing. It costs a comparison a turn while all is well, and looks at
 * how much was moved only when it is time to judge.
 *
 * @module
 */

import { type Instant, later, NEVER, SECOND } from "../../stack/time.ts";

/** This long without progress is a stall; it is noticed after one to two times that. */
export const STALL = 10 * SECOND;

/** One direction of one wire. */
export class StallWatch {
  #checkAt: Instant = NEVER;
  #progress = -1;
  #since: Instant = NEVER;

  /** Since when nothing has moved; NEVER: it is not known of any stall. */
  get since(): Instant {
    return this.#since;
  }

  /** What the wire is like now. True: a stall is over. */
  look(waits: boolean, now: Instant): boolean {
    if (waits) {
      if (this.#checkAt === NEVER) this.#checkAt = later(now, STALL);
      return false;
    }
    const over = this.#since !== NEVER;
    this.#checkAt = this.#since = NEVER;
    this.#progress = -1;
    return over;
  }

  /** When to {@linkcode judge}. */
  pollAt(): Instant {
    return this.#checkAt;
  }

  /**
   * @param progress grows with whatever moves
   * @returns whether a stall has begun
   */
  judge(progress: number, now: Instant): boolean {
    const still = progress === this.#progress;
    const begun = still && this.#since === NEVER;
    if (begun) this.#since = later(now, -STALL);
    else if (!still) this.#since = NEVER;
    this.#progress = progress;
    this.#checkAt = later(now, STALL);
    return begun;
  }
}
