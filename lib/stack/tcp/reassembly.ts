/**
 * Segments that came too early, in order of sequence numbers, without overlap.
 *
 * Memory is bounded three ways: bytes by the window that was offered, pieces by {@linkcode piecesWithin}, and slack by
 * copying what fills less than half of its buffer. When it is full the piece furthest ahead goes, as it will be
 * sent again last (RFC 2018 section 8 allows to renege).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import { seqGe, seqGt, seqLe, seqLt } from "./sequence.ts";

/** Pieces one connection may hold out of order at most. */
export const MAX_OUT_OF_ORDER = 4_096;
/** Bytes of window for each of them: honest pieces are segments, and a piece of one byte costs as much memory. */
const BYTES_PER_PIECE = 1_024;

/** What a piece takes beside its bytes: a buffer of the smallest size, and what describes it. */
const PIECE_MEMORY = 512;

/** Pieces that a receive buffer of so many bytes may hold out of order. */
export function piecesWithin(capacity: number): number {
  return Math.min(MAX_OUT_OF_ORDER, Math.max(32, Math.floor(capacity / BYTES_PER_PIECE)));
}

/** Bytes `[start, end)` of the stream, at `from` in `buffer`. */
class Piece {
  start = 0;
  end = 0;
  from = 0;
  next: Piece | undefined = undefined;
  previous: Piece | undefined = undefined;
  constructor(public buffer: PacketBuffer, public compact: boolean) {}
}

/** Whether so much of a buffer is payload that holding all of it is fair. */
export function worthHolding(buffer: PacketBuffer, length: number): boolean {
  return length * 2 >= buffer.bytes.length;
}

/** Copies payload bytes `[skip, skip + length)` of a packet, own bytes and fragments, to `into` at `at`. */
export function copyPayload(
  packet: PacketBuffer,
  skip: number,
  length: number,
  into: Uint8Array,
  at: number,
): void {
  const own = packet.end - packet.start;
  if (skip < own) {
    const n = Math.min(own - skip, length);
    into.set(packet.bytes.subarray(packet.start + skip, packet.start + skip + n), at);
    at += n;
    length -= n;
    skip = 0;
  } else skip -= own;
  for (let i = 0; length > 0; i++) {
    const fragment = packet.fragments[i]!;
    const size = fragment.end - fragment.start;
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const n = Math.min(size - skip, length);
    into.set(fragment.buffer.load().bytes.subarray(fragment.start + skip, fragment.start + skip + n), at);
    at += n;
    length -= n;
    skip = 0;
  }
}

/** Takes pieces in order as they become deliverable. */
export interface PieceSink {
  /** Takes over the hold on `buffer`. */
  deliver(buffer: PacketBuffer, from: number, length: number): void;
}

/** The out-of-order queue of one connection. */
export class Reassembly {
  #head: Piece | undefined = undefined;
  #tail: Piece | undefined = undefined;
  #count = 0;
  #bytes = 0;
  /** Pieces it may hold. */
  limit: number;

  constructor(limit: number = MAX_OUT_OF_ORDER) {
    this.limit = limit;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** About how much memory that takes. */
  get memory(): number {
    return this.#bytes + this.#count * PIECE_MEMORY;
  }

  /** Pieces held. */
  get count(): number {
    return this.#count;
  }

  /**
   * Keeps `[start, end)`, whose first byte is payload byte `skip` of `packet`. What is held already wins.
   *
   * @returns bytes kept; -1 if there was no room
   */
  insert(start: number, end: number, packet: PacketBuffer, skip: number, pool: BufferPool): number {
    // Nearly always it belongs at the end: search from there.
    let before = this.#tail;
    while (before !== undefined && seqGt(before.start, start)) before = before.previous;
    if (before !== undefined && seqGt(before.end, start)) {
      if (seqGe(before.end, end)) return 0;
      skip += (before.end - start) | 0;
      start = before.end;
    }
    // Pieces ahead that the new one covers go; the last one it reaches into cuts it short.
    let after = before === undefined ? this.#head : before.next;
    while (after !== undefined && seqLe(after.end, end)) {
      const next = after.next;
      this.#remove(after);
      after = next;
    }
    if (after !== undefined && seqLt(after.start, end)) end = after.start;
    const length = (end - start) | 0;
    if (length <= 0) return 0;
    if (this.#appendTo(before, start, length, packet, skip)) return length;
    if (this.#count >= this.limit) {
      const last = this.#tail;
      if (last === undefined || seqGe(start, last.start)) return -1;
      if (before === last) before = last.previous;
      if (after === last) after = undefined;
      this.#remove(last);
    }
    this.#link(this.#hold(start, end, packet, skip, pool), before, after);
    return length;
  }

  /** A small piece right behind a copied one goes into the same buffer. */
  #appendTo(
    before: Piece | undefined,
    start: number,
    length: number,
    packet: PacketBuffer,
    skip: number,
  ): boolean {
    if (before === undefined || !before.compact || before.end !== start) return false;
    const { buffer } = before;
    if (buffer.bytes.length - buffer.end < length) return false;
    copyPayload(packet, skip, length, buffer.bytes, buffer.end);
    buffer.end += length;
    before.end = (before.end + length) | 0;
    this.#bytes += length;
    return true;
  }

  #hold(start: number, end: number, packet: PacketBuffer, skip: number, pool: BufferPool): Piece {
    const length = (end - start) | 0;
    let piece: Piece;
    if (packet.fragments.length === 0 && worthHolding(packet, length)) {
      piece = new Piece(packet.retain(), false);
      piece.from = packet.start + skip;
    } else {
      const copy = pool.take(length);
      copyPayload(packet, skip, length, copy.bytes, copy.end);
      piece = new Piece(copy, true);
      piece.from = copy.start;
      copy.end += length;
    }
    piece.start = start;
    piece.end = end;
    return piece;
  }

  /** Hands over what is contiguous from `next` on; returns the new RCV.NXT. */
  drain(next: number, sink: PieceSink): number {
    for (let piece = this.#head; piece !== undefined; piece = this.#head) {
      if (seqGt(piece.start, next)) break;
      if (seqGt(piece.end, next)) {
        const overlap = (next - piece.start) | 0;
        piece.buffer.retain();
        sink.deliver(piece.buffer, piece.from + overlap, (piece.end - next) | 0);
        next = piece.end;
      }
      this.#remove(piece);
    }
    return next;
  }

  /** Releases everything. */
  clear(): void {
    while (this.#head !== undefined) this.#remove(this.#head);
  }

  #link(piece: Piece, before: Piece | undefined, after: Piece | undefined): void {
    piece.previous = before;
    piece.next = after;
    if (before === undefined) this.#head = piece;
    else before.next = piece;
    if (after === undefined) this.#tail = piece;
    else after.previous = piece;
    this.#count++;
    this.#bytes += (piece.end - piece.start) | 0;
  }

  #remove(piece: Piece): void {
    if (piece.previous === undefined) this.#head = piece.next;
    else piece.previous.next = piece.next;
    if (piece.next === undefined) this.#tail = piece.previous;
    else piece.next.previous = piece.previous;
    this.#count--;
    this.#bytes -= (piece.end - piece.start) | 0;
    piece.buffer.release();
  }
}
