/**
 * The end of what a program leaves behind.
 *
 * A daemon of the guest becomes our child when its own parent is gone, for we are the reaper of our descendants
 * (PR_SET_CHILD_SUBREAPER). Its sockets end with us: one that went on would ask a network that nobody answers for,
 * as fast as it can.
 *
 * Not every child is the guest's: a shell that executes us leaves us those that it has put in the background. The guest's
 * have our filter on top of those that we were born under, and cannot take it off.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { SIG } from "./constants.ts";
import { reapOrphans } from "./exit_status.ts";
import { statusOf } from "./process_status.ts";
import { kill } from "./sys.ts";

/** How long a daemon may take to end in good order. */
const GRACE_MILLISECONDS = 300;
/** When we give up on programs that fork faster than we kill. */
const KILL_MILLISECONDS = 2_000;
const ROUND_MILLISECONDS = 5;

/** Children of all threads of process `pid`, none where /proc is not ours or the kernel does not tell. */
function childrenOf(pid: number | "self"): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number)
    );
  } catch {
    // Over in the meantime: its children are ours by now, and next round's.
    return [];
  }
}

/** Seccomp filters of a process; 0 when it is over. */
function filtersOf(pid: number | "self"): number {
  return Number(statusOf(pid)("Seccomp_filters") ?? 0);
}

/** Descendants that are the guest's. */
function descendants(): number[] {
  const found = childrenOf("self");
  // The list grows while it is walked.
  for (const pid of found) found.push(...childrenOf(pid));
  const ours = filtersOf("self");
  return found.filter((pid) => filtersOf(pid) > ours);
}

/**
 * Ends our descendants in the guest: SIGTERM, and SIGKILL for who is still there {@linkcode GRACE_MILLISECONDS} later. Resolves when
 * none is left; to how many there were after {@linkcode KILL_MILLISECONDS} of killing.
 */
export async function endDescendants(): Promise<number> {
  let left = descendants();
  // SIGTERM reaches a stopped process when it goes on.
  for (const signal of left.length === 0 ? [] : [SIG.TERM, SIG.CONT]) {
    left.forEach((pid) => kill(pid, signal));
  }
  const began = performance.now();
  while (left.length > 0) {
    await new Promise((resolve) => setTimeout(resolve, ROUND_MILLISECONDS));
    reapOrphans(0);
    left = descendants();
    const waited = performance.now() - began;
    if (waited > GRACE_MILLISECONDS) left.forEach((pid) => kill(pid, SIG.KILL));
    if (waited > GRACE_MILLISECONDS + KILL_MILLISECONDS) break;
  }
  return left.length;
}
