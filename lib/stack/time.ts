/**
 * Time as the stack knows it: a number that its caller hands in.
 *
 * @module
 */

declare const instant: unique symbol;

/** Microseconds since an arbitrary start; monotonic, never a wall clock. */
export type Instant = number & { readonly [instant]: true };

/** A length of time in microseconds. */
export type Microseconds = number;

/** "Only a packet can wake me." */
export const NEVER = Infinity as Instant;

/** One millisecond, in {@linkcode Microseconds}. */
export const MILLISECOND = 1_000;

/** One second, in {@linkcode Microseconds}. */
export const SECOND = 1_000_000;

/** `at` moved by `by` microseconds. */
export function later(at: Instant, by: Microseconds): Instant {
  return (at + by) as Instant;
}

/** The earlier of two instants. */
export function earlier(a: Instant, b: Instant): Instant {
  return a < b ? a : b;
}
