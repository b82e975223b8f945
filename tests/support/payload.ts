/**
 * Bytes to move.
 *
 * @module
 */

/** `size` bytes (a multiple of 4) that no two offsets share by accident: xorshift32 (Marsaglia 2003). */
export function payload(size: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(size / 4);
  let x = 0x2545f491;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer);
}
