/**
 * Ceilings on what a hostile peer can make us send.
 *
 * @module
 */

import { type Instant, type Microseconds, SECOND } from "../time.ts";

/** At most `limit` per second, all connections together (RFC 5961 section 7: "ACK throttling"). */
export class PerSecond {
  readonly #limit: number;
  #second = -1;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether one more is allowed, and if so, counts it. */
  allow(now: Instant): boolean {
    const second = Math.floor(now / SECOND);
    if (second !== this.#second) {
      this.#second = second;
      this.#used = 0;
    }
    if (this.#used >= this.#limit) return false;
    this.#used++;
    return true;
  }
}

/** Linux' `tcp_invalid_ratelimit`: how often one connection answers segments that are out of its window. */
export const OUT_OF_WINDOW_INTERVAL: Microseconds = 500_000;
