/**
 * A token bucket: what may happen at most so often (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
 *
 * @module
 */

import { type Instant, SECOND } from "../time.ts";

/** So many events per second, so many at once. */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: Instant | undefined = undefined;

  /** @param rate events per second @param burst most events at one instant; the bucket starts full */
  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes one token; false if there is none. */
  take(now: Instant): boolean {
    if (this.#filledAt !== undefined && now > this.#filledAt) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#rate / SECOND);
    }
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
