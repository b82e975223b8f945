/**
 * sluice against pasta and slirp4netns, on this machine, in one go:
 *
 * ```sh
 * bun scripts/bench/main.ts [--runs 5] [--seconds 3] [--only stream,rr] [--peers sluice,pasta] [--gigabytes 4] [--json FILE]
 * ```
 *
 * The attachment `sockets`, whose measure is the kernel's own loopback:
 *
 * ```sh
 * bun scripts/bench/main.ts --peers sockets,sockets-deno,pasta,kernel --only stream,loopback,rr,crr,flood,calls,memory
 * ```
 *
 * Mode `tsi`, likewise:
 *
 * ```sh
 * bun scripts/bench/main.ts --peers tsi,tsi-handoff,kernel --only stream,rr,crr
 * ```
 *
 * Needs root, `dist/sluice` (`npm run compile`), iperf3, passt and slirp4netns. Peers take turns, run by run, so that whatever
 * else the machine does hits all of them alike; what is printed are medians. All traffic stays on the loopback and in
 * namespaces that end with the measurement.
 *
 * @module
 */

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { PEERS } from "./peers.ts";
import { record, type Results, table } from "./report.ts";
import { WORKLOADS } from "./workloads.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    only: { type: "string", default: "stream,rr,crr,udp,start,memory" },
    peers: { type: "string", default: "sluice,sluice-deno,pasta,slirp4netns" },
    gigabytes: { type: "string", default: "4" },
    json: { type: "string" },
  },
});

function pick<Value>(table: Readonly<Record<string, Value>>, names: string): [string, Value][] {
  return names.split(",").map((name) => {
    const value = table[name];
    if (value === undefined) {
      throw new RangeError(`Cannot find "${name}" among ${Object.keys(table).join(", ")}`);
    }
    return [name, value];
  });
}

const peers = pick(PEERS, values.peers).map(([name, make]) => [name, make()] as const);
const effort = { seconds: Number(values.seconds), gigabytes: Number(values.gigabytes) };
const results: Results = new Map();
process.chdir(new URL("../../", import.meta.url).pathname);

for (const [workload, measure] of pick(WORKLOADS, values.only)) {
  // Memory does not vary as speed does, and twenty gigabytes take their time.
  const runs = workload === "memory" ? 1 : Number(values.runs);
  for (let run = 0; run < runs; run++) {
    for (const [name, peer] of peers) {
      try {
        const numbers = await measure(peer, effort);
        record(results, name, numbers);
        const text = Object.entries(numbers).map(([key, value]) => `${key} ${value.toFixed(2)}`);
        console.error(`${run + 1}/${runs} ${name}: ${text.join(", ")}`);
      } catch (error) {
        console.error(`${run + 1}/${runs} ${name}: ${workload} failed: ${(error as Error).message}`);
      }
    }
  }
}

if (values.json !== undefined) {
  const plain = Object.fromEntries(
    [...results].map(([peer, numbers]) => [peer, Object.fromEntries(numbers)]),
  );
  writeFileSync(values.json, JSON.stringify(plain, undefined, 2));
}
console.log(table(results));
process.exit(0);
