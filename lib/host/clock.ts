/**
 * The monotonic clock. Unlike `performance.now()` it has one origin for all threads and processes.
 *
 * @module
 */

import { CLOCK } from "./constants.ts";
import { NativeMemory } from "./memory.ts";
import { clock_gettime } from "./sys.ts";

const timespec = new NativeMemory(16);
const { words, address } = timespec;

/** Microseconds since the machine started. 30 ns. */
export function monotonic(): number {
  clock_gettime(CLOCK.MONOTONIC, address);
  return words[0]! * 1_000_000 + Math.trunc(words[2]! / 1_000);
}

/** Microseconds since 1970, as exact as the kernel's own stamps on packets. */
export function realTime(): number {
  clock_gettime(CLOCK.REALTIME, address);
  return words[0]! * 1_000_000 + Math.trunc(words[2]! / 1_000);
}

/** Microseconds since 1970, for what a person reads. */
export function wallClock(): number {
  return Date.now() * 1_000;
}
