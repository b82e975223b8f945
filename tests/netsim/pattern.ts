/**
 * The bytes that transfers are made of, and the check that they arrived.
 *
 * @module
 */

/** A prime, so that bytes which are shifted by any power of two or by a segment do not look right. */
export const PERIOD = 65_521;

/** Two periods, so that a period can be taken from any offset. */
export const PATTERN: Uint8Array = pattern();

function pattern(): Uint8Array {
  const bytes = new Uint8Array(2 * PERIOD);
  let state = 1;
  for (let i = 0; i < PERIOD; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = bytes[i + PERIOD] = state >>> 24;
  }
  return bytes;
}

/** Compares what arrives with the pattern. */
export class PatternCheck {
  /** Bytes seen. */
  count = 0;
  /** Position of the first byte that was not the right one; -1 if there was none. */
  wrongAt = -1;

  /** The next `length` bytes, from `at`. */
  take(bytes: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length;) {
      const run = Math.min(length - i, PERIOD);
      if (this.wrongAt < 0) this.#compare(bytes, at + i, this.count % PERIOD, run);
      this.count += run;
      i += run;
    }
  }

  #compare(bytes: Uint8Array, at: number, from: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== PATTERN[from + i]) {
        this.wrongAt = this.count + i;
        return;
      }
    }
  }
}
