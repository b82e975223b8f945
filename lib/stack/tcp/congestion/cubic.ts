/**
 * CUBIC (RFC 9438): the window is a cubic function of the time since the last congestion.
 *
 * ```text
 *  W(t) = C·(t − K)³ + W_max      W_max: window at the last congestion, K: when W(t) is back there
 *
 *  cwnd                                  ·
 *  W_max ─ ─ ─ ─ ─ ─ ─ ──────────── ─ ─·─ ─       concave, a plateau, then convex: probing for more
 *                 ·
 *             ·
 *  β·W_max ·
 *          0                  K            t
 * ```
 *
 * Independence of the round-trip time is the point, and the flaw on short paths: there, a Reno flow would grow faster.
 * `W_est` is what Reno with the same average would have; the larger one counts (section 4.3). Windows are in segments
 * inside this file, as in the RFC, and in bytes outside.
 *
 * Time during which the window was not used does not count (section 4.2: "t ... MUST NOT include periods during which
 * cwnd has not been updated due to application-limited behaviour"): the epoch is moved forwards by it.
 *
 * @module
 */

import { type Instant, later, type Microseconds, SECOND } from "../../time.ts";
import type { CongestionOptions } from "./congestion.ts";
import { HyStart } from "./hystart.ts";
import { WindowControl } from "./window.ts";

/** RFC 9438 section 4.6: "β_cubic SHOULD be set to 0.7". */
const BETA = 0.7;
/** RFC 9438 section 5: "C SHOULD be set to 0.4", segments per second cubed. */
const C = 0.4;
/** Section 4.3: α of a Reno that decreases by β and has the average of the standard one. */
const ALPHA = 3 * (1 - BETA) / (1 + BETA);

/** RFC 9438's congestion control. */
export class Cubic extends WindowControl {
  override readonly name = "cubic";

  /** Start of the current congestion avoidance; undefined outside it. */
  #epoch: Instant | undefined;
  #k = 0;
  #wMax = 0;
  #wEst = 0;
  /** Window just before the last reduction. */
  #prior = 0;
  readonly #hystart: HyStart | undefined;

  #saved = { epoch: undefined as Instant | undefined, k: 0, wMax: 0, wEst: 0, prior: 0 };

  constructor(options: CongestionOptions) {
    super(options);
    if (options.hystart !== false) this.#hystart = new HyStart();
  }

  override onRttSample(rtt: Microseconds): void {
    if (this.#hystart !== undefined) this.#hystart.onRttSample(rtt);
  }

  protected override slowStart(acked: number, _now: Instant, inFlight: number): number {
    const hystart = this.#hystart;
    // A finite threshold means that there was congestion: the slow start is not the initial one.
    if (hystart === undefined || hystart.done || this.ssthresh !== Infinity) return acked;
    const growth = hystart.onAck(acked, inFlight);
    if (hystart.done) this.ssthresh = this.cwnd;
    return growth;
  }

  protected override avoid(acked: number, now: Instant, srtt: Microseconds): number {
    const cwnd = this.cwnd / this.mss;
    const segments = acked / this.mss;
    if (this.#epoch === undefined) this.#begin(now, cwnd);
    const elapsed = now - this.#epoch!;
    // Section 4.3: W_est = W_est + α·segments_acked/cwnd; "once W_est reaches cwnd_prior, α SHOULD be set to 1".
    this.#wEst += (this.#wEst >= this.#prior ? 1 : ALPHA) * segments / cwnd;
    if (this.#cubic(elapsed) < this.#wEst) return Math.max(0, this.#wEst - cwnd) * this.mss;
    // Section 4.2: the target is where the curve will be one round-trip later, within [cwnd, 1.5·cwnd].
    const target = Math.min(Math.max(this.#cubic(elapsed + srtt), cwnd), 1.5 * cwnd);
    return (target - cwnd) / cwnd * acked;
  }

  protected override reduced(): number {
    const cwnd = this.cwnd / this.mss;
    this.#prior = cwnd;
    // Section 4.7, fast convergence: a flow that did not get back to W_max makes room for newcomers.
    this.#wMax = cwnd < this.#wMax ? cwnd * (1 + BETA) / 2 : cwnd;
    this.#epoch = undefined;
    return this.cwnd * BETA;
  }

  protected override fitted(bytes: number): void {
    this.#wMax = this.#prior = bytes / this.mss;
  }

  protected override save(): void {
    const saved = this.#saved;
    saved.epoch = this.#epoch;
    saved.k = this.#k;
    saved.wMax = this.#wMax;
    saved.wEst = this.#wEst;
    saved.prior = this.#prior;
  }

  protected override restore(): void {
    const saved = this.#saved;
    this.#epoch = saved.epoch;
    this.#k = saved.k;
    this.#wMax = saved.wMax;
    this.#wEst = saved.wEst;
    this.#prior = saved.prior;
  }

  protected override forget(): void {
    // Section 4.8: in the first avoidance after a timeout "K is set to 0, and W_max is set to the congestion window
    // size at the beginning of the current congestion avoidance stage". A W_max of 0 is below any window: see #begin.
    this.#epoch = undefined;
    this.#wMax = 0;
  }

  protected override stand(by: Microseconds): void {
    if (this.#epoch !== undefined) this.#epoch = later(this.#epoch, by);
  }

  #begin(now: Instant, cwnd: number): void {
    this.#epoch = now;
    this.#wEst = cwnd;
    if (cwnd < this.#wMax) {
      this.#k = cubeRoot((this.#wMax - cwnd) / C);
    } else {
      this.#k = 0;
      this.#wMax = cwnd;
    }
  }

  #cubic(elapsed: Microseconds): number {
    const t = elapsed / SECOND - this.#k;
    return C * t * t * t + this.#wMax;
  }
}

/**
 * The cube root of a number ≥ 0, to the last bit or two.
 *
 * Not `Math.cbrt`: engines take it from different libraries, whose last bits differ, and then a simulation does not
 * give the same result on both. Plain arithmetic does.
 */
export function cubeRoot(x: number): number {
  if (!(x > 0)) return 0;
  let scale = 1;
  while (x > 8) {
    x /= 8;
    scale *= 2;
  }
  while (x < 1) {
    x *= 8;
    scale /= 2;
  }
  let y = 1 + (x - 1) / 7; // the chord from 1 to 8; Newton's steps then double the digits
  for (let i = 0; i < 5; i++) y -= (y - x / (y * y)) / 3;
  return y * scale;
}
