/**
 * What all window-based congestion controls share: the initial window, slow start, the states in which the window
 * stands still, undo, and restart after idle. The reduction factor and congestion avoidance are the subclass's.
 *
 * @module
 */

import type { Instant, Microseconds } from "../../time.ts";
import type { CongestionControl, CongestionName, CongestionOptions } from "./congestion.ts";

/** No window grows beyond RFC 7323's largest receive window. */
export const MAX_WINDOW = 1 << 30;

/** Of what a path and its full queue hold, how much is sent next. */
const DRAINED = 0.85;

/** RFC 6928 section 2: "min (10*MSS, max (2*MSS, 14600))". */
export function initialWindow(mss: number): number {
  return Math.min(10 * mss, Math.max(2 * mss, 14_600));
}

/** Slow start, and the frame for one avoidance algorithm. */
export abstract class WindowControl implements CongestionControl {
  abstract readonly name: CongestionName;
  cwnd: number;
  ssthresh = Infinity;

  protected mss: number;
  /** When the last ACK came: the start of an idle period. */
  protected lastAckAt: Instant | undefined;

  /** IW of RFC 6928, and RW of RFC 5681 section 4.1. */
  #initialWindow: number;
  readonly #fixedInitialWindow: boolean;
  /** Between `onEnterRecovery` and `onExitRecovery`: the window stands still. */
  #recovering = false;
  /** Slow start ended in this recovery. */
  #overshot = false;
  /** Between `onTimeout` and the first ACK after it. */
  #timedOut = false;
  #priorCwnd = 0;
  #priorSsthresh = Infinity;
  /** Fractions of a byte of growth not yet given out; `cwnd` stays whole. */
  #remainder = 0;

  constructor(options: CongestionOptions) {
    this.mss = options.mss;
    this.#fixedInitialWindow = options.initialWindow !== undefined;
    this.#initialWindow = options.initialWindow ?? initialWindow(options.mss);
    this.cwnd = this.#initialWindow;
  }

  /** Growth of `cwnd` in bytes, with fractions, for `acked` bytes in congestion avoidance. */
  protected abstract avoid(acked: number, now: Instant, srtt: Microseconds): number;
  /** The new `ssthresh` in bytes after congestion; also the place to remember where it happened. */
  protected abstract reduced(): number;
  /** The window was fitted to a path that was seen to hold `bytes`, its queue included. */
  protected abstract fitted(bytes: number): void;
  /** Saves the subclass's own state so that `restore` brings it back. */
  protected abstract save(): void;
  protected abstract restore(): void;
  /** A timeout says that whatever was known about the path is wrong. */
  protected abstract forget(): void;
  /** Time passed in which the window was not used. */
  protected abstract stand(by: Microseconds): void;
  /** Growth of `cwnd` in bytes for `acked` bytes in slow start; not more than up to `ssthresh`. */
  protected slowStart(acked: number, _now: Instant, _inFlight: number): number {
    return acked;
  }

  onAck(acked: number, now: Instant, srtt: Microseconds, inFlight: number): void {
    const since = this.lastAckAt === undefined ? 0 : now - this.lastAckAt;
    this.lastAckAt = now;
    if (acked <= 0 || this.#recovering) return;
    this.#timedOut = false;
    // RFC 7661 section 4.3: a window of which less than half is used is not validated, and must not grow. Half, since a
    // sender that waits for a third of the window in order to send it in one piece uses it all the same.
    if (this.cwnd >= 2 * inFlight) return this.stand(since);
    let left = acked;
    if (this.cwnd < this.ssthresh) {
      // RFC 3465 limits the growth per ACK to 2·SMSS against stretched ACKs. Super-packets are acknowledged 64 KiB at
      // a time, and the limit would starve them; Linux and RFC 9406 (L = infinity with pacing or small bursts) drop it.
      const room = this.ssthresh - this.cwnd;
      const growth = this.slowStart(left, now, inFlight);
      this.#grow(Math.min(growth, room));
      if (growth < room) return;
      left = growth - room;
      if (left <= 0) return;
    }
    this.#grow(this.avoid(left, now, srtt));
  }

  onRttSample(_rtt: Microseconds, _now: Instant): void {}

  onEnterRecovery(_inFlight: number, _now: Instant): void {
    if (this.#recovering) return;
    this.#overshot = this.cwnd < this.ssthresh;
    this.#reduce();
    this.#recovering = true;
    this.cwnd = this.ssthresh;
  }

  onSurvivors(bytes: number): void {
    if (!this.#recovering || !this.#overshot) return;
    // Not less than a half: that much arrived one round trip before. All of it would keep the queue full.
    const held = Math.max(bytes, this.#priorCwnd >> 1);
    const fit = Math.max(Math.round(held * DRAINED), 2 * this.mss);
    if (fit >= this.ssthresh) return;
    this.ssthresh = this.cwnd = fit;
    this.fitted(held);
  }

  onExitRecovery(_now: Instant): void {
    // RFC 6675 leaves with the window of the entry; after a timeout slow start goes on from where it is.
    if (this.#recovering) this.cwnd = Math.max(this.mss, this.ssthresh);
    this.#recovering = false;
    this.#timedOut = false;
  }

  onTimeout(_inFlight: number, _now: Instant): void {
    // RFC 5681 section 3.1: "when ... the given segment has already been retransmitted by way of the retransmission
    // timer at least once, the value of ssthresh is held constant". Nor is one loss paid twice when recovery fails.
    if (!this.#timedOut && !this.#recovering) this.#reduce();
    this.#recovering = false;
    this.#timedOut = true;
    this.#remainder = 0;
    this.forget();
    this.cwnd = this.mss; // "cwnd MUST be set to no more than the loss window, LW, which equals 1 full-sized segment"
  }

  onEcn(_inFlight: number, _now: Instant): void {
    if (this.#recovering) return;
    this.#reduce();
    this.cwnd = this.ssthresh;
  }

  undo(): void {
    if (this.#priorCwnd === 0) return;
    this.cwnd = Math.max(this.cwnd, this.#priorCwnd);
    this.ssthresh = Math.max(this.ssthresh, this.#priorSsthresh);
    this.#priorCwnd = 0;
    this.#recovering = false;
    this.#timedOut = false;
    this.restore();
  }

  onIdleRestart(now: Instant, rto: Microseconds): void {
    if (this.lastAckAt === undefined || rto <= 0) return;
    let idle = now - this.lastAckAt;
    this.stand(idle);
    this.lastAckAt = now;
    // Linux' tcp_cwnd_restart: remember three quarters of the window, and halve it once per RTO down to the restart
    // window, "RW = min(IW, cwnd)" (RFC 5681 section 4.1).
    const restart = Math.min(this.#initialWindow, this.cwnd);
    if (idle > rto) this.ssthresh = Math.max(this.ssthresh, this.cwnd - (this.cwnd >> 2));
    while ((idle -= rto) > 0 && this.cwnd > restart) this.cwnd >>= 1;
    this.cwnd = Math.max(this.cwnd, restart);
  }

  setMss(mss: number): void {
    this.mss = mss;
    if (!this.#fixedInitialWindow) this.#initialWindow = initialWindow(mss);
    this.cwnd = Math.max(this.cwnd, mss);
  }

  #reduce(): void {
    this.#priorCwnd = this.cwnd;
    this.#priorSsthresh = this.ssthresh;
    this.#remainder = 0;
    this.save();
    this.ssthresh = Math.max(Math.round(this.reduced()), 2 * this.mss); // RFC 5681 (4)
  }

  #grow(bytes: number): void {
    this.#remainder += bytes;
    const whole = Math.floor(this.#remainder);
    this.#remainder -= whole;
    this.cwnd = Math.min(this.cwnd + whole, MAX_WINDOW);
  }
}
