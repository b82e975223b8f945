/**
 * Through somebody else's network: what passt's socket gives a guest of ours, and what pasta (the same program with a kernel's
 * interface) gives its own. Alternating runs as user `tester` (pasta wants no root), medians; started by root.
 *
 * ```sh
 * bun scripts/bench/provider.ts [rounds] [seconds]
 * ```
 *
 * @module
 */

import { chmodSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { printed, type Scope, withScope } from "../../tests/support/e2e.ts";
import { Lab, WORLD4, WORLD6 } from "../../tests/support/lab.ts";

const [rounds = 3, seconds = 2] = process.argv.slice(2).map(Number);

type Way = (program: readonly string[]) => readonly string[];

/** Somebody who runs a program on the network. */
async function ways(scope: Scope, lab: Lab): Promise<Record<string, Way>> {
  const directory = scope.directory();
  chmodSync(directory, 0o777);
  const socket = join(directory, "passt.sock");
  await printed(lab.start(["passt", "-f", "--socket", socket, "--no-map-gw"]), /You can now start/, "stderr");
  chmodSync(socket, 0o777);
  const network = `socket=${socket},mode=unixstream,mac=02:00:00:00:00:01,dhcp=true`;
  const sluice = scope.binary();
  const ours = (attachment: string): Way => (program) => [
    sluice,
    "--attach",
    attachment,
    "--external-network",
    network,
    "do",
    "--",
    ...program,
  ];
  return {
    pasta: (program) => ["pasta", "-f", "--config-net", "--no-map-gw", "--", ...program],
    "passt, sluice sockets": ours("sockets"),
    "passt, sluice tap": ours("tap"),
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}

await withScope(async (scope) => {
  const lab = await Lab.make(scope);
  await lab.run(["sh", "-ec", `ip route add default via ${WORLD4}; ip -6 route add default via ${WORLD6}`]);
  await printed(lab.startOutside(["iperf3", "-s", "--forceflush"]), /Server listening/);
  const all = await ways(scope, lab);
  const results: Record<string, { out: number[]; in: number[]; failed: number }> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of Object.entries(all)) {
      const result = results[name] ??= { out: [], in: [], failed: 0 };
      for (const direction of ["out", "in"] as const) {
        const flags = direction === "in" ? ["-R"] : [];
        const run = await lab.run(way(["iperf3", "-c", WORLD4, "-t", String(seconds), "-J", ...flags]), {
          limit: 12_000,
          user: "tester",
        });
        const start = run.stdout.indexOf("{");
        const bits = start < 0
          ? undefined
          : JSON.parse(run.stdout.slice(start)).end?.sum_received?.bits_per_second as number | undefined;
        if (bits === undefined) result.failed++;
        else result[direction].push(bits / 1e9);
      }
    }
  }
  const base = results["pasta"];
  for (const [name, { out, in: into, failed }] of Object.entries(results)) {
    const cell = (values: number[], of: number[] = []) =>
      `${median(values).toFixed(2)} Gbit/s (${(median(values) / median(of)).toFixed(2)})`;
    console.log(
      `${name.padEnd(24)} guest→world ${cell(out, base?.out)}   world→guest ${cell(into, base?.in)}` +
        (failed > 0 ? `   ${failed} runs failed` : ""),
    );
  }
});
