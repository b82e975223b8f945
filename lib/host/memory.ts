/**
 * Memory that C can see.
 *
 * @module
 */

import { addressOf } from "./ffi/mod.ts";

export { addressOf } from "./ffi/mod.ts";

const TWO_TO_31 = 2 ** 31, TWO_TO_32 = 2 ** 32, TWO_TO_MINUS_32 = 2 ** -32;

/** Bytes with a known native address. The memory lives as long as this object is reachable. */
export class NativeMemory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** The same memory as 32-bit words, in the machine's byte order. */
  readonly words: Int32Array<ArrayBuffer>;
  /** Native address of `bytes[0]`, a multiple of 8. */
  readonly address: number;

  constructor(size: number) {
    const buffer = new ArrayBuffer(Math.max(8, (size + 7) & ~7));
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
    this.address = addressOf(this.bytes);
  }

  /**
   * Writes a 64-bit address or length, little-endian.
   *
   * A double of more than 31 bits takes both engines a call to convert to a word; of halves that are in range of an int32 the
   * conversion is one instruction, and this is done a million times a second.
   */
  setPointer(at: number, value: number): void {
    const high = (value * TWO_TO_MINUS_32) | 0;
    const low = value - high * TWO_TO_32;
    this.view.setInt32(at, low < TWO_TO_31 ? low : low - TWO_TO_32, true);
    this.view.setInt32(at + 4, high, true);
  }

  /** Reads a 64-bit number below 2^53. */
  getPointer(at: number): number {
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 4294967296;
  }
}

/** New zeroed memory. */
export function alloc(size: number): NativeMemory {
  return new NativeMemory(size);
}

/**
 * Memory of one size for those who come and go: left by one, it is the next one's. As garbage it would wait for a collector
 * that sees a small object, however much hangs on it.
 */
export class MemoryShelf {
  readonly #size: number;
  readonly #keep: number;
  readonly #idle: NativeMemory[] = [];

  /** @param keep how many wait for the next one at most */
  constructor(size: number, keep: number) {
    this.#size = size;
    this.#keep = keep;
  }

  /** Memory with anything in it. */
  take(): NativeMemory {
    return this.#idle.pop() ?? new NativeMemory(this.#size);
  }

  /** Nobody may use it any more. */
  leave(memory: NativeMemory): void {
    if (this.#idle.length < this.#keep) this.#idle.push(memory);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A NUL-terminated copy of `text`. Throws for a NUL inside it. */
export function cString(text: string): NativeMemory {
  if (text.includes("\0")) throw new TypeError("Cannot hand text to C: it holds a NUL");
  const bytes = encoder.encode(text);
  const memory = new NativeMemory(bytes.length + 1);
  memory.bytes.set(bytes);
  return memory;
}

/** A NULL-terminated vector of strings as `execve` wants it; keeps them alive. */
export class StringVector {
  readonly #strings: readonly NativeMemory[];
  readonly #vector: NativeMemory;

  constructor(strings: readonly string[]) {
    this.#strings = strings.map(cString);
    this.#vector = new NativeMemory(8 * (strings.length + 1));
    this.#strings.forEach((string, i) => this.#vector.setPointer(8 * i, string.address));
  }

  get address(): number {
    return this.#vector.address;
  }
}

/** The text in `bytes[at, …)` up to the first NUL. */
export function textAt(bytes: Uint8Array, at: number, limit: number = bytes.length - at): string {
  let end = at;
  while (end < at + limit && bytes[end] !== 0) end++;
  return decoder.decode(bytes.subarray(at, end));
}
