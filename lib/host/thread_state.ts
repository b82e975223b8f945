/**
 * What a thread is doing.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/**
 * Whether a thread runs, would run if it had a processor, or is stopped (proc(5), field 3 of `stat`: neither `S` nor over);
 * false when it is gone.
 */
export function isAtWork(thread: number): boolean {
  try {
    const stat = readFileSync(`/proc/${thread}/stat`, "utf8");
    return "RDTt".includes(stat.charAt(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}
