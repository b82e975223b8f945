/**
 * A bounded set of ranges `[start, end)`: what of a stream or of a datagram has arrived so far.
 *
 * Numbers are 32-bit integers compared as RFC 9293 section 3.4 compares sequence numbers, by the sign of their
 * difference, so the same set serves TCP (numbers that wrap) and IP fragments (numbers from 0). All ranges of one set
 * must lie within 2³¹ of each other; for TCP the receive window guarantees that.
 *
 * Touching ranges are merged, so a set never holds two ranges without a gap between them. The number of ranges has a
 * limit, because each gap is a promise to remember something for a peer who may be hostile.
 *
 * @module
 */

/** Ranges in ascending order, disjoint and not touching. */
export class RangeSet {
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  #count = 0;

  /** @param limit the largest number of ranges it will hold */
  constructor(limit: number) {
    this.#starts = new Int32Array(limit);
    this.#ends = new Int32Array(limit);
  }

  /** Number of ranges. */
  get count(): number {
    return this.#count;
  }

  /** First number of range `i` (an int32). `i` must be below {@linkcode count}. */
  start(i: number): number {
    return this.#starts[i]!;
  }

  /** One past the last number of range `i` (an int32). */
  end(i: number): number {
    return this.#ends[i]!;
  }

  /** Numbers covered by all ranges together. */
  get covered(): number {
    let sum = 0;
    for (let i = 0; i < this.#count; i++) sum += (this.#ends[i]! - this.#starts[i]!) | 0;
    return sum;
  }

  /**
   * Adds `[start, end)`; an empty range changes nothing. Returns false, with the set unchanged, if one more gap would
   * exceed the limit.
   */
  add(start: number, end: number): boolean {
    start |= 0;
    end |= 0;
    if (((end - start) | 0) <= 0) return true;
    const from = this.#firstNotBefore(start);
    let to = from;
    // Every range that overlaps or touches [start, end) is swallowed by it.
    while (to < this.#count && ((this.#starts[to]! - end) | 0) <= 0) to++;
    if (from === to) return this.#insert(from, start, end);
    if (((start - this.#starts[from]!) | 0) < 0) this.#starts[from] = start;
    const last = this.#ends[to - 1]!;
    this.#ends[from] = ((last - end) | 0) > 0 ? last : end;
    this.#cut(from + 1, to);
    return true;
  }

  /** Takes `[start, end)` out. Returns false, with the set unchanged, if that would split a range beyond the limit. */
  remove(start: number, end: number): boolean {
    start |= 0;
    end |= 0;
    if (((end - start) | 0) <= 0) return true;
    let from = this.#firstAfter(start);
    if (from === this.#count) return true;
    if (((this.#starts[from]! - start) | 0) < 0) {
      const tail = this.#ends[from]!;
      if (((tail - end) | 0) > 0) {
        if (!this.#insert(from + 1, end, tail)) return false;
        this.#ends[from] = start;
        return true;
      }
      this.#ends[from] = start;
      from++;
    }
    let to = from;
    while (to < this.#count && ((this.#ends[to]! - end) | 0) <= 0) to++;
    if (to < this.#count && ((this.#starts[to]! - end) | 0) < 0) this.#starts[to] = end;
    this.#cut(from, to);
    return true;
  }

  /** The end of the range that holds `at`; `at` itself (an int32) if none does. */
  reach(at: number): number {
    at |= 0;
    const i = this.#firstAfter(at);
    return i < this.#count && ((this.#starts[i]! - at) | 0) <= 0 ? this.#ends[i]! : at;
  }

  /** Whether all of `[start, end)` is covered. An empty range is. */
  contains(start: number, end: number): boolean {
    if (((end - start) | 0) <= 0) return true;
    return ((this.reach(start) - end) | 0) >= 0;
  }

  /** The range that holds `at`, or -1. */
  indexOf(at: number): number {
    const i = this.#firstAfter(at | 0);
    return i < this.#count && ((this.#starts[i]! - at) | 0) <= 0 ? i : -1;
  }

  clear(): void {
    this.#count = 0;
  }

  /** The first range that ends at or behind `at`: it overlaps or touches what starts there. */
  #firstNotBefore(at: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (((this.#ends[middle]! - at) | 0) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The first range that ends behind `at`. */
  #firstAfter(at: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (((this.#ends[middle]! - at) | 0) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(at: number, start: number, end: number): boolean {
    if (this.#count === this.#starts.length) return false;
    this.#starts.copyWithin(at + 1, at, this.#count);
    this.#ends.copyWithin(at + 1, at, this.#count);
    this.#starts[at] = start;
    this.#ends[at] = end;
    this.#count++;
    return true;
  }

  #cut(from: number, to: number): void {
    if (from === to) return;
    this.#starts.copyWithin(from, to, this.#count);
    this.#ends.copyWithin(from, to, this.#count);
    this.#count -= to - from;
  }
}
