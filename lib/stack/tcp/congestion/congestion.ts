/**
 * What a congestion control algorithm is: numbers in, a window out.
 *
 * It owns `cwnd` and `ssthresh` and nothing else: no connection, no sequence numbers, no clock. The sender tells it what
 * happened in bytes and microseconds; *which* bytes were lost is the business of loss recovery.
 *
 * ```text
 *             ┌───────── onAck ─────────┐
 *             ▼                         │
 *   slow start / avoidance ── onEnterRecovery, onEcn ──► recovery ── onExitRecovery ─┐
 *             ▲  ▲                      │                   │                        │
 *             │  └──── onTimeout ◄──────┴───────────────────┘                        │
 *             └──────────────────────────────────────────────────────────────────────┘
 * ```
 *
 * `undo()` takes back the last reduction when DSACK, F-RTO or Eifel show that nothing was lost (RFC 3522, 5682, 9438
 * section 4.9). Reductions are counted from `cwnd`, as in Linux, and not from FlightSize as in RFC 5681 (4): growth stops
 * while the window is not used (RFC 7661), so that the two stay close, and a sender that has just been short of data is
 * not punished twice.
 *
 * @module
 */

import type { Instant, Microseconds } from "../../time.ts";
import { Cubic } from "./cubic.ts";
import { Reno } from "./reno.ts";

/** The algorithms there are. */
export type CongestionName = "cubic" | "reno";

/** The congestion control of one connection. Windows are in bytes. */
export interface CongestionControl {
  readonly name: CongestionName;
  /** Congestion window; a whole number, at least one segment. */
  cwnd: number;
  /** Slow start threshold; Infinity until the first loss. */
  ssthresh: number;

  /** New data was acknowledged, cumulatively or by SACK, outside fast recovery (and after a timeout, within it).
   * @param ackedBytes newly acknowledged by this ACK
   * @param srtt smoothed round-trip time, 0 if unknown
   * @param inFlight most bytes that were outstanding at once in the window of data that this ACK belongs to: the window
   * grows only while it is used
   */
  onAck(ackedBytes: number, now: Instant, srtt: Microseconds, inFlight: number): void;
  /** A round-trip time was measured; before the `onAck` of the same ACK. HyStart++ sleeps without it. */
  onRttSample(rtt: Microseconds, now: Instant): void;
  /** Loss was detected by SACK, RACK or duplicate ACKs: once per window of data. Reduces `ssthresh` and `cwnd`. */
  onEnterRecovery(inFlight: number, now: Instant): void;
  /** In recovery: of what was in flight at its entry, no more than `bytes` got through. Slow start that filled the path and
   * its queue twice over learns from it what they hold; elsewhere the reduction at the entry was enough. */
  onSurvivors(bytes: number): void;
  /** Everything outstanding at the entry was acknowledged. Also ends the loss state after a timeout. */
  onExitRecovery(now: Instant): void;
  /** The retransmission timer expired: `cwnd` is one segment. Expiries in a row hold `ssthresh` (RFC 5681 section 3.1). */
  onTimeout(inFlight: number, now: Instant): void;
  /** ECN-Echo: RFC 3168 section 6.1.2, "react to ... at most once per round-trip time" is the caller's duty. */
  onEcn(inFlight: number, now: Instant): void;
  /** The last reduction was a mistake. Without a reduction to take back it does nothing. */
  undo(): void;
  /** Data is about to be sent after the connection was idle for at least one `rto` (RFC 5681 section 4.1). */
  onIdleRestart(now: Instant, rto: Microseconds): void;
  /** The maximum segment size changed (path MTU discovery). The window in bytes stays, but for one segment at least. */
  setMss(mss: number): void;
}

/** Parameters of a fresh algorithm. */
export interface CongestionOptions {
  /** Sender's maximum segment size in bytes, headers and options not counted. */
  readonly mss: number;
  /** Initial window in bytes; RFC 6928's if absent. One `mss` after a lost SYN (RFC 6298 section 5, RFC 5681 3.1). */
  readonly initialWindow?: number;
  /** CUBIC: leave slow start on rising delay (RFC 9406). True if absent. */
  readonly hystart?: boolean;
}

/** The algorithm of that name, fresh. */
export function createCongestionControl(name: CongestionName, options: CongestionOptions): CongestionControl {
  return name === "reno" ? new Reno(options) : new Cubic(options);
}
