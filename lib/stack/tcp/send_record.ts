/**
 * Retransmission records: what was sent, when, and what became of it.
 *
 * One record covers what left in one packet, which may be a super-segment of 64 KiB. SACK blocks and partial
 * acknowledgements cut records at segment boundaries, never finer, so a peer that acknowledges byte by byte cannot
 * make more records than there are segments. Records are a doubly linked list in sequence order (cutting inserts in the
 * middle) and are reused: in steady state nothing is allocated.
 *
 * @module
 */

import type { Instant } from "../time.ts";

/** Sequence numbers `[start, end)` that are in flight. */
export class SendRecord {
  start = 0;
  end = 0;
  /** The last time it left. */
  sentAt = 0 as Instant;
  /** Segment size that it left with; what path MTU discovery must send again is larger than the new one. */
  segmentSize = 0;
  /** It left more than once: its acknowledgement measures nothing (Karn). */
  retransmitted = false;
  /** The peer holds it (SACK). */
  sacked = false;
  /** Deemed lost. Stays set while the retransmission is in flight, as in Linux. */
  lost = false;
  /** A retransmission of it is in flight. */
  resent = false;
  next: SendRecord | undefined = undefined;
  previous: SendRecord | undefined = undefined;

  /** Sequence numbers it covers. */
  get length(): number {
    return (this.end - this.start) | 0;
  }
}

/** Idle records kept for reuse, all connections together. */
const MAX_IDLE = 4_096;
const idle: SendRecord[] = [];

function take(): SendRecord {
  return idle.pop() ?? new SendRecord();
}

function give(record: SendRecord): void {
  record.next = undefined;
  record.previous = undefined;
  if (idle.length < MAX_IDLE) idle.push(record);
}

/** The records of one connection, oldest first. */
export class RecordList {
  head: SendRecord | undefined = undefined;
  tail: SendRecord | undefined = undefined;
  count = 0;

  /** Adds what is being sent for the first time. */
  append(start: number, end: number, segmentSize: number, now: Instant): SendRecord {
    const record = take();
    record.start = start;
    record.end = end;
    record.sentAt = now;
    record.segmentSize = segmentSize;
    record.retransmitted = false;
    record.sacked = false;
    record.lost = false;
    record.resent = false;
    const tail = this.tail;
    record.previous = tail;
    if (tail === undefined) this.head = record;
    else tail.next = record;
    this.tail = record;
    this.count++;
    return record;
  }

  /** Cuts `record` at `at`, which must be inside it; returns the second part. */
  split(record: SendRecord, at: number): SendRecord {
    const rest = take();
    rest.start = at;
    rest.end = record.end;
    rest.sentAt = record.sentAt;
    rest.segmentSize = record.segmentSize;
    rest.retransmitted = record.retransmitted;
    rest.sacked = record.sacked;
    rest.lost = record.lost;
    rest.resent = record.resent;
    record.end = at;
    rest.previous = record;
    rest.next = record.next;
    if (record.next === undefined) this.tail = rest;
    else record.next.previous = rest;
    record.next = rest;
    this.count++;
    return rest;
  }

  /** Drops the oldest. */
  shift(): void {
    const record = this.head;
    if (record === undefined) return;
    this.head = record.next;
    if (this.head === undefined) this.tail = undefined;
    else this.head.previous = undefined;
    this.count--;
    give(record);
  }

  /** Drops all. */
  clear(): void {
    while (this.head !== undefined) this.shift();
  }
}
