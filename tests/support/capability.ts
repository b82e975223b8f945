/**
 * What a test needs from the machine.
 *
 * @module
 */

import { accessSync, constants } from "node:fs";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { findGvproxy } from "./gvproxy.ts";
import { findKernel } from "./kernel.ts";

/** Something a machine may lack. */
export type Need =
  | "root"
  | "tun"
  | "userns"
  | "netns"
  | "kernel"
  | "gvproxy"
  | `tool:${string}`
  | `user:${string}`;

const REASON: Readonly<Record<string, string>> = {
  root: "needs to run as root",
  tun: "needs /dev/net/tun, readable and writable",
  userns: "needs unprivileged user namespaces",
  netns: "needs the right to create network namespaces",
  kernel: "needs a kernel under /boot, with its modules, for a virtual machine",
  gvproxy: "needs gvproxy, on PATH or where SLUICE_GVPROXY says",
};

function has(need: Need): boolean {
  switch (need) {
    case "root":
      return process.getuid?.() === 0;
    case "tun":
      try {
        accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
        return true;
      } catch {
        return false;
      }
    case "userns":
      return spawnSync("unshare", ["--user", "--map-root-user", "true"]).status === 0;
    case "netns":
      return spawnSync("unshare", ["--net", "true"]).status === 0;
    case "kernel":
      return findKernel() !== undefined;
    case "gvproxy":
      return findGvproxy() !== undefined;
    default:
      if (need.startsWith("user:")) return spawnSync("id", ["-u", need.slice("user:".length)]).status === 0;
      return spawnSync("sh", ["-c", `command -v ${need.slice("tool:".length)}`]).status === 0;
  }
}

/**
 * Options for `test()`: skips with a reason when the machine lacks something. With `SLUICE_STRICT=1` nothing
 * is skipped: the test runs, and fails for the want of it, so that a machine meant for all tests passes only
 * by running them.
 */
export function needs(...wanted: readonly Need[]): { skip: string | false } {
  if (process.env["SLUICE_STRICT"] === "1") return { skip: false };
  const missing = wanted.find((need) => !has(need));
  if (missing === undefined) return { skip: false };
  return { skip: REASON[missing] ?? `needs the program ${missing.slice("tool:".length)}` };
}
