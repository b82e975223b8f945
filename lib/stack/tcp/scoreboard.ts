/**
 * The scoreboard of RFC 6675: which bytes in flight were delivered, which are lost, which were sent again.
 *
 * ```text
 *   una ──────────────────────────────────────── nxt
 *       [lost][ sacked ][in flight][sacked][in flight]
 *
 *   pipe = (nxt − una) − sacked − lost + resent
 * ```
 *
 * Sums are kept as records change, so that `pipe` costs nothing. What a peer claims is not believed blindly: blocks
 * outside of what was sent, empty ones, and ones that lie below the cumulative acknowledgement without being D-SACKs
 * are counted and ignored (Linux' `tcp_is_sackblock_valid`).
 *
 * @module
 */

import type { Instant } from "../time.ts";
import type { TcpHeader } from "../wire/tcp.ts";
import { RecordList, type SendRecord } from "./send_record.ts";
import { seqGe, seqGt, seqLe, seqLt } from "./sequence.ts";

/** Who wants to know what was delivered: RACK. */
export interface DeliverySink {
  /** `record` was acknowledged or selectively acknowledged; called before it is marked or dropped. */
  delivered(record: SendRecord, now: Instant): void;
}

const scratchLeft = new Int32Array(4);
const scratchRight = new Int32Array(4);

/** The scoreboard of one sender. */
export class Scoreboard {
  readonly records: RecordList = new RecordList();
  /** Bytes in flight that the peer holds. */
  sacked = 0;
  /** Bytes deemed lost, whether sent again or not. */
  lost = 0;
  /** Bytes that were ever deemed lost, each once. */
  everLost = 0;
  /** Bytes sent again and not yet acknowledged. */
  resent = 0;
  /** Right edge of the highest SACK block (RFC 6675's HighData of the peer); valid while `sacked > 0`. */
  highestSacked = 0;
  /** Where the search for lost records to send again begins; undefined: nowhere. */
  #firstLost: SendRecord | undefined = undefined;

  // What the last acknowledgement brought; read by recovery.
  /** Bytes newly delivered, cumulatively or selectively. */
  delivered = 0;
  /** Bytes newly selectively acknowledged. */
  newlySacked = 0;
  /** When the first and the last of the cumulatively acknowledged records that left only once were sent; -1: none. */
  firstSentAt = -1;
  /** When the last newly sacked record that left only once was sent; -1: none. */
  sackSentAt = -1;
  /** A record that had left more than once was acknowledged. */
  retransmissionAcked = false;
  /** The first block was a D-SACK (RFC 2883), of this many bytes. */
  dsackBytes = 0;
  dsackLeft = 0;
  dsackRight = 0;
  /** Blocks that made no sense. */
  invalidBlocks = 0;

  /** Bytes that are believed to be on their way, of `outstanding` unacknowledged ones. */
  pipe(outstanding: number): number {
    return outstanding - this.sacked - this.lost + this.resent;
  }

  /** Forgets what the last acknowledgement brought. */
  beginAck(): void {
    this.delivered = 0;
    this.newlySacked = 0;
    this.firstSentAt = -1;
    this.sackSentAt = -1;
    this.retransmissionAcked = false;
    this.dsackBytes = 0;
    this.invalidBlocks = 0;
  }

  /** Drops everything below `ack`. */
  acknowledge(ack: number, sink: DeliverySink, now: Instant): void {
    const records = this.records;
    for (let record = records.head; record !== undefined; record = records.head) {
      if (seqLe(ack, record.start)) return;
      if (seqLt(ack, record.end)) {
        const part = (ack - record.start) | 0;
        if (record.sacked) this.sacked -= part;
        else this.delivered += part;
        if (record.lost) this.lost -= part;
        if (record.resent) this.resent -= part;
        if (record.retransmitted) this.retransmissionAcked = true;
        else if (this.firstSentAt < 0 && !record.sacked) this.firstSentAt = record.sentAt;
        record.start = ack;
        return;
      }
      const length = record.length;
      if (record.retransmitted) this.retransmissionAcked = true;
      else if (this.firstSentAt < 0 && !record.sacked) this.firstSentAt = record.sentAt;
      if (record.sacked) this.sacked -= length;
      else {
        this.delivered += length;
        sink.delivered(record, now);
      }
      if (record.lost) this.lost -= length;
      if (record.resent) this.resent -= length;
      if (this.#firstLost === record) this.#firstLost = record.next;
      records.shift();
    }
  }

  /**
   * Takes the SACK blocks of a segment, after `acknowledge` of the same segment.
   *
   * @param nxt SND.NXT
   */
  applySack(header: TcpHeader, nxt: number, sink: DeliverySink, now: Instant): void {
    const ack = header.acknowledgment;
    let count = 0;
    for (let i = 0; i < header.sackCount; i++) {
      const left = header.sackLeft[i]!;
      const right = header.sackRight[i]!;
      if (!seqLt(left, right) || seqGt(right, nxt) || !seqLt(left, nxt)) {
        this.invalidBlocks++;
        continue;
      }
      if (i === 0 && this.#isDsack(header, left, right)) {
        this.dsackBytes = (right - left) | 0;
        this.dsackLeft = left;
        this.dsackRight = right;
        continue;
      }
      if (seqLe(right, ack)) continue; // old news: the cumulative acknowledgement overtook it
      if (seqLt(left, ack)) {
        this.invalidBlocks++;
        continue;
      }
      // Insertion by left edge: at most four.
      let at = count++;
      while (at > 0 && seqGt(scratchLeft[at - 1]!, left)) {
        scratchLeft[at] = scratchLeft[at - 1]!;
        scratchRight[at] = scratchRight[at - 1]!;
        at--;
      }
      scratchLeft[at] = left;
      scratchRight[at] = right;
    }
    let record = this.records.head;
    for (let i = 0; i < count && record !== undefined; i++) {
      const left = scratchLeft[i]!;
      const right = scratchRight[i]!;
      while (record !== undefined && seqLe(record.end, left)) record = record.next;
      while (record !== undefined && seqLt(record.start, right)) {
        record = this.#sackWithin(record, left, right, sink, now);
      }
    }
  }

  /** RFC 2883 section 4: the first block reports a duplicate if it lies below the cumulative acknowledgement, or within
   * the second block. */
  #isDsack(header: TcpHeader, left: number, right: number): boolean {
    if (seqLe(right, header.acknowledgment)) return true;
    return header.sackCount > 1 && seqGe(left, header.sackLeft[1]!) && seqLe(right, header.sackRight[1]!);
  }

  /** Marks what of `record` is in the block, cutting it at segment boundaries; returns where to go on. */
  #sackWithin(
    record: SendRecord,
    left: number,
    right: number,
    sink: DeliverySink,
    now: Instant,
  ): SendRecord | undefined {
    if (record.sacked) return record.next;
    const size = Math.max(record.segmentSize, 1);
    if (seqLt(record.start, left)) {
      const before = Math.ceil(((left - record.start) | 0) / size) * size;
      if (before >= record.length) return record.next;
      record = this.records.split(record, (record.start + before) | 0);
    }
    if (seqLt(right, record.end)) {
      const within = Math.floor(((right - record.start) | 0) / size) * size;
      if (within <= 0) return record.next;
      this.records.split(record, (record.start + within) | 0);
    }
    const length = record.length;
    sink.delivered(record, now);
    if (record.lost) this.lost -= length;
    if (record.resent) this.resent -= length;
    if (!record.retransmitted) this.sackSentAt = record.sentAt;
    record.lost = false;
    record.resent = false;
    record.sacked = true;
    if (this.sacked === 0 || seqGt(record.end, this.highestSacked)) this.highestSacked = record.end;
    this.sacked += length;
    this.newlySacked += length;
    this.delivered += length;
    return record.next;
  }

  /** Deems `record` lost, its retransmission too. */
  markLost(record: SendRecord): void {
    if (record.sacked) return;
    if (record.resent) {
      record.resent = false;
      this.resent -= record.length;
    }
    if (!record.lost) {
      record.lost = true;
      this.lost += record.length;
      this.everLost += record.length;
    }
    const first = this.#firstLost;
    if (first === undefined || seqLt(record.start, first.start)) this.#firstLost = record;
  }

  /** After a reneging peer (RFC 2018 section 8: "the sender MUST ... turn off all of the SACKed bits"). */
  forgetSacks(): void {
    for (let record = this.records.head; record !== undefined; record = record.next) record.sacked = false;
    this.sacked = 0;
  }

  /** Nothing is lost after all (undo). Retransmissions stay counted as in flight. */
  forgetLosses(): void {
    for (let record = this.records.head; record !== undefined; record = record.next) record.lost = false;
    this.lost = 0;
    this.#firstLost = undefined;
  }

  /** The first lost record that was not sent again. Amortised O(1). */
  nextLost(): SendRecord | undefined {
    let record = this.#firstLost;
    while (record !== undefined && (!record.lost || record.resent)) record = record.next;
    this.#firstLost = record;
    return record;
  }

  /** `record` is being sent again. */
  markResent(record: SendRecord, segmentSize: number, now: Instant): void {
    if (!record.resent) this.resent += record.length;
    record.resent = true;
    record.retransmitted = true;
    record.segmentSize = segmentSize;
    record.sentAt = now;
  }

  /** Drops everything. */
  clear(): void {
    this.records.clear();
    this.sacked = 0;
    this.lost = 0;
    this.resent = 0;
    this.#firstLost = undefined;
  }
}
