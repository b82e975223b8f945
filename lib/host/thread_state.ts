/**
 * What a thread is doing.
 *
 * @module
 */

import { statOf } from "./process_status.ts";

/**
 * Whether a thread runs, would run if it had a processor, or is stopped (proc(5), field 3 of `stat`: neither `S` nor over);
 * false when it is gone.
 */
export function isAtWork(thread: number): boolean {
  const state = statOf(thread)?.[0];
  return state !== undefined && "RDTt".includes(state);
}
