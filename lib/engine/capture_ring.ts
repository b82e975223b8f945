/**
 * The path of a capture from the engine to the main thread: a ring of bytes that both see.
 *
 * `postMessage` alone would queue without bound for a reader that is slow, and a pipe would cost a system call per
 * packet. Here a block is copied into the ring or, if there is no room, lost and counted; a message is posted only when
 * the reader has said that it found the ring empty and waits.
 *
 * ```text
 *   engine ── write ──▶ ring ──▶ read ── main thread          words: written, read, waiting
 *      └── "captured" (once per wait) ──▶ wakes it
 * ```
 *
 * `written` and `read` count bytes and wrap at 2³²; the size is a power of two, so their difference does not mind.
 *
 * @module
 */

/** Bytes that may wait for the reader of one capture: 64 super-packets. */
export const RING_SIZE = 4_194_304;

const WORDS = 3;
const WRITTEN = 0;
const READ = 1;
const WAITING = 2;

/** The memory of a ring. `size` must be a power of two. */
export function newRing(size: number = RING_SIZE): SharedArrayBuffer {
  return new SharedArrayBuffer(4 * WORDS + size);
}

class Ring {
  protected readonly words: Int32Array;
  protected readonly bytes: Uint8Array;
  protected readonly size: number;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, WORDS);
    this.bytes = new Uint8Array(memory, 4 * WORDS);
    this.size = this.bytes.length;
  }

  /** Bytes that have been written and not read. */
  protected filled(): number {
    return (Atomics.load(this.words, WRITTEN) - Atomics.load(this.words, READ)) >>> 0;
  }
}

/** The engine's side. */
export class RingWriter extends Ring {
  readonly #wake: () => void;

  /** @param wake called when a reader waits and there is something now */
  constructor(memory: SharedArrayBuffer, wake: () => void) {
    super(memory);
    this.#wake = wake;
  }

  /** Takes all of `block` or nothing. False: there is no room. */
  write(block: Uint8Array): boolean {
    if (block.length > this.size - this.filled()) return false;
    const at = (this.words[WRITTEN]! >>> 0) % this.size;
    const first = Math.min(block.length, this.size - at);
    this.bytes.set(first === block.length ? block : block.subarray(0, first), at);
    if (first < block.length) this.bytes.set(block.subarray(first), 0);
    Atomics.add(this.words, WRITTEN, block.length);
    if (Atomics.exchange(this.words, WAITING, 0) === 1) this.#wake();
    return true;
  }
}

/** The main thread's side. */
export class RingReader extends Ring {
  /** A copy of what is there, at most `limit` bytes; undefined: nothing, and the writer will wake us when there is. */
  read(limit: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.filled() === 0) {
      Atomics.store(this.words, WAITING, 1);
      // Written after we looked and before we said that we wait.
      if (this.filled() === 0) return undefined;
      Atomics.store(this.words, WAITING, 0);
    }
    const at = (this.words[READ]! >>> 0) % this.size;
    const taken = new Uint8Array(Math.min(limit, this.filled(), this.size - at));
    taken.set(this.bytes.subarray(at, at + taken.length));
    Atomics.add(this.words, READ, taken.length);
    return taken;
  }
}
