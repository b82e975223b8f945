/**
 * The sending half of a connection: the queue, what of it may leave now, and what must leave again.
 *
 * ```text
 *        una                 nxt                    una + queue.length
 *         │  in flight        │  not yet sent        │
 *   ──────┴───────────────────┴──────────────────────┴─[FIN]
 *         └──────── window ──────────┘
 * ```
 *
 * The sender owns its numbers and knows no connection. It is driven by four calls: `write` fills the queue, `onAck` takes
 * what a segment said, `next` decides on one segment (its result is left in `plan…` fields: no object per segment), and
 * `onTimer` runs the one timer, which is a retransmission, loss probe, reordering or persist timer in turn.
 *
 * Rules it keeps, in the order in which `next` asks: a window probe that is due (RFC 9293 section 3.8.6.1); lost segments,
 * as far as recovery's limit allows (RFC 6675); a tail loss probe (RFC 8985 section 7); new data, within the peer's window,
 * the congestion window, the pace, sender-side silly window avoidance (RFC 1122 section 4.2.3.4) and Nagle's algorithm in Minshall's
 * variant, as Linux has it. SND.NXT only moves forwards; retransmissions are made from records.
 *
 * @module
 */

import { ChunkQueue } from "../buffer/chunk_queue.ts";
import type { PacketBuffer } from "../buffer/packet.ts";
import { type Instant, later, MILLISECOND, NEVER } from "../time.ts";
import type { TcpHeader } from "../wire/tcp.ts";
import {
  type CongestionControl,
  type CongestionName,
  createCongestionControl,
} from "./congestion/congestion.ts";
import { Pacer } from "./pacer.ts";
import { LossRecovery } from "./recovery.ts";
import { RTO_LIMITS, RttEstimator } from "./rtt.ts";
import { seqAdd, seqDiff, seqGe, seqGt, seqLt } from "./sequence.ts";
import { TailProbe } from "./tail_probe.ts";
import { UrgentSend } from "./urgent.ts";
import { WindowUsage } from "./window_usage.ts";

/** Records a connection may have in flight: what a peer with a tiny segment size can make us remember. */
export const MAX_RECORDS = 16_384;

/** RFC 1122 section 4.2.3.4: "the override timeout ... 0.1 - 1.0 seconds"; also Linux' ceiling for TCP_CORK. */
const OVERRIDE = 200 * MILLISECOND;
/** Paths with a shorter round trip are local: a memory bus, a virtual cable. */
const LOCAL_RTT = 500;

const Timer = { none: 0, retransmit: 1, probe: 2, reorder: 3, persist: 4 } as const;

/** What one acknowledgement did: bits of the result of {@linkcode Sender.onAck}. */
export const AckEffect = {
  /** SND.UNA moved. */
  advanced: 1,
  /** Our FIN was acknowledged. */
  finAcked: 2,
} as const;

/** The sending half. */
export class Sender {
  readonly queue: ChunkQueue = new ChunkQueue();
  readonly recovery: LossRecovery = new LossRecovery();
  readonly rtt: RttEstimator = new RttEstimator();
  readonly pacer: Pacer = new Pacer();
  readonly urgent: UrgentSend = new UrgentSend();
  readonly #tailProbe = new TailProbe();
  readonly #usage = new WindowUsage();
  readonly congestion: CongestionControl;

  /** SND.UNA, SND.NXT, and the peer's window, scaled. */
  una = 0;
  nxt = 0;
  window = 0;
  /** The largest window the peer ever offered. */
  maxWindow = 0;
  /** SND.WL1: sequence number of the segment that updated the window last. */
  #wl1 = 0;
  /** Payload bytes per segment, options already taken off. */
  mss: number;
  noDelay = false;
  cork = false;
  /** The user will write no more: FIN follows the queue. */
  finQueued = false;
  finSent = false;
  finAcked = false;

  // The segment that `next` decided on.
  planStart = 0;
  planLength = 0;
  planFin = false;
  planPush = false;
  planRetransmission = false;
  /** A window probe or keep-alive: no payload, one before SND.UNA. */
  planProbe = false;

  // Statistics for `ss -i`.
  bytesSent = 0;
  bytesAcked = 0;
  bytesRetransmitted = 0;
  retransmits = 0;
  probes = 0;
  spurious = 0;

  /** When `onTimer` wants to be called. */
  timerAt: Instant = NEVER;
  #timer: number = Timer.none;
  #retransmitAt = NEVER;
  #reorderAt = NEVER;
  /** Time-outs in a row without progress. */
  timeouts = 0;
  /** Window probes without an answer that opened the window. */
  persists = 0;
  /** Since when what is outstanding has made no progress. */
  stalledSince = 0 as Instant;

  /** {@linkcode MAX_RECORDS} held something back; for a counter, which resets it. */
  recordsFull = false;
  #probeDue = false;
  #forceDue = false;
  /** Nagle and silly window avoidance have waited long enough. */
  #override = false;
  /** End of the last segment smaller than the MSS (Minshall). */
  #smallEnd = 0;
  #lastSentAt = 0 as Instant;
  #ecnHigh = 0;
  #ecnReacted = false;
  /** CWR goes on the next new data (RFC 3168 section 6.1.2). */
  cwrDue = false;

  /** @param sequence the first byte: initial sequence number plus one */
  constructor(name: CongestionName, sequence: number, mss: number) {
    this.una = this.nxt = sequence | 0;
    this.#smallEnd = this.una;
    this.mss = mss;
    this.congestion = createCongestionControl(name, { mss });
  }

  /** The handshake is over: the first window, unscaled in a SYN, and the segment that carried it. */
  establish(window: number, sequence: number, mss: number, sack: boolean, synRetransmitted: boolean): void {
    this.window = this.maxWindow = window;
    this.#wl1 = sequence;
    this.mss = mss;
    this.recovery.sack = sack;
    this.congestion.setMss(mss);
    // RFC 5681 section 3.1: "if the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly
    // transmitted SYN MUST be one segment".
    this.congestion.cwnd = synRetransmitted ? mss : Math.min(10 * mss, Math.max(2 * mss, 14_600));
  }

  /** Sequence numbers in flight. */
  get outstanding(): number {
    return seqDiff(this.nxt, this.una);
  }

  /** Payload that was never sent. */
  get unsent(): number {
    return this.finSent ? 0 : this.queue.length - seqDiff(this.nxt, this.una);
  }

  /** Bytes that are believed to be on their way. */
  get flight(): number {
    return this.recovery.pipe(this.outstanding, this.mss);
  }

  /** Changes the segment size; segments in flight that are larger are sent again if it shrank. */
  setMss(mss: number): void {
    if (mss === this.mss) return;
    const shrank = mss < this.mss;
    this.mss = mss;
    this.congestion.setMss(mss);
    if (shrank && this.outstanding > 0) this.recovery.resendLargerThan(mss);
  }

  /**
   * Takes an acknowledgement that is not beyond SND.NXT.
   *
   * @param window scaled
   * @param length sequence numbers the segment itself occupies
   * @param echo TSecr in our clock of milliseconds, NaN without
   * @returns a mask of {@linkcode AckEffect}
   */
  onAck(header: TcpHeader, window: number, length: number, echo: number, now: Instant): number {
    const { recovery } = this;
    const { board } = recovery;
    const ack = header.acknowledgment;
    const advanced = seqGt(ack, this.una);
    const outstanding = this.outstanding;
    const duplicate = !recovery.sack && ack === this.una && outstanding > 0 && length === 0 &&
      window === this.window;
    this.#updateWindow(header, window, advanced);
    if (outstanding === 0) {
      if (recovery.sack && header.sackCount > 0) this.#onLateSack(header, now);
      return 0;
    }
    if (!advanced && header.sackCount === 0 && !duplicate) return 0;
    const priorFlight = this.flight;
    board.beginAck();
    recovery.rack.minRtt = this.rtt.minRtt;
    recovery.used = Math.max(priorFlight, this.#usage.peak);
    recovery.rack.echoedAt = echo;
    let effect = 0;
    if (advanced) {
      effect = this.#advance(ack, now);
      board.acknowledge(ack, recovery.rack, now);
    }
    // In sequence order, or RACK would see reordering where there is none.
    if (recovery.sack && header.sackCount > 0) board.applySack(header, this.nxt, recovery.rack, now);
    this.#sampleRtt(advanced, echo, now);
    this.#tailProbe.settle(ack, advanced, priorFlight, recovery, this.congestion, now);
    const undone = recovery.undone;
    const wait = recovery.onAck(
      this.una,
      this.nxt,
      advanced,
      duplicate,
      echo,
      priorFlight,
      this.mss,
      this.rtt.srtt,
      now,
      this.congestion,
    );
    if (recovery.undone !== undone) {
      this.spurious++;
      this.rtt.undoBackoff();
    }
    this.pacer.update(
      this.congestion.cwnd,
      this.congestion.ssthresh,
      this.rtt.srtt,
      this.rtt.minRtt,
      this.mss,
    );
    this.#reorderAt = wait > 0 ? later(now, wait) : NEVER;
    if (advanced) this.#retransmitAt = later(now, this.rtt.rto);
    this.#arm(now);
    return effect;
  }

  /** ECN-Echo arrived (RFC 3168 section 6.1.2: "only ... once every window of data"). */
  onCongestionEcho(now: Instant): void {
    if (this.#ecnReacted && seqLt(this.una, this.#ecnHigh)) return;
    if (this.recovery.state !== "open") return;
    this.#ecnReacted = true;
    this.#ecnHigh = this.nxt;
    this.cwrDue = true;
    this.recovery.keepReduction();
    this.congestion.onEcn(this.flight, now);
  }

  /** Nothing is in flight, but a D-SACK may still tell that what was sent again last had arrived before. */
  #onLateSack(header: TcpHeader, now: Instant): void {
    const { recovery } = this;
    recovery.board.beginAck();
    recovery.board.applySack(header, this.nxt, recovery.rack, now);
    if (recovery.board.dsackBytes > 0) recovery.onDsack(this.una, this.nxt, this.congestion);
  }

  /** Linux' `tcp_may_update_window`: new data acknowledged, a newer segment, or the same one with a larger window. */
  #updateWindow(header: TcpHeader, window: number, advanced: boolean): void {
    const newer = seqDiff(header.sequence, this.#wl1);
    if (!advanced && newer <= 0 && !(newer === 0 && (window > this.window || window === 0))) return;
    this.#wl1 = header.sequence;
    if (window > this.window) {
      this.persists = 0;
      if (this.#timer === Timer.persist) this.#setTimer(Timer.none, NEVER);
    }
    this.window = window;
    if (window > this.maxWindow) this.maxWindow = window;
  }

  #advance(ack: number, now: Instant): number {
    let effect: number = AckEffect.advanced;
    let bytes = seqDiff(ack, this.una);
    if (this.finSent && ack === this.nxt) {
      bytes--;
      this.finAcked = true;
      effect |= AckEffect.finAcked;
    }
    this.queue.consume(bytes);
    this.bytesAcked += bytes;
    this.una = ack;
    if (this.urgent.active) this.urgent.onAck(ack);
    if (seqLt(this.#smallEnd, ack)) this.#smallEnd = ack;
    this.timeouts = 0;
    this.stalledSince = now;
    this.#forceDue = false;
    return effect;
  }

  /** Karn's rule: only what left once measures, unless the peer's echo tells which one arrived (RFC 7323 section 4). */
  #sampleRtt(advanced: boolean, echo: number, now: Instant): void {
    const { board } = this.recovery;
    let rtt = -1;
    if (board.firstSentAt >= 0 && !board.retransmissionAcked) rtt = now - board.firstSentAt;
    else if (board.sackSentAt >= 0) rtt = now - board.sackSentAt;
    else if (advanced && echo === echo) rtt = now - echo * MILLISECOND;
    if (rtt < 0) return;
    this.rtt.sample(rtt, now);
    this.congestion.onRttSample(rtt, now);
  }

  /** Whether `next` may have a segment; cheap, never wrong in the negative. */
  get wantsToSend(): boolean {
    return this.#probeDue || this.#tailProbe.due || this.recovery.board.lost > 0 || this.unsent > 0 ||
      (this.finQueued && !this.finSent);
  }

  /**
   * Decides on one segment and, if there is one, regards it as sent: the caller must send it.
   *
   * @param capacity largest payload of one packet; more than the MSS where somebody cuts it
   */
  next(capacity: number, clock: number, now: Instant): boolean {
    this.planProbe = false;
    this.planFin = false;
    this.planRetransmission = false;
    if (this.#probeDue) return this.#planProbeSegment();
    const most = Math.min(capacity, this.pacer.piece(this.mss));
    const whole = Math.max(most - most % this.mss, this.mss);
    if (this.#planLost(whole, clock, now)) return true;
    if (this.#tailProbe.due && this.#planTailProbe(clock, now)) return true;
    return this.#planNew(whole, now);
  }

  #planProbeSegment(): boolean {
    this.#probeDue = false;
    this.planProbe = true;
    this.planStart = seqAdd(this.una, -1);
    this.planLength = 0;
    this.planPush = false;
    this.probes++;
    return true;
  }

  #planLost(whole: number, clock: number, now: Instant): boolean {
    const { board } = this.recovery;
    const force = this.#forceDue;
    const record = board.nextLost();
    if (record === undefined) return false;
    const room = this.recovery.limit(this.congestion) - this.flight;
    if (!force && (room < Math.min(this.mss, record.length) || !this.pacer.allows(now))) return false;
    // What the peer's window no longer covers waits for it, but the first segment probes it (Linux does the same).
    if (record.start !== this.una && seqGe(record.start, seqAdd(this.una, this.window))) return false;
    const size = Math.min(whole, Math.max(room - room % this.mss, this.mss));
    if (record.length > size) board.records.split(record, seqAdd(record.start, size));
    this.#forceDue = false;
    board.markResent(record, this.mss, now);
    this.#planAgain(record.start, record.end, clock, now);
    return true;
  }

  #planAgain(start: number, end: number, clock: number, now: Instant): void {
    const length = seqDiff(end, start);
    this.planRetransmission = true;
    this.planStart = start;
    this.planFin = this.finSent && end === this.nxt;
    this.planLength = this.planFin ? length - 1 : length;
    this.planPush = end === this.nxt;
    this.retransmits++;
    this.bytesRetransmitted += this.planLength;
    this.bytesSent += this.planLength;
    this.pacer.sent(this.planLength, now);
    this.recovery.onResent(length, clock);
    this.#lastSentAt = now;
    // As Linux' tcp_xmit_retransmit_queue: the head has a whole time-out from when it left last. Else the timer, which
    // was set when SND.UNA moved, expires while the first retransmission is still on its way.
    if (start === this.una || this.#retransmitAt === NEVER) this.#retransmitAt = later(now, this.rtt.rto);
    this.#arm(now);
  }

  /** RFC 8985 section 7.3: new data if there is any, else the last segment again. */
  #planTailProbe(clock: number, now: Instant): boolean {
    this.#tailProbe.due = false;
    if (this.outstanding === 0) return false;
    const room = seqDiff(seqAdd(this.una, this.window), this.nxt);
    const fresh = Math.min(this.unsent, room, this.mss);
    if (fresh > 0) {
      this.#commit(fresh, false, now);
    } else {
      const { board } = this.recovery;
      let tail = board.records.tail!;
      if (tail.length > this.mss) {
        const rest = tail.length % this.mss;
        tail = board.records.split(tail, seqAdd(tail.end, -(rest === 0 ? this.mss : rest)));
      }
      // As any retransmission: what a shrunk window no longer covers waits for it.
      if (room < 0 && tail.start !== this.una && seqGe(tail.start, seqAdd(this.una, this.window))) {
        return false;
      }
      board.markResent(tail, this.mss, now);
      this.#planAgain(tail.start, tail.end, clock, now);
    }
    this.#tailProbe.sent(this.nxt, fresh <= 0);
    this.#retransmitAt = later(now, this.rtt.rto);
    this.#arm(now);
    return true;
  }

  #planNew(whole: number, now: Instant): boolean {
    if (this.finSent) return false;
    const unsent = this.unsent;
    if (unsent === 0 && !this.finQueued) return false;
    const outstanding = this.outstanding;
    if (outstanding === 0 && unsent > 0 && this.#lastSentAt > 0 && now - this.#lastSentAt > this.rtt.rto) {
      this.congestion.onIdleRestart(now, this.rtt.rto);
    }
    const windowRoom = seqDiff(seqAdd(this.una, this.window), this.nxt);
    if (windowRoom <= 0) return this.#waitForWindow(now);
    const flight = this.flight;
    const limit = this.recovery.limit(this.congestion);
    const congestionRoom = flight === 0 ? Math.max(limit, this.mss) : limit - flight;
    if (unsent > 0 && congestionRoom <= 0) return false;
    if (!this.pacer.allows(now)) return false;
    if (this.recovery.board.records.count >= MAX_RECORDS) {
      this.recordsFull = true;
      return false;
    }
    let length = Math.min(unsent, windowRoom, congestionRoom, whole);
    if (length < unsent) {
      if (length >= this.mss) {
        length -= length % this.mss;
        // Linux' tcp_tso_should_defer: while the pipe is busy, wait a little and send it in one piece.
        if (
          length < whole && length < this.#patience(Math.min(limit, this.window)) && outstanding > 0 &&
          this.recovery.state === "open"
        ) return false;
      } else if (windowRoom < congestionRoom) {
        // RFC 1122 section 4.2.3.4 (3): at least half of the largest window ever, or the override time-out.
        if (2 * length < this.maxWindow && !this.#override) return this.#waitForWindow(now);
      } else if (flight > 0) return false;
    } else if (!this.finQueued && this.#holdsPartial(length, outstanding)) {
      const partial = length % this.mss;
      if (partial === length) return this.cork ? this.#waitForWindow(now) : false;
      length -= partial;
    }
    this.#commit(length, this.finQueued && length === unsent && length < windowRoom, now);
    return true;
  }

  /**
   * Bytes worth waiting for, of `limit` that may be in flight. A third on a local path, where all is over in an instant
   * and large pieces save the most. On a longer one what passes in a millisecond (Linux' tcp_tso_autosize) and at most an
   * eighth: bursts wait in queues on the way, and to a small window each of them is a good part of the round trip.
   */
  #patience(limit: number): number {
    const { srtt, minRtt } = this.rtt;
    if (minRtt < LOCAL_RTT) return limit / 3;
    return Math.min(limit / 3, Math.max(2 * this.mss, Math.min(limit / 8, limit * MILLISECOND / srtt)));
  }

  /** Nagle's algorithm, Minshall's variant: a partial segment waits only while another partial one is in flight. */
  #holdsPartial(length: number, outstanding: number): boolean {
    // Linux: "Don't use the nagle rule for urgent data".
    if (length % this.mss === 0 || this.#override || this.urgent.active) return false;
    if (this.cork) return true;
    return !this.noDelay && outstanding > 0 && seqGt(this.#smallEnd, this.una);
  }

  /** Nothing in flight will wake us: probe the window, or send small after a while. */
  #waitForWindow(now: Instant): false {
    if (this.outstanding === 0 && this.#timer === Timer.none) {
      const closed = this.window === 0;
      const wait = closed ? Math.min(this.rtt.rto * 2 ** this.persists, RTO_LIMITS.max) : OVERRIDE;
      this.#setTimer(Timer.persist, later(now, wait));
    }
    return false;
  }

  #commit(length: number, fin: boolean, now: Instant): void {
    const start = this.nxt;
    const end = seqAdd(start, fin ? length + 1 : length);
    const idle = this.outstanding === 0;
    this.planStart = start;
    this.planLength = length;
    this.planFin = fin;
    this.planRetransmission = false;
    this.planPush = length > 0 && length === this.unsent;
    this.#override = false;
    if (fin) this.finSent = true;
    this.nxt = end;
    if (length % this.mss !== 0) this.#smallEnd = end;
    this.recovery.board.records.append(start, end, this.mss, now);
    this.recovery.onSent(length);
    this.#usage.note(this.flight, this.una, end);
    this.bytesSent += length;
    this.pacer.sent(length, now);
    this.#lastSentAt = now;
    if (idle) {
      this.stalledSince = now;
      this.#retransmitAt = later(now, this.rtt.rto);
    }
    this.#arm(now);
  }

  /** Sets the timer to what must happen first: reordering, tail loss probe, retransmission. */
  #arm(now: Instant): void {
    if (this.outstanding === 0) {
      this.#retransmitAt = NEVER;
      this.#reorderAt = NEVER;
      this.#tailProbe.cancel();
      if (this.#timer !== Timer.persist) this.#setTimer(Timer.none, NEVER);
      return;
    }
    if (this.#reorderAt < this.#retransmitAt) return this.#setTimer(Timer.reorder, this.#reorderAt);
    const wait = this.#tailProbe.delay(this.recovery, this.rtt.srtt, this.outstanding, this.mss);
    if (now + wait < this.#retransmitAt) return this.#setTimer(Timer.probe, later(now, wait));
    this.#setTimer(Timer.retransmit, this.#retransmitAt);
  }

  #setTimer(timer: number, at: Instant): void {
    this.#timer = timer;
    this.timerAt = at;
  }

  /** Runs the timer if it is due. Afterwards `timeouts` and `persists` tell how hopeless it is. Returns true if it was a
   * retransmission time-out. */
  onTimer(now: Instant): boolean {
    this.pacer.onTimer(now);
    if (this.timerAt > now) return false;
    const timer = this.#timer;
    this.#setTimer(Timer.none, NEVER);
    if (timer === Timer.persist) {
      if (this.window === 0 || seqDiff(seqAdd(this.una, this.window), this.nxt) <= 0) {
        this.#probeDue = true;
        this.persists++;
        this.#setTimer(
          Timer.persist,
          later(now, Math.min(this.rtt.rto * 2 ** this.persists, RTO_LIMITS.max)),
        );
      } else this.#override = true;
    } else if (timer === Timer.reorder) {
      const { recovery } = this;
      const wait = recovery.onReorderTimeout(
        this.una,
        this.nxt,
        this.flight,
        this.mss,
        this.rtt.srtt,
        now,
        this.congestion,
      );
      this.#reorderAt = wait > 0 ? later(now, wait) : NEVER;
      this.#arm(now);
    } else if (timer === Timer.probe) {
      this.#tailProbe.due = true;
      // Until the probe has left, nothing else may fire but the retransmission timer.
      this.#setTimer(Timer.retransmit, this.#retransmitAt);
    } else if (timer === Timer.retransmit) {
      this.#onRetransmitTimeout(now);
      return true;
    }
    return false;
  }

  #onRetransmitTimeout(now: Instant): void {
    this.timeouts++;
    this.#tailProbe.cancel();
    this.#reorderAt = NEVER;
    this.recovery.onTimeout(this.una, this.nxt, this.flight, now, this.rtt.srtt, this.congestion);
    this.rtt.backoff();
    this.#forceDue = true;
    this.#retransmitAt = later(now, this.rtt.rto);
    this.#arm(now);
  }

  /** A keep-alive probe (RFC 1122 section 4.2.3.6: "SEG.SEQ = SND.NXT-1"). */
  requestProbe(): void {
    this.#probeDue = true;
  }

  /** ICMP says why nothing comes back, and it is not congestion: RFC 6069 and Linux take back one step of back-off. */
  revertBackoff(now: Instant): void {
    if (this.outstanding === 0 || this.rtt.backoffs === 0) return;
    this.rtt.undoOneBackoff();
    this.#retransmitAt = later(now, this.rtt.rto);
    this.#arm(now);
  }

  /** Hangs the payload of the plan on `packet`. */
  attachPayload(packet: PacketBuffer): void {
    this.queue.attachTo(packet, seqDiff(this.planStart, this.una), this.planLength);
  }

  /** Releases everything. */
  clear(): void {
    this.queue.clear();
    this.recovery.board.clear();
    this.una = this.nxt;
    this.#setTimer(Timer.none, NEVER);
    this.#probeDue = false;
    this.#tailProbe.cancel();
    this.pacer.wakeAt = NEVER;
    this.#retransmitAt = NEVER;
    this.#reorderAt = NEVER;
  }
}
