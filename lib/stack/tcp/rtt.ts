/**
 * Round-trip time and retransmission timeout: RFC 6298 with Linux' bounds.
 *
 * RFC 6298 section 2 gives the smoothing. It departs from the RFC, as Linux does, in the lower bound: (2.4) says "if
 * it is less than 1 second, then the RTO SHOULD be rounded up to 1 second"; Linux bounds the *variance* term by
 * `tcp_rto_min` (200 ms), so that RTO = SRTT + max(200 ms, 4·RTTVAR). A path with a constant delay of a second is then
 * not retransmitted spuriously, and a path of a millisecond recovers five times sooner.
 *
 * Karn's rule (section 3: no samples from retransmitted segments, unless timestamps tell them apart) is the caller's
 * duty: who calls `sample` vouches for it.
 *
 * @module
 */

import type { Instant, Microseconds } from "../time.ts";
import { MILLISECOND, SECOND } from "../time.ts";
import { WindowedMin } from "./windowed_min.ts";

/** Bounds of the retransmission timeout. */
export interface RtoLimits {
  /** Least that the variance term counts for. */
  readonly min: Microseconds;
  /** RFC 6298 (2.5): "A maximum value MAY be placed on RTO provided it is at least 60 seconds". */
  readonly max: Microseconds;
  /** RFC 6298 (2.1): "the sender SHOULD set RTO <- 1 second" until there is a measurement. */
  readonly initial: Microseconds;
}

/** Linux' values: `TCP_RTO_MIN`, `TCP_RTO_MAX`, `TCP_TIMEOUT_INIT`. */
export const RTO_LIMITS: RtoLimits = { min: 200 * MILLISECOND, max: 120 * SECOND, initial: SECOND };

/** Linux' `tcp_min_rtt_wlen`: how long a minimum is believed. Long enough to outlive a standing queue. */
export const MIN_RTT_WINDOW: Microseconds = 300 * SECOND;

/** The estimator of one connection. All values are microseconds. */
export class RttEstimator {
  /** Smoothed round-trip time; 0 until the first sample. */
  srtt: Microseconds = 0;
  /** Its mean deviation. */
  rttvar: Microseconds = 0;
  /** The last sample. */
  latest: Microseconds = 0;
  /** The timeout to arm now, with back-off. */
  rto: Microseconds;
  /** How many times the timeout was doubled since the last progress. */
  backoffs = 0;

  readonly #limits: RtoLimits;
  readonly #minimum = new WindowedMin(MIN_RTT_WINDOW);

  constructor(limits: RtoLimits = RTO_LIMITS) {
    this.#limits = limits;
    this.rto = limits.initial;
  }

  /** The minimum of the last five minutes, for RACK's reordering window (RFC 8985 section 6.2); 0 if unknown. */
  get minRtt(): Microseconds {
    return this.#minimum.value;
  }

  /** Takes one measurement, and ends back-off: it proves that the path delivers (RFC 6298 section 5, last note). */
  sample(rtt: Microseconds, now: Instant): void {
    // A clock of whole turns measures 0 on a fast path; 0 would read as "never measured".
    const r = rtt >= 1 ? rtt : 1;
    this.latest = r;
    this.#minimum.sample(r, now);
    if (this.srtt === 0) {
      // (2.2) SRTT <- R, RTTVAR <- R/2
      this.srtt = r;
      this.rttvar = r / 2;
    } else {
      // (2.3) RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R|, then SRTT <- 7/8 SRTT + 1/8 R, in this order.
      this.rttvar += (Math.abs(this.srtt - r) - this.rttvar) / 4;
      this.srtt += (r - this.srtt) / 8;
    }
    this.backoffs = 0;
    this.rto = this.#base();
  }

  /** RFC 6298 (5.5): "The host MUST set RTO <- RTO * 2 ("back off the timer")". */
  backoff(): void {
    this.backoffs++;
    this.rto = Math.min(this.rto * 2, this.#limits.max);
  }

  /** RFC 6069 section 3: "if an ICMP unreachable message arrives ... undo one retransmission timer backoff". */
  undoOneBackoff(): void {
    if (this.backoffs === 0) return;
    this.backoffs--;
    this.rto = Math.min(this.#base() * 2 ** this.backoffs, this.#limits.max);
  }

  /** The timeouts were spurious, or the path answers again: what the samples alone say. */
  undoBackoff(): void {
    this.backoffs = 0;
    this.rto = this.#base();
  }

  #base(): Microseconds {
    if (this.srtt === 0) return this.#limits.initial;
    return Math.min(Math.round(this.srtt + Math.max(this.#limits.min, 4 * this.rttvar)), this.#limits.max);
  }
}
