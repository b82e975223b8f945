/**
 * A real gvproxy: the peer that `sluice serve` is compared with, and a provider of networks.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";

/** The program: `SLUICE_GVPROXY`, or the one on PATH, if there is any. */
export function findGvproxy(): string | undefined {
  const named = process.env["SLUICE_GVPROXY"];
  if (named !== undefined && named !== "") return existsSync(named) ? named : undefined;
  const { status, stdout } = spawnSync("sh", ["-c", "command -v gvproxy"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}
