/**
 * The packet sockets of a network namespace, from `/proc/net/packet`.
 *
 * @module
 */

import { O } from "./arch.ts";
import { check } from "./errno.ts";
import { cString, NativeMemory } from "./memory.ts";
import { open, pread } from "./sys.ts";

/** Much longer than the lines of all our own. */
const SIZE = 16_384;
const NEWLINE = 0x0a;
const memory = new NativeMemory(SIZE);

/** A descriptor of the list of the network namespace this thread is in. Throws {@linkcode SystemError}. */
export function openPacketList(): number {
  const path = cString("/proc/thread-self/net/packet");
  return check(open(path.address, O.RDONLY | O.CLOEXEC, 0), "list packet sockets");
}

/**
 * How many packet sockets there are; a lower bound if they are very many.
 *
 * @param list from {@linkcode openPacketList}
 */
export function countPacketSockets(list: number): number {
  const length = pread(list, memory.address, SIZE, 0);
  let lines = 0;
  for (let i = 0; i < length; i++) if (memory.bytes[i] === NEWLINE) lines++;
  // The first is the head of the table.
  return Math.max(0, lines - 1);
}
