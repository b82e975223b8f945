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
