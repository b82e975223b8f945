/**
 * A rate that several guests share, so that none of them can take it all.
 *
 * One guest has a token bucket. Several have windows of {@linkcode WINDOW}, and within each a `FairShare` of what
 * the rate allows: one greedy guest gets half of it, two get a third each, and something is left for whoever comes.
 *
 * @module
 */

import { FairShare } from "../fair_share.ts";
import { type Instant, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Whose an address is, where many guests are; they are numbers, and none is below zero but who is nobody's. */
export interface Tenants {
  /** Absent: there is one guest, or none. */
  of?: ((address: IpAddress) => number) | undefined;
}

/** How long a share is counted. */
export const WINDOW = SECOND / 10;

/** So many events per second. */
export class FairRate {
  readonly #bucket: TokenBucket;
  readonly #tenants: Tenants;
  readonly #share: FairShare;
  #window = -1;

  /** @param burst most events at one instant, while there is one guest */
  constructor(perSecond: number, burst: number, tenants: Tenants = {}) {
    this.#bucket = new TokenBucket(perSecond, burst);
    this.#tenants = tenants;
    this.#share = new FairShare(Math.max(2, perSecond * WINDOW / SECOND));
  }

  /** Takes one event on behalf of `guest`; false if there is none for it. */
  take(guest: IpAddress, now: Instant): boolean {
    const { of } = this.#tenants;
    if (of === undefined) return this.#bucket.take(now);
    const window = Math.floor(now / WINDOW);
    if (window !== this.#window) {
      this.#window = window;
      this.#share.clear();
    }
    const tenant = of(guest);
    if (!this.#share.admits(tenant)) return false;
    this.#share.add(tenant);
    return true;
  }
}
