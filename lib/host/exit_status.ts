/**
 * How a process ended.
 *
 * @module
 */

import { Errno } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { waitid } from "./sys.ts";

const P_ALL = 0, P_PID = 1, P_PIDFD = 3;
const WNOHANG = 1, WEXITED = 4, WNOWAIT = 0x0100_0000;
const CLD_EXITED = 1;

const siginfo = new NativeMemory(128);

/** Not over yet. */
export const RUNNING = -1;

/**
 * Exit status as a shell tells it: the program's own, or 128 + n for signal n; {@linkcode RUNNING}; or
 * another −errno.
 */
function status(idType: number, id: number, options: number): number {
  siginfo.words.fill(0);
  let result: number;
  do result = waitid(idType, id, siginfo.address, WEXITED | options); while (result === -Errno.EINTR);
  // EPERM is 1: keep it apart from RUNNING. waitid does not fail with it.
  if (result < 0) return result;
  if (siginfo.words[0] === 0) return RUNNING;
  const value = siginfo.words[6]!;
  return siginfo.words[2] === CLD_EXITED ? value : 128 + value;
}

/** Reaps the child behind `pidfd` if it is over; −ECHILD when it is not our child. */
export function reapPidfd(pidfd: number): number {
  return status(P_PIDFD, pidfd, WNOHANG);
}

/** Reaps child `pid` if it is over. */
export function reap(pid: number): number {
  return status(P_PID, pid, WNOHANG);
}

/** Waits for child `pid`, blocking this thread, and reaps it. */
export function waitStatus(pid: number): number {
  return status(P_PID, pid, 0);
}

/** Most orphans buried in one go. */
const BURIED = 256;

/**
 * Reaps children that are over, which came to us because we are the reaper of our descendants; `keep` is somebody else's
 * to reap. False: the kernel says that we have no child any more.
 */
export function reapOrphans(keep: number): boolean {
  for (let i = 0; i < BURIED; i++) {
    const result = status(P_ALL, 0, WNOHANG | WNOWAIT);
    if (result < 0) return result !== -Errno.ECHILD;
    const pid = siginfo.words[4]!;
    // The kernel shows the same one again until it is reaped, which happens in this turn.
    if (pid === keep) return true;
    reap(pid);
  }
  return true;
}
