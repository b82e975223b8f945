/**
 * The receiving half of a connection: what has arrived, what may arrive, and when to say so.
 *
 * ```text
 *   ── read ──┬── queue ──┬─ hole ─┬─ out of order ─┬───────────┬──
 *                       next                                   edge = RCV.NXT + RCV.WND as last advertised
 * ```
 *
 * The right edge never moves left (RFC 9293 section 3.8.6.2.2: "a TCP receiver SHOULD NOT shrink the window"), so what was
 * promised is always taken. Payload stays where it was received: a segment that fills at least half of its buffer is
 * queued by reference, a smaller one is copied behind its predecessor, so that a hostile peer cannot pin 64 KiB per byte.
 *
 * Acknowledgements are delayed (RFC 1122 section 4.2.3.2) by 40 ms, Linux' minimum, unless more than one full segment waits,
 * something is missing, or the connection is young ("quick acknowledgements": the peer's slow start lives on them).
 *
 * @module
 */

import { ChunkQueue } from "../buffer/chunk_queue.ts";
import { type Fragment, Gso, type PacketBuffer } from "../buffer/packet.ts";
import { type BufferPool, MEDIUM } from "../buffer/pool.ts";
import { HEADROOM } from "../buffer/packet.ts";
import { type Instant, later, MILLISECOND, NEVER } from "../time.ts";
import type { TcpHeader } from "../wire/tcp.ts";
import { LEAST, type MemoryAccount } from "./memory.ts";
import { copyPayload, piecesWithin, Reassembly, worthHolding } from "./reassembly.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { SackBlocks } from "./sack_blocks.ts";
import { seqAdd, seqDiff, seqGe, seqGt, seqLe, seqLt, seqMin } from "./sequence.ts";
import { UrgentReceive } from "./urgent.ts";

/** Linux' `TCP_DELACK_MIN`; RFC 1122: "MUST be less than 0.5 seconds". */
export const DELAYED_ACK = 40 * MILLISECOND;
/** Linux' `TCP_MAX_QUICKACKS`. */
const QUICK_ACKS = 16;
/** Duplicate acknowledgements owed at once to a peer that counts them. */
const MAX_DUPLICATES = 8;

/** What a segment did: bits of the result of {@linkcode Receiver.onData}. */
export const Arrival = {
  /** Bytes became readable. */
  delivered: 1,
  /** The FIN is in sequence now. */
  fin: 2,
  /** Something was dropped for want of room. */
  overflow: 4,
  /** Something was dropped, because its guest holds too much memory. */
  unpaid: 8,
} as const;

const isElsewhere = ({ buffer }: Fragment) => buffer.source !== undefined;

/** The receiving half. */
export class Receiver {
  readonly queue: ChunkQueue = new ChunkQueue();
  readonly buffer: ReceiveBuffer;
  readonly urgent: UrgentReceive = new UrgentReceive();
  /** RCV.NXT. */
  next = 0;
  /** RCV.NXT + RCV.WND as the peer knows it. */
  edge = 0;
  /** Shift count of our windows. */
  scale = 0;
  /** The peer does SACK. */
  sack = false;
  delayedAck: boolean;
  /** FIN received and in sequence. */
  finished = false;
  /** Largest segment seen of late: what "full-sized" means to this peer. */
  mss = 536;
  bytes = 0;

  /** An acknowledgement must leave now. */
  ackDue = false;
  /** One more acknowledgement each: for a peer that counts duplicates. */
  duplicatesDue = 0;
  /** When a delayed acknowledgement is due. */
  timerAt: Instant = NEVER;

  readonly #pool: BufferPool;
  readonly #memory: MemoryAccount;
  readonly #reassemblyLimit: number | undefined;
  #reassembly: Reassembly | undefined;
  #blocks: SackBlocks | undefined;
  #finSequence = 0;
  #finKnown = false;
  /** RCV.NXT when we last acknowledged. */
  #acked = 0;
  #quick = QUICK_ACKS;
  #dsackLeft = 0;
  #dsackRight = 0;
  #dsackDue = false;
  /** The buffer that small segments are copied to. */
  #tail: PacketBuffer | undefined;

  constructor(
    pool: BufferPool,
    capacity: number,
    max: number,
    delayedAck: boolean,
    memory: MemoryAccount,
    reassemblyLimit?: number,
  ) {
    this.#pool = pool;
    this.#memory = memory;
    this.buffer = new ReceiveBuffer(capacity, max);
    this.delayedAck = delayedAck;
    this.#reassemblyLimit = reassemblyLimit;
  }

  /** The peer's initial sequence number is known. */
  synchronize(irs: number): void {
    this.next = seqAdd(irs, 1);
    this.#acked = this.next;
    this.edge = this.next;
  }

  /** RCV.WND. */
  get window(): number {
    return Math.max(seqDiff(this.edge, this.next), 0);
  }

  /** How many bytes of the queue are before the urgent octet; −1: it is not there, or there is none. */
  get urgentMark(): number {
    if (!this.urgent.active) return -1;
    const { length } = this.queue;
    const mark = this.urgent.distance(seqAdd(this.next, -length - (this.finished ? 1 : 0)));
    return mark < length ? mark : -1;
  }

  /** Bytes held out of order. */
  get outOfOrder(): number {
    return this.#reassembly?.bytes ?? 0;
  }

  /** Bytes of the buffers that are held. */
  get memory(): number {
    return this.queue.memory + (this.#reassembly?.memory ?? 0);
  }

  /** Whether data or SACK blocks are missing in the peer's view. */
  get hasBlocks(): boolean {
    return this.sack && (this.#dsackDue || (this.#blocks !== undefined && this.#blocks.count > 0));
  }

  /** RCV.NXT of the last acknowledgement: RFC 7323's Last.ACK.sent. */
  get lastAcked(): number {
    return this.#acked;
  }

  /** RFC 9293 section 3.10.7.4, first: the acceptability test. `length` counts SYN and FIN. */
  accepts(sequence: number, length: number): boolean {
    // Linux' tcp_sequence: anything that reaches RCV.NXT's left edge as last acknowledged and begins in the window.
    return !seqLt(seqAdd(sequence, length), this.#acked) && seqLe(sequence, seqAdd(this.next, this.window));
  }

  /**
   * Takes the payload and FIN of an acceptable segment. Does not own `packet`; holds it if it keeps the payload.
   *
   * @param sequence of the first payload byte
   * @returns a mask of {@linkcode Arrival}
   */
  onData(sequence: number, packet: PacketBuffer, length: number, fin: boolean, now: Instant): number {
    let end = seqAdd(sequence, length);
    const offered = length;
    if (length > 0) this.#measure(packet, length);
    let edge = this.edge;
    let dropped = 0;
    if (length > 0 && this.#memory.full) {
      // What was promised cannot be kept. One small buffer is taken in any case, so that the stream goes on.
      const most = seqAdd(this.next, this.queue.length === 0 ? LEAST : 0);
      if (seqLt(most, edge)) edge = most;
      if (seqGt(end, edge)) dropped = Arrival.unpaid;
    }
    if (fin && !this.#finKnown && seqLe(end, edge)) {
      this.#finKnown = true;
      this.#finSequence = end;
    }
    // Nothing exists behind a FIN, whatever the peer says later.
    if (this.#finKnown && seqGt(end, this.#finSequence)) end = this.#finSequence;
    if (seqGt(end, edge)) end = edge;
    let skip = 0;
    if (seqLt(sequence, this.next)) {
      this.#duplicate(sequence, seqLt(end, this.next) ? end : this.next);
      skip = seqDiff(this.next, sequence);
      sequence = this.next;
    }
    length = seqDiff(end, sequence);
    if (length <= 0) {
      // A duplicate, or a window probe: the peer asks where we are.
      if (offered > 0 || fin) this.ackDue = true;
      return this.#finish() | dropped;
    }
    if (sequence !== this.next) return this.#early(sequence, end, packet, skip) | dropped;
    this.next = end;
    this.bytes += length;
    this.#append(packet, skip, length);
    let arrival: number = Arrival.delivered | dropped;
    const reassembly = this.#reassembly;
    if (reassembly !== undefined && reassembly.count > 0) {
      const before = this.next;
      this.next = reassembly.drain(this.next, this);
      this.bytes += seqDiff(this.next, before);
      this.#blocks?.advance(this.next);
      // RFC 5681 section 4.2: "immediately ... when the incoming segment fills in all or part of a gap".
      this.ackDue = true;
      if (reassembly.count === 0 && reassembly.bytes === 0) this.#quick = Math.max(this.#quick, 2);
    }
    this.#scheduleAck(now);
    arrival |= this.#finish();
    return arrival;
  }

  /** A full-sized segment is the largest seen of late; of a super-segment, what it was merged from. */
  #measure(packet: PacketBuffer, length: number): void {
    const size = packet.gso !== Gso.none && packet.gsoSize > 0 ? Math.min(packet.gsoSize, length) : length;
    if (size >= this.mss) this.mss = size;
  }

  #early(start: number, end: number, packet: PacketBuffer, skip: number): number {
    this.#reassembly ??= new Reassembly();
    // The buffer grows while the connection proves itself, and the number of pieces with it.
    this.#reassembly.limit = this.#reassemblyLimit ?? piecesWithin(this.buffer.capacity);
    if (this.sack) this.#blocks ??= new SackBlocks();
    this.ackDue = true;
    if (!this.sack && this.duplicatesDue < MAX_DUPLICATES) this.duplicatesDue++;
    if (this.#quick < 2) this.#quick = 2;
    const kept = this.#reassembly.insert(start, end, packet, skip, this.#pool);
    if (kept < 0) return Arrival.overflow;
    if (kept === 0) {
      this.#dsackLeft = start;
      this.#dsackRight = end;
      this.#dsackDue = this.sack;
    }
    this.#blocks?.add(start, end);
    return 0;
  }

  /** Old data came again: acknowledge at once, and say which (RFC 2883). */
  #duplicate(left: number, right: number): void {
    this.ackDue = true;
    this.reportDuplicate(left, seqDiff(right, left));
  }

  /** Remembers a duplicate for the next acknowledgement, which is not asked for: the segment was not even acceptable. */
  reportDuplicate(sequence: number, length: number): void {
    if (!this.sack || length <= 0 || !seqLt(sequence, this.next)) return;
    this.#dsackLeft = sequence;
    this.#dsackRight = seqMin(seqAdd(sequence, length), this.next);
    this.#dsackDue = true;
  }

  #finish(): number {
    if (!this.#finKnown || this.finished || this.next !== this.#finSequence) return 0;
    this.finished = true;
    this.next = seqAdd(this.next, 1);
    if (seqGt(this.next, this.edge)) this.edge = this.next;
    this.#reassembly?.clear();
    this.#blocks?.clear();
    this.ackDue = true;
    return Arrival.fin;
  }

  /** Takes a piece, and the hold on its buffer: from the reassembly queue, or from a packet. */
  deliver(buffer: PacketBuffer, from: number, length: number): void {
    if (worthHolding(buffer, length)) {
      this.queue.push(buffer, from, from + length);
      return;
    }
    // A byte that came early must not keep a buffer of its own now that it has neighbours.
    this.#copyPiece(buffer, from, length);
    buffer.release();
  }

  #copyPiece(buffer: PacketBuffer, from: number, length: number): void {
    const at = this.#extend(length);
    this.#tail!.bytes.set(buffer.load().bytes.subarray(from, from + length), at);
  }

  #append(packet: PacketBuffer, skip: number, length: number): void {
    if (packet.fragments.length === 0) {
      if (worthHolding(packet, length)) {
        this.queue.push(packet.retain(), packet.start + skip, packet.start + skip + length);
        return;
      }
    } else if (this.#appendPieces(packet, skip, length)) return;
    const at = this.#extend(length);
    copyPayload(packet, skip, length, this.#tail!.bytes, at);
  }

  /** Makes the queue longer by `length` bytes, which are yet to be copied; returns where in the tail they go. */
  #extend(length: number): number {
    const last = this.queue.last();
    let tail = this.#tail;
    if (
      last === undefined || tail === undefined || last.buffer !== tail ||
      tail.bytes.length - last.end < length
    ) {
      // Small for the one message of a quiet connection, larger for a flood of them.
      tail = this.#pool.take(last === undefined ? length : Math.max(length, MEDIUM - HEADROOM));
      this.#tail = tail;
      const at = tail.end;
      tail.end += length;
      this.queue.push(tail, at, tail.end);
      return at;
    }
    const at = last.end;
    tail.end = at + length;
    this.queue.extendLast(length);
    return at;
  }

  /**
   * A super-packet that crossed no wire is references to the sender's chunks, one that was merged on arrival references to
   * frames, or to what one read brought: buffers that are filled by half are taken over.
   */
  #appendPieces(packet: PacketBuffer, skip: number, length: number): boolean {
    const fragments = packet.fragments;
    // A short one is copied, unless that would have its bytes brought here.
    if (length < MEDIUM && !fragments.some(isElsewhere)) return false;
    const own = packet.end - packet.start;
    if (skip < own) {
      const n = Math.min(own - skip, length);
      this.deliver(packet.retain(), packet.start + skip, n);
      length -= n;
      skip = 0;
    } else skip -= own;
    for (let i = 0; length > 0;) {
      const { buffer } = fragments[i]!;
      const together = lengthIn(buffer, fragments, i);
      const whole = worthHolding(buffer, Math.min(together, skip + length));
      for (; length > 0 && i < fragments.length && fragments[i]!.buffer === buffer; i++) {
        const { start, end } = fragments[i]!;
        if (skip >= end - start) {
          skip -= end - start;
          continue;
        }
        const n = Math.min(end - start - skip, length);
        if (whole) this.queue.push(buffer.retain(), start + skip, start + skip + n);
        else this.#copyPiece(buffer, start + skip, n);
        length -= n;
        skip = 0;
      }
    }
    return true;
  }

  #scheduleAck(now: Instant): void {
    if (this.ackDue) return;
    const waiting = seqDiff(this.next, this.#acked);
    if (!this.delayedAck || this.#quick > 0 || waiting > this.mss || this.outOfOrder > 0) this.ackDue = true;
    else if (this.timerAt === NEVER) this.timerAt = later(now, DELAYED_ACK);
  }

  /** The delayed acknowledgement is due. */
  onTimer(now: Instant): void {
    if (this.timerAt > now) return;
    this.timerAt = NEVER;
    this.ackDue = true;
  }

  /**
   * The user has read `n` bytes.
   *
   * @returns whether the window opened so far that the peer should hear of it: Linux' rule, it doubles, by at least a
   * segment or half of the buffer (RFC 9293 section 3.8.6.2.2)
   */
  consume(n: number, srtt: number, now: Instant): boolean {
    if (this.urgent.active && this.urgentMark >= 0 && this.urgentMark < n) this.urgent.active = false;
    this.queue.consume(n);
    if (this.queue.length === 0) this.#tail = undefined;
    this.buffer.onRead(n, this.mss, srtt, now);
    if (this.finished) return false;
    const current = this.window;
    const possible = this.#offer();
    if (possible < 2 * current || possible - current < Math.min(this.mss, this.buffer.capacity >> 1)) {
      return false;
    }
    this.ackDue = true;
    return true;
  }

  /** The window that could be advertised now, silly windows avoided, in units that the scale can express. */
  #offer(): number {
    let { capacity } = this.buffer;
    if (this.#memory.pressed) capacity = Math.min(capacity, Math.max(LEAST, this.mss));
    const free = capacity - this.queue.length - this.outOfOrder;
    // RFC 9293 section 3.8.6.2.2: no increase smaller than min(half the buffer, one segment).
    if (free < Math.min(capacity >> 1, this.mss)) return 0;
    return Math.min(free, 65_535 * 2 ** this.scale);
  }

  /**
   * The window field of a segment that leaves now. Moves the right edge, never to the left.
   *
   * @param scaled false in a SYN (RFC 7323 section 2.2)
   */
  advertise(scaled: boolean): number {
    const current = this.window;
    const unit = scaled ? 2 ** this.scale : 1;
    // Down for what is new, up for what was promised: the promise is kept to the byte.
    let field = Math.floor(Math.min(this.#offer(), 65_535 * unit) / unit);
    if (field * unit < current) field = Math.min(Math.ceil(current / unit), 65_535);
    const edge = seqAdd(this.next, field * unit);
    if (seqGe(edge, this.edge)) this.edge = edge;
    return field;
  }

  /** A segment with an acknowledgement leaves: nothing is owed any more. */
  onAckSent(): void {
    this.#acked = this.next;
    this.ackDue = false;
    this.timerAt = NEVER;
    this.#dsackDue = false;
    if (this.duplicatesDue > 0) this.duplicatesDue--;
    if (this.#quick > 0) this.#quick--;
  }

  /** Writes the SACK option, D-SACK first. */
  writeSack(header: TcpHeader): void {
    header.sackCount = 0;
    if (!this.sack) return;
    const most = header.hasTimestamp ? 3 : 4;
    if (this.#dsackDue) {
      header.sackLeft[0] = this.#dsackLeft;
      header.sackRight[0] = this.#dsackRight;
      header.sackCount = 1;
    }
    this.#blocks?.write(header, most);
  }

  /** Releases what nobody will read. */
  clear(): void {
    this.queue.clear();
    this.#reassembly?.clear();
    this.#blocks?.clear();
    this.#tail = undefined;
    this.timerAt = NEVER;
    this.ackDue = false;
    this.duplicatesDue = 0;
  }
}

/** Bytes of the fragments from number `first` on that are in `buffer`. */
function lengthIn(buffer: PacketBuffer, fragments: readonly Fragment[], first: number): number {
  let length = 0;
  for (let i = first; i < fragments.length && fragments[i]!.buffer === buffer; i++) {
    length += fragments[i]!.end - fragments[i]!.start;
  }
  return length;
}
