/**
 * How much may be on its way between a guest and us, in the kernel's buffers.
 *
 * One guest alone has what keeps both sides busy. Many share: together they must not hold the kernel's memory, and what waits in
 * front of each is delay for all, in which connections stop to feel how fast the others are: then their windows decide who gets
 * how much, and windows are not fair.
 *
 * @module
 */

/** Bytes in each direction for one guest, … */
export const SOCKET_BUFFER = 1_024 * 1_024;
/** … for all of them together, … */
const ALL_BUFFERS = 16 * SOCKET_BUFFER;
/** … and for one in any case: two frames of 64 KiB. */
const LEAST_BUFFER = 128 * 1_024;
/** Buffers grow again when they may by so much: who comes and goes must not have all sockets changed each time. */
const GROWTH = 4;

/** The size for each of `guests`, when it was `current` so far. */
export function socketBuffer(guests: number, current: number = SOCKET_BUFFER): number {
  let bytes = SOCKET_BUFFER;
  while (bytes > LEAST_BUFFER && bytes * guests > ALL_BUFFERS) bytes /= 2;
  return bytes > current && bytes < GROWTH * current && bytes < SOCKET_BUFFER ? current : bytes;
}
