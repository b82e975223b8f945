/**
 * Arithmetic on TCP sequence numbers.
 *
 * Sequence space is a ring of 2³² (RFC 9293 section 3.4), and "before" means "less than half the ring behind". Numbers
 * are held as *signed* 32-bit integers, which both engines keep unboxed; any number is accepted and reduced.
 *
 * @module
 */

/** How far `a` is ahead of `b`: positive if after, negative if before. Exactly half the ring counts as before. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0;
}

/** `a` moved forwards by `n` bytes. */
export function seqAdd(a: number, n: number): number {
  return (a + n) | 0;
}

/** `a` is before `b`. */
export function seqLt(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** `a` is before or at `b`. */
export function seqLe(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

/** `a` is after `b`. */
export function seqGt(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/** `a` is after or at `b`. */
export function seqGe(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

/** The earlier of two. */
export function seqMin(a: number, b: number): number {
  return ((a - b) | 0) <= 0 ? a | 0 : b | 0;
}
