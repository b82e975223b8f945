/**
 * What a stack has taken from its user and the other side has not got yet.
 *
 * @module
 */

import type { Stack } from "./stack.ts";

/** States in which the user has closed and the other side may not know. */
const CLOSING: ReadonlySet<string> = new Set(["FIN-WAIT-1", "CLOSING", "LAST-ACK"]);
/** States in which data may be on the way. */
const OPEN: ReadonlySet<string> = new Set(["ESTAB", "CLOSE-WAIT"]);

/** Connections with unacknowledged data or an unacknowledged end, and how many of their bytes have arrived. */
export function unfinishedOf(stack: Stack): { flows: number; bytes: number } {
  let flows = 0, bytes = 0;
  for (const { state, sendQueue, tcp } of stack.tcp.facts()) {
    if (tcp === undefined || !(CLOSING.has(state) || (sendQueue > 0 && OPEN.has(state)))) continue;
    flows++;
    bytes += tcp.bytesAcked;
  }
  return { flows, bytes };
}
