/**
 * RACK: time-based loss detection (RFC 8985 section 6).
 *
 * A segment is lost if one that was sent sufficiently later has been delivered. "Sufficiently" is the reordering
 * window: nothing as long as no reordering was seen and three segments were passed over, else a quarter of the minimum
 * round-trip time and more with every D-SACK.
 *
 * @module
 */

import { type Instant, MILLISECOND } from "../time.ts";
import type { DeliverySink, Scoreboard } from "./scoreboard.ts";
import type { SendRecord } from "./send_record.ts";
import { seqGt, seqLt } from "./sequence.ts";

/** RFC 5681's, for how many segments must be passed over before reordering is ruled out. */
export const DUP_THRESHOLD = 3;
/** RFC 8985 section 6.2 step 4: for how many recoveries a widened window persists. */
const PERSIST = 16;
const MAX_MULTIPLIER = 255;

/** RACK's variables, named as in RFC 8985 section 5.2 and 5.3. */
export class Rack implements DeliverySink {
  /** RACK.xmit_ts; -1: nothing was delivered yet. */
  xmitAt = -1;
  /** RACK.end_seq. */
  endSeq = 0;
  /** RACK.rtt. */
  rtt = 0;
  /** RACK.reordering_seen. */
  reorderingSeen = false;
  #multiplier = 1;
  #persist = PERSIST;
  /** RACK.fack. */
  #fack = 0;
  #fackValid = false;
  /** RACK.dsack_round. */
  #dsackRound = 0;
  #dsackRoundValid = false;

  /** The least round-trip time of the path; set by the sender before an acknowledgement is processed. */
  minRtt = 0;
  /** When the peer last stamped what it echoes, in our clock of milliseconds; NaN without timestamps. */
  echoedAt = NaN;

  /** Steps 2 and 3: "Update the state for the most recently sent segment that has been delivered", "Detect
   * reordering". */
  delivered(record: SendRecord, now: Instant): void {
    const rtt = now - record.sentAt;
    if (record.retransmitted) {
      // "the sender is ambiguous": it may be the original that was delivered.
      if (Math.floor(record.sentAt / MILLISECOND) > this.echoedAt) return;
      if (rtt < this.minRtt) return;
    }
    if (
      record.sentAt > this.xmitAt || (record.sentAt === this.xmitAt && seqGt(record.end, this.endSeq)) ||
      this.xmitAt < 0
    ) {
      this.xmitAt = record.sentAt;
      this.endSeq = record.end;
    }
    this.rtt = rtt;
    if (!this.#fackValid || seqGt(record.end, this.#fack)) {
      this.#fack = record.end;
      this.#fackValid = true;
    } else if (!record.retransmitted && seqLt(record.end, this.#fack)) this.reorderingSeen = true;
  }

  /** Step 4: D-SACK says that the window was too small. At most once per round trip. */
  onDsack(una: number, nxt: number): void {
    if (this.#dsackRoundValid && seqLt(una, this.#dsackRound)) return;
    this.#dsackRound = nxt;
    this.#dsackRoundValid = true;
    if (this.#multiplier < MAX_MULTIPLIER) this.#multiplier++;
    this.#persist = PERSIST;
  }

  /** What was blamed had only been overtaken. The segment was sent again in the meantime, so that {@linkcode delivered} cannot
   * tell (Linux' tcp_try_undo_partial does the same). */
  onUndo(): void {
    this.reorderingSeen = true;
  }

  /** A recovery is over: "if RACK.reo_wnd_persist is 0, reset". */
  onRecoveryEnd(): void {
    if (--this.#persist <= 0) this.#multiplier = 1;
  }

  /** RACK_update_reo_wnd(). */
  #reorderingWindow(board: Scoreboard, inRecovery: boolean, mss: number, srtt: number): number {
    if (!this.reorderingSeen && (inRecovery || board.sacked >= DUP_THRESHOLD * mss)) return 0;
    return Math.min(this.#multiplier * this.minRtt / 4, srtt);
  }

  /**
   * Step 5: marks losses. Walks what is in flight, but only after something was delivered out of order.
   *
   * @returns microseconds until something else may be deemed lost, 0 if nothing may
   */
  detect(board: Scoreboard, now: Instant, inRecovery: boolean, mss: number, srtt: number): number {
    if (this.xmitAt < 0) return 0;
    const window = this.#reorderingWindow(board, inRecovery, mss, srtt);
    let timeout = 0;
    for (let record = board.records.head; record !== undefined; record = record.next) {
      if (
        record.sentAt > this.xmitAt || (record.sentAt === this.xmitAt && !seqLt(record.end, this.endSeq))
      ) {
        // First transmissions are in order of time: behind this one, nothing is older.
        if (!record.retransmitted) break;
        continue;
      }
      if (record.sacked || (record.lost && !record.resent)) continue;
      const remaining = record.sentAt + this.rtt + window - now;
      if (remaining <= 0) board.markLost(record);
      else if (remaining > timeout) timeout = remaining;
    }
    return timeout;
  }

  /** Section 6.3: on a timeout, what was sent a round trip ago is lost, and the first segment in any case. */
  markOnTimeout(board: Scoreboard, now: Instant, srtt: number): void {
    const rtt = this.rtt > 0 ? this.rtt : srtt;
    const window = this.#multiplier * this.minRtt / 4;
    for (let record = board.records.head; record !== undefined; record = record.next) {
      if (record === board.records.head || record.sentAt + rtt + window <= now) board.markLost(record);
    }
  }
}
