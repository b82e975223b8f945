/**
 * Descriptors beyond the standard three that we were started with, such as those of `program <(command)`: they are the
 * guest's.
 *
 * Bun marks everything it finds open as close-on-exec before any script runs, so the mark tells nothing. What it has
 * opened itself by then are epoll sets and eventfds; the rest was there. Deno opens files, sockets and copies of the
 * standard streams of its own that nothing tells apart from those, so there none is passed on.
 *
 * @module
 */

import { readdirSync, readlinkSync } from "node:fs";
import { F } from "./constants.ts";
import { check } from "./errno.ts";
import { close, dup3, fcntl } from "./sys.ts";

export const FD_CLOEXEC = 1;

/** Their numbers, ascending. Ask before anything else is opened. */
export function inheritedDescriptors(): readonly number[] {
  if (typeof Deno !== "undefined") return [];
  const inherited: number[] = [];
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (fd <= 2) continue;
    try {
      if (!readlinkSync(`/proc/self/fd/${name}`).startsWith("anon_inode:")) inherited.push(fd);
    } catch {
      // The descriptor of this very listing, closed again.
    }
  }
  return inherited.sort((a, b) => a - b);
}

/** Sets whether `fd` is closed when another program is executed. */
export function setCloseOnExec(fd: number, yes: boolean): void {
  check(fcntl(fd, F.SETFD, yes ? FD_CLOEXEC : 0), `keep descriptor ${fd}`);
}

/** Gives descriptor `from` the number `to`, across execution of another program, too; `from` is closed. */
export function moveDescriptor(from: number, to: number): void {
  check(dup3(from, to, 0), `move descriptor ${from}`);
  close(from);
}
