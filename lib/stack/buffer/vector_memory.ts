/**
 * Memory whose bytes the machine's vector unit can reach, by way of WebAssembly: what lies in it is summed four times as fast
 * (`scripts/bench/checksum.ts`). To copy bytes there first would cost more than it saves, so packet buffers are made in it.
 *
 * It has the size that it is made with, and is given back with the pool. It never grows: growing would take the bytes away from
 * all buffers in it. When it is full there are ordinary buffers, which `onesComplementSum` sums.
 *
 * @module
 */

import { EXPORTED, IMPORTED, VECTOR_SUM_MAX, vectorSumModule } from "../wire/vector_sum.ts";

const PAGE = 65_536;
/** Buffers begin at multiples of this. */
const ALIGNMENT = 64;

/** A block of such memory, of which parts can be taken and not given back. */
export class VectorMemory {
  /**
   * The sum of bytes `[at, end)` as if `at` were even: RFC 1071, folded to 16 bits and not complemented, like
   * `onesComplementSum`. Throws a `RuntimeError` for bytes that are not in the memory.
   */
  readonly sum: (at: number, end: number) => number;
  readonly #bytes: ArrayBuffer;
  #taken = 0;

  private constructor(memory: WebAssembly.Memory, sum: (at: number, end: number) => number) {
    this.#bytes = memory.buffer as ArrayBuffer;
    this.sum = sum;
  }

  /** At least so many bytes; undefined where the engine has no WebAssembly, no vector instructions or no room for it. */
  static create(size: number): VectorMemory | undefined {
    try {
      const pages = Math.ceil(size / PAGE);
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      const module = new WebAssembly.Module(vectorSumModule(pages));
      const { exports } = new WebAssembly.Instance(module, {
        [IMPORTED.module]: { [IMPORTED.memory]: memory },
      });
      return new VectorMemory(memory, exports[EXPORTED] as (at: number, end: number) => number);
    } catch {
      return undefined;
    }
  }

  /** Bytes that can still be taken. */
  get left(): number {
    return this.#bytes.byteLength - this.#taken;
  }

  /** Where the next `length` bytes begin, which belong to the caller from now on; −1 if there are not so many. */
  take(length: number): number {
    if (length > VECTOR_SUM_MAX) throw new RangeError(`Cannot sum ${length} bytes at once`);
    const at = this.#taken;
    if (at + length > this.#bytes.byteLength) return -1;
    this.#taken = at + Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    return at;
  }

  /** Bytes `[at, at + length)`. */
  bytes(at: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes, at, length);
  }
}
