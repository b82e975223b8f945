/**
 * Who has what: searches of the descriptors of processes that we may look into.
 *
 * @module
 */

import { readdirSync, readlinkSync } from "node:fs";
import process from "node:process";

/** A descriptor of another process. */
export interface Holder {
  readonly process: number;
  readonly descriptor: number;
}

/** Descriptors of one process that are looked at before it counts as one that could have anything. */
const MOST_DESCRIPTORS = 1_024;

/** Whether a process (or the thread's) has an epoll set; true as well when that cannot be found out. */
export function hasEpoll(thread: number): boolean {
  const descriptors = entries(`/proc/${thread}/fd`);
  if (descriptors.length === 0 || descriptors.length > MOST_DESCRIPTORS) return true;
  return descriptors.some((descriptor) => {
    try {
      return readlinkSync(`/proc/${thread}/fd/${descriptor}`) === "anon_inode:[eventpoll]";
    } catch {
      return false;
    }
  });
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // gone meanwhile, or not ours to see
  }
}

/** A process other than this one that holds the socket with this inode. Costs a system call per descriptor of the machine. */
export function findSocket(inode: number): Holder | undefined {
  const wanted = `socket:[${inode}]`;
  for (const name of entries("/proc")) {
    const id = Number(name);
    if (!(id > 0) || id === process.pid) continue;
    for (const descriptor of entries(`/proc/${name}/fd`)) {
      try {
        if (readlinkSync(`/proc/${name}/fd/${descriptor}`) !== wanted) continue;
      } catch {
        continue;
      }
      return { process: id, descriptor: Number(descriptor) };
    }
  }
  return undefined;
}
