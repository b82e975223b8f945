/**
 * The end of what a program leaves behind.
 *
 * A daemon of the guest becomes our child when its own parent is gone, for we are the reaper of our descendants
 * (PR_SET_CHILD_SUBREAPER). Its sockets end with us: one that went on would ask a network that nobody answers for,
 * as fast as it can.
 *
 * Not every child is the guest's: a shell that executes us leaves us those that it has put in the background. The guest's
 * have our filter on top of those that we were born under, and cannot take it off. Without a filter, on a TAP, they are
 * those in the namespace that has it.
 *
 * @module
 */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { SIG } from "./constants.ts";
import { reapOrphans } from "./exit_status.ts";
import { statusOf } from "./process_status.ts";
import { kill } from "./sys.ts";

/** How long a daemon may take to end in good order. */
const GRACE_MILLISECONDS = 300;
/** When we give up on programs that fork faster than we kill. */
const KILL_MILLISECONDS = 2_000;
const ROUND_MILLISECONDS = 5;
/**
 * Walks in a row that find nobody before we believe it. `children` is exact only "if all the child processes are stopped or
 * frozen" (proc(5)): a walk may miss a daemon whose parent dies under it.
 */
const EMPTY_WALKS = 3;

/** Children of all threads of process `pid` that /proc tells of. */
function childrenOf(pid: number | "self"): number[] {
  return orNone(() => readdirSync(`/proc/${pid}/task`)).flatMap((thread) =>
    orNone(() => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ")).filter(Boolean)
  ).map(Number);
}

/** Nothing, where a process or a thread is over in the meantime: its children have another parent, and a next walk finds them. */
function orNone(read: () => string[]): string[] {
  try {
    return read();
  } catch {
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

/** The network namespace of a process, by the name that `/proc` gives it; undefined when it is over, or not ours to look at. */
export function networkNamespaceOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Processes in a network namespace. */
function processesIn(network: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number)
    .filter((pid) => networkNamespaceOf(pid) === network);
}

/**
 * Ends our descendants in the guest, or whoever is in network namespace `network`: SIGTERM, and SIGKILL for who is still
 * there {@linkcode GRACE_MILLISECONDS} later. Resolves when none is left; to how many there were after {@linkcode KILL_MILLISECONDS} of killing.
 */
export async function endDescendants(network?: string): Promise<number> {
  const find = network === undefined ? descendants : () => processesIn(network);
  const asked = new Set<number>();
  const began = performance.now();
  for (let empty = 0; network !== undefined || reapOrphans(0);) {
    const left = find();
    const waited = performance.now() - began;
    empty = left.length === 0 ? empty + 1 : 0;
    if (empty === EMPTY_WALKS) return 0;
    if (waited > GRACE_MILLISECONDS + KILL_MILLISECONDS) return left.length;
    for (const pid of left) {
      if (waited > GRACE_MILLISECONDS) kill(pid, SIG.KILL);
      if (asked.has(pid)) continue;
      asked.add(pid);
      kill(pid, SIG.TERM);
      // SIGTERM reaches a stopped process when it goes on.
      kill(pid, SIG.CONT);
    }
    await new Promise((resolve) => setTimeout(resolve, ROUND_MILLISECONDS));
  }
  return 0;
}
