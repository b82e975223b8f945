/**
 * Pacing: what the window lets out at once leaves spread over the round trip, so that the queue of the bottleneck need
 * not hold it.
 *
 * ```text
 *   rate = gain · cwnd / srtt        a bucket: what leaves moves `nextAt` on by length / rate,
 *                                    which lags behind the clock by one burst at most
 * ```
 *
 * The gain is more than one, lest the pacer and not the acknowledgements set the speed (Linux' `sk_pacing_rate`). In slow
 * start it is not two: acknowledgements that come back at the rate of the last round trip are answered by twice as much
 * anyway, and what is beyond that is a burst. A path whose round trips are shorter than the timers of its host are exact is
 * not paced, and the first flight after a pause leaves as it always did (Linux' fq lets ten segments pass as well).
 *
 * @module
 */

import { type Instant, type Microseconds, MILLISECOND, NEVER, SECOND } from "../time.ts";

/** Round trips below this are not paced. */
export const LEAST_PACED_RTT: Microseconds = 2 * MILLISECOND;
/** Linux' `tcp_pacing_ca_ratio`. */
const GAIN = 1.2;
/** Enough to double in a round trip: a rate of `gain` windows, each of which grows while it is sent. */
const SLOW_START_GAIN = 1.3;
/** Segments that a sender which was slower than its rate may send at once: what every queue on the way bears (RFC 6928). */
const BURST_SEGMENTS = 10;
/** The same in slow start, so that short transfers take no longer than without pacing. */
const SLOW_START_BURST_SEGMENTS = 32;
/** Most of one packet: what passes in this time (Linux' `tcp_tso_autosize`), and never less than two segments. */
const PIECE: Microseconds = MILLISECOND;

/** No segment waits longer, whatever round trip a peer pretends (Linux' fq has the same bound). */
const LONGEST_WAIT: Microseconds = SECOND;

/** The departure times of one sender. */
export class Pacer {
  /** When the next segment may leave, NEVER unless one waits for it. */
  wakeAt: Instant = NEVER;
  #nextAt = 0 as Instant;
  /** Bytes per microsecond; 0: as fast as they come. */
  #rate = 0;
  /** By how much `#nextAt` may lag behind the clock. */
  #lag: Microseconds = 0;

  /** The window or the round trip changed. All in their usual units; round trips are 0 if unknown. */
  update(cwnd: number, ssthresh: number, srtt: Microseconds, minRtt: Microseconds, mss: number): void {
    if (minRtt < LEAST_PACED_RTT || cwnd <= BURST_SEGMENTS * mss) {
      this.#rate = 0;
      return;
    }
    const slowStart = cwnd < ssthresh;
    this.#rate = (slowStart ? SLOW_START_GAIN : GAIN) * cwnd / srtt;
    this.#lag = Math.max(PIECE, (slowStart ? SLOW_START_BURST_SEGMENTS : BURST_SEGMENTS) * mss / this.#rate);
  }

  /** Most bytes of one packet, so that a super-packet is no burst. */
  piece(mss: number): number {
    return this.#rate === 0 ? Infinity : Math.max(2 * mss, this.#rate * PIECE);
  }

  /** Whether something may leave; if not, `wakeAt` says when. */
  allows(now: Instant): boolean {
    if (this.#rate === 0 || this.#nextAt <= now) {
      this.wakeAt = NEVER;
      return true;
    }
    this.wakeAt = this.#nextAt;
    return false;
  }

  /** `bytes` leave. */
  sent(bytes: number, now: Instant): void {
    if (this.#rate === 0) return;
    const next = Math.max(this.#nextAt, now - this.#lag) + bytes / this.#rate;
    this.#nextAt = Math.min(next, now + LONGEST_WAIT) as Instant;
  }

  /** The time has come; whoever waited asks again. */
  onTimer(now: Instant): void {
    if (this.wakeAt <= now) this.wakeAt = NEVER;
  }
}
