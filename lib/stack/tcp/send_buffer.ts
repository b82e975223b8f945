/**
 * What the user wrote, on its way into the send queue: large chunks by reference, small ones copied together.
 *
 * @module
 */

import type { ChunkQueue } from "../buffer/chunk_queue.ts";
import { HEADROOM, type PacketBuffer } from "../buffer/packet.ts";
import { type BufferPool, LARGE, MEDIUM } from "../buffer/pool.ts";
import type { TcpOptions } from "./options.ts";

/** Shorter chunks are copied into their predecessor: that bounds the fragments of a packet, and the cost of a byte. */
const COPY_BELOW = 2_048;
/** How far beyond the room one chunk may reach: who has a super-packet in hand need not cut it. */
const SLACK = 65_536;

/** The filling end of a send queue. */
export class SendBuffer {
  /** A write found the queue full: its user waits to be told. */
  wanted = false;
  readonly #queue: ChunkQueue;
  readonly #pool: BufferPool;
  readonly #options: TcpOptions;
  /** The buffer that small writes are copied to. */
  #tail: PacketBuffer | undefined = undefined;
  #size: number;

  constructor(queue: ChunkQueue, pool: BufferPool, options: TcpOptions) {
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
    const room = this.#capacity(cwnd) - this.#queue.length;
    return room > 0 ? room : 0;
  }

  /** Whether who waits should be told: Linux waits for a third of the buffer, so that users write in large pieces. */
  shouldTell(cwnd: number): boolean {
    return this.wanted && 3 * this.room(cwnd) >= this.#capacity(cwnd);
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
