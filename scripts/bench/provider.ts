/**
 * Through somebody else's network: what passt's socket gives a guest of ours, and what it gives QEMU's: a virtual machine
 * without hardware's help, where there is none. pasta, the same program with an interface of the kernel, is the harder peer.
 * Alternating runs as user `tester` (pasta wants no root), medians; started by root.
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
import { findKernel } from "../../tests/support/kernel.ts";
import { Lab, WORLD4, WORLD6 } from "../../tests/support/lab.ts";
import { VirtualMachine } from "../../tests/support/vm.ts";
import { median } from "./report.ts";

const [rounds = 3, seconds = 2] = process.argv.slice(2).map(Number);
const EXCHANGES = 2_000;

/** Runs a program on the network; resolves to what it printed. */
type Way = (program: readonly string[]) => Promise<string>;

/** A passt of its own: it serves one guest at a time. */
async function passt(scope: Scope, lab: Lab): Promise<string> {
  const directory = scope.directory();
  chmodSync(directory, 0o777);
  const socket = join(directory, "passt.sock");
  await printed(lab.start(["passt", "-f", "--socket", socket, "--no-map-gw"]), /You can now start/, "stderr");
  chmodSync(socket, 0o777);
  return socket;
}

/** Everybody who can run a program on the network. */
async function ways(scope: Scope, lab: Lab): Promise<Record<string, Way>> {
  const inLab = (prefix: readonly string[]): Way => async (program) =>
    (await lab.run([...prefix, ...program], { limit: 12_000, user: "tester" })).stdout;
  const ours = async (attachment: string) => {
    const network = `socket=${await passt(scope, lab)},mode=unixstream,mac=02:00:00:00:00:01,dhcp=true`;
    return inLab([scope.binary(), "--attach", attachment, "--external-network", network, "do", "--"]);
  };
  const all: Record<string, Way> = {
    "pasta": inLab(["pasta", "-f", "--config-net", "--no-map-gw", "--"]),
    "passt, sluice sockets": await ours("sockets"),
    "passt, sluice tap": await ours("tap"),
  };
  if (findKernel() === undefined) return all;
  const netdev = `stream,server=off,addr.type=unix,addr.path=${await passt(scope, lab)}`;
  const vm = await VirtualMachine.boot(scope, netdev, "02:00:00:00:00:02", ["iperf3", "redis-benchmark"]);
  await vm.dhcp();
  return { ...all, "passt, QEMU": (program) => vm.run(program.join(" ")).catch((error) => String(error)) };
}

async function gigabits(way: Way, flags: readonly string[]): Promise<number | undefined> {
  const said = await way(["iperf3", "-c", WORLD4, "-t", String(seconds), "-J", ...flags]);
  const start = said.indexOf("{");
  const bits = start < 0 ? undefined : JSON.parse(said.slice(start)).end?.sum_received?.bits_per_second;
  return bits === undefined ? undefined : bits / 1e9;
}

/** Microseconds for a request and its answer. */
async function exchange(way: Way): Promise<number | undefined> {
  const tests = ["-t", "ping_inline", "-c", "1", "-n", String(EXCHANGES), "--csv"];
  const said = await way(["redis-benchmark", "-h", WORLD4, ...tests]);
  const rate = /^"PING_INLINE","([0-9.]+)"/m.exec(said)?.[1];
  return rate === undefined ? undefined : 1e6 / Number(rate);
}

const MEASURES: Readonly<Record<string, (way: Way) => Promise<number | undefined>>> = {
  "guest→world, Gbit/s": (way) => gigabits(way, []),
  "world→guest, Gbit/s": (way) => gigabits(way, ["-R"]),
  "request/response, µs": exchange,
};

await withScope(async (scope) => {
  const lab = await Lab.make(scope);
  await lab.run(["sh", "-ec", `ip route add default via ${WORLD4}; ip -6 route add default via ${WORLD6}`]);
  await printed(lab.startOutside(["iperf3", "-s", "--forceflush"]), /Server listening/);
  const redis = ["redis-server", "--save", "", "--bind", WORLD4, "--protected-mode", "no"];
  await printed(lab.startOutside(redis), /Ready to accept connections/);
  const all = await ways(scope, lab);
  const results = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of Object.entries(all)) {
      for (const [what, measure] of Object.entries(MEASURES)) {
        const key = `${name}|${what}`;
        if (!results.has(key)) results.set(key, []);
        const value = await measure(way);
        if (value === undefined) console.log(`${name}: ${what}: no result`);
        else results.get(key)!.push(value);
      }
    }
  }
  for (const name of Object.keys(all)) {
    const cells = Object.keys(MEASURES).map((what) => {
      const [own, pasta, qemu] = [name, "pasta", "passt, QEMU"].map((who) =>
        median(results.get(`${who}|${what}`) ?? [])
      );
      const ratio = (of: number) => (own! / of).toFixed(2);
      return `${what} ${own!.toFixed(2)} (×${ratio(pasta!)} pasta, ×${ratio(qemu!)} QEMU)`;
    });
    console.log(`${name.padEnd(22)} ${cells.join("   ")}`);
  }
});
