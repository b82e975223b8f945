/**
 * Loss recovery: when the congestion window must answer to a loss, how much may leave meanwhile, and when it was all a
 * mistake.
 *
 * ```text
 *            something marked lost                    ack ≥ high
 *   open ─────────────────────────► recovery ─────────────────────────► open
 *     │                                │ timeout
 *     └──────── timeout ───────────► loss ──── ack ≥ high ────────────► open
 * ```
 *
 * Which bytes are lost is decided by RACK (RFC 8985) where there is SACK, else by three duplicate acknowledgements and
 * partial acknowledgements (RFC 6582). During recovery, proportional rate reduction (RFC 6937) lets out data as data
 * arrives, instead of stopping for half a round trip. An episode is undone when the timestamps show that the
 * acknowledgement was for the original (Eifel, RFC 3522) or when every retransmission came back as a D-SACK, which may be
 * after its end; and RACK is more patient from then on.
 *
 * @module
 */

import type { Instant } from "../time.ts";
import type { CongestionControl } from "./congestion/congestion.ts";
import { DUP_THRESHOLD, Rack } from "./rack.ts";
import { Scoreboard } from "./scoreboard.ts";
import { seqAdd, seqGe, seqGt, seqLt } from "./sequence.ts";

/** Linux' `tcp_ca_state`, without the states that only count. */
export type RecoveryState = "open" | "recovery" | "loss";

/** Loss recovery of one sender. */
export class LossRecovery {
  readonly board: Scoreboard = new Scoreboard();
  readonly rack: Rack = new Rack();
  state: RecoveryState = "open";
  /** The peer does SACK. */
  sack = false;
  /** SND.NXT when the episode began (RFC 6675's RecoveryPoint). */
  high = 0;
  /** Congestion window while PRR governs, in bytes. */
  window = 0;
  /** Bytes that were in flight at most of late, for who asks whether the window is used; set by the sender. */
  used = 0;
  /** Duplicate acknowledgements, without SACK. */
  duplicates = 0;
  /** Episodes that were undone, for the counter. */
  undone = 0;
  episodes = 0;

  // RFC 6937 section 3.
  #flightAtEntry = 0;
  #lostAtEntry = 0;
  #delivered = 0;
  #out = 0;

  // Undo: SND.UNA at the start of the episode, bytes sent again and not yet reported as duplicates, and our timestamp
  // clock when the first of them left.
  #undoing = false;
  #undoMarker = 0;
  #undoBytes = 0;
  #firstResentAt = NaN;
  /** Bytes sent again, and reported as duplicates, since the beginning. */
  #resent = 0;
  #duplicated = 0;

  /** Bytes deemed lost that are not marked on a record: without SACK, each duplicate is one segment that has left. */
  pipe(outstanding: number, mss: number): number {
    const pipe = this.board.pipe(outstanding) - (this.sack ? 0 : this.duplicates * mss);
    return pipe > 0 ? pipe : 0;
  }

  /** Bytes that may be in flight. */
  limit(congestion: CongestionControl): number {
    return this.state === "recovery" ? this.window : congestion.cwnd;
  }

  /** Something was sent again. */
  onResent(bytes: number, clock: number): void {
    this.#out += bytes;
    this.#resent += bytes;
    if (this.#undoing) {
      this.#undoBytes += bytes;
      if (Number.isNaN(this.#firstResentAt)) this.#firstResentAt = clock;
    }
  }

  /** Something was sent for the first time. */
  onSent(bytes: number): void {
    this.#out += bytes;
  }

  /** The retransmission timer expired. */
  onTimeout(
    una: number,
    nxt: number,
    flight: number,
    now: Instant,
    srtt: number,
    congestion: CongestionControl,
  ): void {
    const head = this.board.records.head;
    // RFC 2018 section 8: what is at the left edge and was not acknowledged cumulatively was thrown away by the peer.
    if (head !== undefined && head.sacked) this.board.forgetSacks();
    if (this.sack) this.rack.markOnTimeout(this.board, now, srtt);
    else for (let r = head; r !== undefined; r = r.next) this.board.markLost(r);
    if (this.state !== "loss" || seqGe(una, this.high)) this.#beginUndo(una);
    if (this.state === "open") this.episodes++;
    this.state = "loss";
    this.high = nxt;
    this.duplicates = 0;
    congestion.onTimeout(flight, now);
  }

  /**
   * An acknowledgement was put on the scoreboard.
   *
   * @param advanced SND.UNA moved
   * @param duplicate it looks like a duplicate (RFC 5681 section 2), for peers without SACK
   * @param echo TSecr in our clock of milliseconds, NaN without
   * @returns microseconds until RACK may deem something lost, 0 if it may not
   */
  onAck(
    una: number,
    nxt: number,
    advanced: boolean,
    duplicate: boolean,
    echo: number,
    priorFlight: number,
    mss: number,
    srtt: number,
    now: Instant,
    congestion: CongestionControl,
  ): number {
    const board = this.board;
    if (board.dsackBytes > 0) this.onDsack(una, nxt, congestion);
    // The straight road: nothing is missing and nothing was.
    if (this.state === "open" && board.sacked === 0 && !duplicate && board.lost === 0) {
      this.duplicates = 0;
      congestion.onAck(board.delivered, now, srtt, this.used);
      return 0;
    }
    const recovering = this.state === "recovery";
    this.#endEpisode(una, echo, now, congestion);
    const lostBefore = board.lost;
    let timeout = 0;
    if (this.sack) timeout = this.rack.detect(board, now, this.state !== "open", mss, srtt);
    else this.#countDuplicates(una, advanced, duplicate, mss);
    if (this.state === "open" && board.nextLost() !== undefined) {
      this.#enter(una, nxt, priorFlight, now, congestion);
    }
    if (this.state === "recovery") {
      if (board.lost > lostBefore) {
        congestion.onSurvivors(this.#flightAtEntry - (board.everLost - this.#lostAtEntry));
      }
      const progress = advanced && (!this.sack || board.lost <= lostBefore);
      this.#reduceProportionally(nxt, una, mss, progress, congestion);
    } else if (!recovering || this.sack) {
      // The acknowledgement that ends recovery grows the window as any other, as in Linux. Not without SACK: there it covers
      // a whole window, most of which arrived long ago.
      congestion.onAck(board.delivered, now, srtt, this.used);
    }
    return timeout;
  }

  /** RACK's reordering timer expired. */
  onReorderTimeout(
    una: number,
    nxt: number,
    flight: number,
    mss: number,
    srtt: number,
    now: Instant,
    congestion: CongestionControl,
  ): number {
    const timeout = this.rack.detect(this.board, now, this.state !== "open", mss, srtt);
    if (this.board.nextLost() === undefined) return timeout;
    if (this.state === "open") this.#enter(una, nxt, flight, now, congestion);
    if (this.state === "recovery") {
      this.window = Math.max(this.window, this.pipe((nxt - una) | 0, mss) + mss);
    }
    return timeout;
  }

  /** A probe repaired a loss that nobody saw (RFC 8985 section 7.4.2): congestion control must hear of it all the same. */
  onProbeRepaired(flight: number, now: Instant, congestion: CongestionControl): void {
    if (this.state !== "open") return;
    this.episodes++;
    this.keepReduction();
    congestion.onEnterRecovery(flight, now);
    congestion.onExitRecovery(now);
  }

  /** The path takes only smaller segments: send the large ones again, without blaming congestion (RFC 1191 section 6.4). */
  resendLargerThan(mss: number): void {
    for (let record = this.board.records.head; record !== undefined; record = record.next) {
      if (record.segmentSize > mss && record.length > mss) this.board.markLost(record);
    }
  }

  #enter(una: number, nxt: number, flight: number, now: Instant, congestion: CongestionControl): void {
    this.state = "recovery";
    this.episodes++;
    this.high = nxt;
    this.#flightAtEntry = Math.max(flight, 1);
    this.#lostAtEntry = this.board.everLost - this.board.lost;
    this.#delivered = 0;
    this.#out = 0;
    this.#beginUndo(una);
    congestion.onEnterRecovery(flight, now);
    this.window = congestion.ssthresh;
  }

  /** The peer had it twice: one of ours was needless, or the network made two of one that was not sent again. */
  onDsack(una: number, nxt: number, congestion: CongestionControl): void {
    const { board } = this;
    this.#duplicated += board.dsackBytes;
    // More than was ever sent twice: it is the network that makes two of one (Linux' tcp_dsack_seen).
    if (this.#duplicated > this.#resent) return;
    this.rack.onDsack(una, nxt);
    if (!this.#undoing || !seqGe(board.dsackLeft, this.#undoMarker) || seqGt(board.dsackRight, this.high)) {
      return;
    }
    this.#undoBytes -= board.dsackBytes;
    // An original that was later than its copy is reported when the episode is over (Linux' tcp_try_undo_dsack).
    if (this.state !== "open" || Number.isNaN(this.#firstResentAt) || this.#undoBytes > 0) return;
    this.#undo(congestion);
  }

  #undo(congestion: CongestionControl): void {
    this.#undoing = false;
    this.undone++;
    this.rack.onUndo();
    congestion.undo();
  }

  /** What was reduced since then was for another reason, and stays. */
  keepReduction(): void {
    this.#undoing = false;
  }

  #beginUndo(una: number): void {
    this.#undoing = true;
    this.#undoMarker = una;
    this.#undoBytes = 0;
    this.#firstResentAt = NaN;
  }

  /** Leaves an episode that is over, or that never should have been. */
  #endEpisode(una: number, echo: number, now: Instant, congestion: CongestionControl): void {
    if (this.state === "open") return;
    // One late original among many holes proves little: what is sent again meanwhile must have been answered (Linux'
    // tcp_try_undo_partial). A time-out has marked everything, for one reason.
    const settled = this.state === "loss" || this.board.resent === 0;
    if (this.#undoing && settled && seqGt(una, this.#undoMarker) && this.#isSpurious(echo)) {
      // Eifel: the peer echoes a time before the first retransmission, so it had the original.
      // D-SACK: everything that was sent again had arrived before.
      this.#undo(congestion);
      this.board.forgetLosses();
      this.#exit(now, congestion);
      return;
    }
    // RFC 6582 section 4: without SACK, stay until *beyond* the recovery point, lest the duplicates that our own
    // retransmissions cause look like a new loss.
    const over = this.sack || this.state === "loss" ? seqGe(una, this.high) : seqGt(una, this.high);
    const idle = una === this.high && this.board.records.head === undefined;
    if (over || idle) this.#exit(now, congestion);
  }

  #isSpurious(echo: number): boolean {
    if (Number.isNaN(this.#firstResentAt)) return false;
    return echo < this.#firstResentAt || (this.sack && this.#undoBytes <= 0);
  }

  #exit(now: Instant, congestion: CongestionControl): void {
    congestion.onExitRecovery(now);
    this.rack.onRecoveryEnd();
    this.state = "open";
    this.duplicates = 0;
  }

  /** RFC 6582: three duplicates mean that the first segment is lost; a partial acknowledgement, that the next one is. */
  #countDuplicates(una: number, advanced: boolean, duplicate: boolean, mss: number): void {
    if (duplicate) this.duplicates++;
    const head = this.board.records.head;
    if (advanced) {
      this.duplicates = 0;
      if (this.state === "recovery" && head !== undefined && seqLt(una, this.high)) this.#loseFirst(mss);
    } else if (this.state === "open" && this.duplicates >= DUP_THRESHOLD) this.#loseFirst(mss);
  }

  #loseFirst(mss: number): void {
    const head = this.board.records.head;
    if (head === undefined) return;
    if (head.length > mss) this.board.records.split(head, seqAdd(head.start, mss));
    this.board.markLost(head);
  }

  /** RFC 6937 section 3, with the slow start reduction bound only while recovery makes progress (Linux, RFC 9937). */
  #reduceProportionally(
    nxt: number,
    una: number,
    mss: number,
    progress: boolean,
    congestion: CongestionControl,
  ): void {
    const delivered = this.board.delivered;
    const threshold = congestion.ssthresh;
    this.#delivered += delivered;
    const pipe = this.pipe((nxt - una) | 0, mss);
    let send: number;
    if (pipe > threshold) {
      send = Math.ceil(this.#delivered * threshold / this.#flightAtEntry) - this.#out;
    } else {
      let bound = Math.max(this.#delivered - this.#out, delivered);
      if (progress) bound += mss;
      send = Math.min(threshold - pipe, bound);
    }
    // "Force a fast retransmit upon entering recovery"; and RFC 6582 section 3.2 step 3, after a partial acknowledgement:
    // "retransmit the first unacknowledged segment".
    const least = this.#out === 0 || (!this.sack && progress) ? mss : 0;
    this.window = pipe + Math.max(send, least);
  }
}
