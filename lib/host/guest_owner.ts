/**
 * Who a thread of the guest runs as.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { namespaceOf } from "./process.ts";
import { statusOf } from "./process_status.ts";

/** What a user namespace calls users that it does not know (`kernel.overflowuid`). */
const NOBODY = 65_534;

/** The effective user of a thread; 0 when it is gone. Reads `/proc`: not for every packet. */
export function effectiveUser(thread: number): number {
  return Number(statusOf(thread)("Uid")?.split("\t")[1] ?? 0);
}

/** What users of our own user namespace are called in that of a thread. */
export function usersAsSeenBy(thread: number): (user: number) => number {
  if (namespaceOf(thread, "user") === namespaceOf("self", "user")) return (user) => user;
  let map = "";
  try {
    map = readFileSync(`/proc/${thread}/uid_map`, "utf8");
  } catch {
    // It is gone: nobody is told anything.
  }
  const ranges = [...map.matchAll(/(\d+)\s+(\d+)\s+(\d+)/g)].map((found) => found.slice(1).map(Number));
  return (user) => {
    for (const [inside, outside, count] of ranges) {
      if (user >= outside! && user < outside! + count!) return inside! + user - outside!;
    }
    return NOBODY;
  };
}
