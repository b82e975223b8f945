/**
 * Who has a socket: a search of all processes that we may look into.
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
