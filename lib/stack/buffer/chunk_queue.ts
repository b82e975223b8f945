/**
 * A queue of bytes held as references into packet buffers: TCP's send and receive queue.
 *
 * The queue keeps cursors of its own for every chunk and never moves those of the buffer, because one buffer may hang in
 * several places at once: on loopback, the sender's retransmission queue and the receiver's queue hold the same bytes.
 *
 * Every chunk remembers its position in the stream (a plain number that only grows), so that the chunk at an offset is
 * found by bisection: a window of ten thousand small chunks must not cost a walk per segment.
 *
 * @module
 */

import { type Fragment, PacketBuffer } from "./packet.ts";

/** One chunk of the queue: bytes `[start, end)` of `buffer`. Valid until it is consumed; then the object is reused. */
export interface Chunk extends Fragment {
  /** Stream position of the byte at `start`. */
  position: number;
  /** Bytes of the buffer, if no chunk before has the same one. */
  memory: number;
}

const NOTHING = new PacketBuffer(new Uint8Array(0));

/** First in, first out, by bytes. */
export class ChunkQueue {
  /** A ring whose capacity is a power of two. Objects stay in it for reuse. */
  #ring: Chunk[] = [];
  #head = 0;
  #count = 0;
  #length = 0;
  #memory = 0;
  /** Stream position behind the last byte. */
  #tail = 0;

  /** Bytes in the queue. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of the buffers that hold them. One counts once if its chunks are neighbours. */
  get memory(): number {
    return this.#memory;
  }

  /** Chunks in the queue. */
  get count(): number {
    return this.#count;
  }

  /** Chunk `i`, 0 being the oldest. `i` must be below {@linkcode count}. */
  at(i: number): Chunk {
    return this.#ring[(this.#head + i) & (this.#ring.length - 1)]!;
  }

  /** The youngest chunk. */
  last(): Chunk | undefined {
    return this.#count === 0 ? undefined : this.at(this.#count - 1);
  }

  /** Appends `[start, end)` of `buffer`, and takes over the caller's hold on it. An empty chunk is released at once. */
  push(buffer: PacketBuffer, start: number = buffer.start, end: number = buffer.end): void {
    if (end <= start) {
      buffer.release();
      return;
    }
    if (this.#count === this.#ring.length) this.#grow();
    const held = this.#count > 0 && this.at(this.#count - 1).buffer === buffer;
    const chunk = this.at(this.#count++);
    chunk.buffer = buffer;
    chunk.memory = held ? 0 : buffer.bytes.length;
    this.#memory += chunk.memory;
    chunk.start = start;
    chunk.end = end;
    chunk.position = this.#tail;
    this.#length += end - start;
    this.#tail += end - start;
  }

  /** Says that `n` bytes were written behind the end of the youngest chunk, in its buffer. */
  extendLast(n: number): void {
    this.at(this.#count - 1).end += n;
    this.#length += n;
    this.#tail += n;
  }

  /** Drops the first `n` bytes and releases the buffers that this empties. `n` is at most {@linkcode length}. */
  consume(n: number): void {
    if (n > this.#length) throw new RangeError(`Cannot consume ${n} bytes: the queue holds ${this.#length}`);
    this.#length -= n;
    while (n > 0) {
      const chunk = this.at(0);
      const size = chunk.end - chunk.start;
      if (n < size) {
        chunk.start += n;
        chunk.position += n;
        return;
      }
      n -= size;
      this.#drop(chunk);
    }
  }

  /** Releases everything, the room for chunks too: connections in TIME-WAIT are many, and need none. */
  clear(): void {
    this.consume(this.#length);
    this.#ring = [];
    this.#head = 0;
  }

  /** The chunk that holds the byte at `offset` from the front; `offset` must be below {@linkcode length}. */
  indexAt(offset: number): number {
    const position = this.#tail - this.#length + offset;
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.at(middle).position <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Hangs bytes `[offset, offset + length)` on the end of `packet` by reference. They must be in the queue. */
  attachTo(packet: PacketBuffer, offset: number, length: number): void {
    if (offset + length > this.#length) {
      throw new RangeError(`Cannot attach bytes up to ${offset + length}: the queue holds ${this.#length}`);
    }
    if (length <= 0) return;
    let skip = this.#tail - this.#length + offset;
    for (let i = this.indexAt(offset); length > 0; i++) {
      const chunk = this.at(i);
      const start = chunk.start + (skip - chunk.position);
      const size = Math.min(length, chunk.end - start);
      packet.attach(chunk.buffer, start, start + size);
      skip += size;
      length -= size;
    }
  }

  /** Copies as many bytes from `offset` on as fit to `into`, without consuming them; returns how many. */
  copyTo(into: Uint8Array, offset = 0): number {
    const total = Math.min(into.length, this.#length - offset);
    if (total <= 0) return 0;
    let copied = 0;
    let skip = this.#tail - this.#length + offset;
    for (let i = this.indexAt(offset); copied < total; i++) {
      const chunk = this.at(i);
      const start = chunk.start + (skip - chunk.position);
      const size = Math.min(total - copied, chunk.end - start);
      into.set(chunk.buffer.load().bytes.subarray(start, start + size), copied);
      skip += size;
      copied += size;
    }
    return copied;
  }

  #drop(chunk: Chunk): void {
    const buffer = chunk.buffer;
    chunk.buffer = NOTHING;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#count--;
    if (chunk.memory > 0) {
      // Those behind it may still hold the buffer.
      if (this.#count > 0 && this.at(0).buffer === buffer) this.at(0).memory = chunk.memory;
      else this.#memory -= chunk.memory;
    }
    buffer.release();
  }

  #grow(): void {
    const bigger: Chunk[] = [];
    for (let i = 0; i < this.#count; i++) bigger.push(this.at(i));
    const capacity = Math.max(8, 2 * this.#count);
    while (bigger.length < capacity) {
      bigger.push({ buffer: NOTHING, start: 0, end: 0, position: 0, memory: 0 });
    }
    this.#ring = bigger;
    this.#head = 0;
  }
}
