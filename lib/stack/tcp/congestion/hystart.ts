/**
 * HyStart++ (RFC 9406): leaves slow start when the delay rises, before the queue overflows.
 *
 * ```text
 *  slow start ── RTT of the round ≥ last round's + η ──► conservative slow start (a quarter of the pace, 5 rounds)
 *       ▲                                                   │            │
 *       └── RTT fell below the baseline: it was jitter ─────┘            └──► congestion avoidance,
 *                                                                             at once if the RTT rises by η again
 * ```
 *
 * A round is one window of data. The RFC marks its end with a sequence number; counting delivered bytes comes to the
 * same and needs none.
 *
 * @module
 */

import { type Microseconds, MILLISECOND } from "../../time.ts";

// RFC 9406 section 4.3, recommended values.
const MIN_RTT_THRESH: Microseconds = 4 * MILLISECOND;
const MAX_RTT_THRESH: Microseconds = 16 * MILLISECOND;
const MIN_RTT_DIVISOR = 8;
const N_RTT_SAMPLE = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;

/** RttThresh: by how much the delay must rise. */
function threshold(rtt: Microseconds): Microseconds {
  return Math.max(MIN_RTT_THRESH, Math.min(rtt / MIN_RTT_DIVISOR, MAX_RTT_THRESH));
}

/** The slow start of one connection, until it is over for good. */
export class HyStart {
  /** Whether slow start has ended. "HyStart++ ... is only used for the initial slow start" (section 4.3). */
  done = false;
  #lastMin = Infinity;
  #currentMin = Infinity;
  #samples = 0;
  /** Bytes of the round that are not yet acknowledged. */
  #left = 0;
  #conservative = false;
  #baseline = Infinity;
  #rounds = 0;

  /** A measurement; before the `onAck` of the same ACK. */
  onRttSample(rtt: Microseconds): void {
    if (this.done) return;
    this.#samples++;
    if (rtt < this.#currentMin) this.#currentMin = rtt;
  }

  /** How much the window may grow for `acked` bytes. Sets `done` when congestion avoidance shall begin. */
  onAck(acked: number, inFlight: number): number {
    if (this.#left <= 0) this.#startRound(inFlight);
    this.#left -= acked;
    if (this.#samples >= N_RTT_SAMPLE && this.#currentMin < Infinity) this.#judge();
    if (!this.#conservative) return acked;
    // The last round of conservative slow start ends here, not when the next one starts: its data is delivered.
    if (this.#left <= 0 && ++this.#rounds >= CSS_ROUNDS) this.done = true;
    return acked / CSS_GROWTH_DIVISOR;
  }

  #startRound(inFlight: number): void {
    this.#left = inFlight;
    this.#lastMin = this.#currentMin;
    this.#currentMin = Infinity;
    this.#samples = 0;
  }

  #judge(): void {
    if (this.#conservative) {
      // "if (currentRoundMinRTT < cssBaselineMinRtt)": the rise was jitter, resume slow start.
      if (this.#currentMin < this.#baseline) {
        this.#conservative = false;
        this.#baseline = Infinity;
      } else if (this.#currentMin >= this.#baseline + threshold(this.#baseline)) {
        // Not in the RFC: even at a quarter of the pace the queue has grown as much again, so four more rounds would only
        // fill it. A queue of seconds would take them.
        this.done = true;
      }
      return;
    }
    if (this.#lastMin === Infinity) return;
    if (this.#currentMin < this.#lastMin + threshold(this.#lastMin)) return;
    this.#baseline = this.#currentMin;
    this.#conservative = true;
    this.#rounds = 0;
  }
}
