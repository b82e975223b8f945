/**
 * Who a thread of the guest runs as.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/** The effective user of a thread; 0 when it is gone. Reads `/proc`: not for every packet. */
export function effectiveUser(thread: number): number {
  try {
    const found = /^Uid:\s*\d+\s+(\d+)/m.exec(readFileSync(`/proc/${thread}/status`, "utf8"));
    return Number(found?.[1] ?? 0);
  } catch {
    return 0;
  }
}
