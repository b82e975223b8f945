/**
 * What the user wrote, on its way into the send queue: large chunks by reference, small ones copied together.
 *
 * @module
 */

import type { ChunkQueue } from "../buffer/chunk_queue.ts";
import { HEADROOM, type PacketBuffer } from "../buffer/packet.ts";
import { type BufferPool, LARGE, MEDIUM } from "../buffer/pool.ts";
import { LEAST, type MemoryAccount } from "./memory.ts";
import type { TcpOptions } from "./options.ts";

/** Shorter chunks are copied into their predecessor: that bounds the fragments of a packet, and the cost of a byte. */
const COPY_BELOW = 2_048;
/** How far beyond the room one chunk may reach: who has a super-packet in hand need not cut it. */
const SLACK = 65_536;

/** The filling end of a send queue. */
export class SendBuffer {
  /** The user found the queue full, and waits to be told. */
  wanted = false;
  readonly #queue: ChunkQueue;
  readonly #pool: BufferPool;
  readonly #options: TcpOptions;
  readonly #memory: MemoryAccount;
  /** The buffer that small writes are copied to. */
  #tail: PacketBuffer | undefined = undefined;
  #size: number;

  constructor(queue: ChunkQueue, pool: BufferPool, options: TcpOptions, memory: MemoryAccount) {
    this.#memory = memory;
    this.#size = options.sendBuffer;
    this.#queue = queue;
    this.#pool = pool;
    this.#options = options;
  }

  /**
   * Linux' auto-tuning: room for what may be in flight, and as much again. It never shrinks: who was told that there is room
   * must find it, though a loss has halved the window in between, or it would wait for ever to be told again.
   */
  #capacity(cwnd: number): number {
    const wish = Math.min(this.#options.sendBufferMax, 2 * cwnd);
    if (wish > this.#size) this.#size = wish;
    return this.#size;
  }

  /** Bytes there is room for. */
  room(cwnd: number): number {
    const { length } = this.#queue;
    let room = this.#capacity(cwnd) - length;
    // Nothing is added to what is there: a small write would open another buffer behind a large chunk.
    if (this.#memory.pressed) room = length > 0 ? 0 : Math.min(room, LEAST);
    if (room > 0) return room;
    this.wanted = true;
    return 0;
  }

  /** How much of at most `most` bytes to write at once: with any room at all all of it, unless memory is short. */
  piece(most: number, cwnd: number): number {
    const room = this.room(cwnd);
    return room > 0 && !this.#memory.pressed ? most : Math.min(most, room);
  }

  /**
   * Whether who waits should be told: Linux waits for a third of the buffer, so that users write in large pieces. Where memory
   * is short there is no more than there is.
   */
  shouldTell(cwnd: number): boolean {
    if (!this.wanted) return false;
    const room = this.room(cwnd);
    return 3 * room >= this.#capacity(cwnd) || (room > 0 && this.#queue.length === 0);
  }

  /** Takes over a chunk.
   * @throws RangeError if it is 64 KiB larger than the room
   */
  write(chunk: PacketBuffer, cwnd: number): void {
    const length = chunk.length;
    const room = this.room(cwnd);
    if (length > room + SLACK) {
      throw new RangeError(`Cannot write ${length} bytes: there is room for ${room}`);
    }
    // One whose bytes are elsewhere costs the same whatever its length.
    if (chunk.source === undefined && (length < COPY_BELOW || length * 4 < chunk.bytes.length)) {
      this.#copy(chunk.bytes, chunk.start, chunk.end);
      chunk.release();
    } else this.#queue.push(chunk);
    if (length >= room) this.wanted = true;
  }

  /** Copies what there is room for; returns how much. */
  writeBytes(bytes: Uint8Array, cwnd: number): number {
    const room = this.room(cwnd);
    if (bytes.length >= room) this.wanted = true;
    const length = Math.min(bytes.length, room);
    this.#copy(bytes, 0, length);
    return length;
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const queue = this.#queue;
    while (start < end) {
      const last = queue.last();
      let tail = this.#tail;
      // The bytes behind what was sent are nobody's yet: appending to a buffer that is on its way is safe.
      if (last !== undefined && tail !== undefined && last.buffer === tail && last.end < tail.bytes.length) {
        const n = Math.min(end - start, tail.bytes.length - last.end);
        tail.bytes.set(bytes.subarray(start, start + n), last.end);
        queue.extendLast(n);
        tail.end = last.end;
        start += n;
        continue;
      }
      const want = last === undefined ? end - start : Math.max(end - start, MEDIUM - HEADROOM);
      tail = this.#pool.take(Math.min(want, LARGE - HEADROOM));
      this.#tail = tail;
      const n = Math.min(end - start, tail.bytes.length - tail.end);
      tail.bytes.set(bytes.subarray(start, start + n), tail.end);
      tail.end += n;
      start += n;
      queue.push(tail, tail.start, tail.end);
    }
  }
}
