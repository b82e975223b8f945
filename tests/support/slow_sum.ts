/**
 * The Internet checksum as the RFC has it, to compare the fast ones with.
 *
 * @module
 */

/** RFC 1071 section 4.1, word by word; on top of `initial`. */
export function slowSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}
