/**
 * What a guest costs that makes socket calls at random for a long time, with every right over its network:
 *
 * ```sh
 * bun scripts/bench/mix.ts [--seed 11] [--rounds 40] [--calls 2000] [--every 4] [KIND…]
 * ```
 *
 * `sockets/mix.py` is the guest, and has the kinds of calls. At the end of a round it has closed everything; our resident
 * memory is printed then. It rises at first, for there are a heap and compiled code to be had and connections in TIME-WAIT, and
 * must become level.
 *
 * Needs `dist/sluice` (or `SLUICE_BINARY`) and python3, and no privilege.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const { values, positionals: kinds } = parseArgs({
  options: {
    seed: { type: "string", default: "11" },
    rounds: { type: "string", default: "40" },
    calls: { type: "string", default: "2000" },
    every: { type: "string", default: "4" },
  },
  allowPositionals: true,
});

process.chdir(new URL("../../", import.meta.url).pathname);
const program = [
  "python3",
  "scripts/bench/sockets/mix.py",
  values.seed,
  values.rounds,
  values.calls,
  ...kinds,
];
const child = spawn(
  process.env["SLUICE_BINARY"] ?? "dist/sluice",
  ["do", "--network=none", "--net-raw", "--", ...program],
  { stdio: ["pipe", "pipe", "inherit"] },
);

/** Megabytes of the field `name` of a process' status. */
function megabytes(name: string): string {
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const kilobytes = Number(new RegExp(`${name}:\\s*([0-9]+)`).exec(status)![1]);
  return `${Math.round(kilobytes / 1_024)}`.padStart(6);
}

console.log(" round    RSS   peak, MB   descriptors   calls so far");
for await (const line of createInterface({ input: child.stdout })) {
  const [round, ...done] = line.split(" ");
  if ((Number(round) + 1) % Number(values.every) === 0) {
    const descriptors = `${readdirSync(`/proc/${child.pid}/fd`).length}`.padStart(13);
    const numbers = `${megabytes("VmRSS")} ${megabytes("VmHWM")}     ${descriptors}`;
    console.log(`${round!.padStart(6)} ${numbers}   ${done.join(" ")}`);
  }
  child.stdin.write("\n");
}
