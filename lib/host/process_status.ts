/**
 * What `/proc` says of a process or thread (proc(5)). Reads files: not for every packet.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/** Looks up lines of `/proc/PID/status` by name, as they are at this moment; all undefined when it is gone. */
export function statusOf(pid: number | "self"): (name: string) => string | undefined {
  const status = read(pid, "status") ?? "";
  return (name) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1];
}

/** Fields of `/proc/PID/stat` from the third, the state, on; undefined when it is gone. */
export function statOf(pid: number): readonly string[] | undefined {
  const stat = read(pid, "stat");
  // The command's name, field 2, may hold blanks and parentheses: count from its end.
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function read(pid: number | "self", file: "stat" | "status"): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
