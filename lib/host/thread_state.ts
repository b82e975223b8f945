/**
 * What a thread is doing.
 *
 * @module
 */

import { directoryExists } from "./files.ts";
import { statOf } from "./process_status.ts";

/**
 * Whether a thread runs, would run if it had a processor, or is stopped (proc(5), field 3 of `stat`: neither `S` nor over);
 * false when it is gone.
 */
export function isAtWork(thread: number): boolean {
  const state = statOf(thread)?.[0];
  return state !== undefined && "RDTt".includes(state);
}

/** Whether thread `thread` is there, in a `/proc` that is ours. */
export function threadExists(thread: number): boolean {
  return directoryExists(`/proc/${thread}`);
}
