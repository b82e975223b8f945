/**
 * What `sluice serve` does while one of its guests, or a client of its API, is malicious:
 *
 * ```sh
 * bun scripts/bench/floods.ts [--seconds 10] [--rest 2] [KIND…]
 * ```
 *
 * One `serve` lives through all floods (`serve/flood.py` has them), so that what one leaves behind shows in the next. For
 * each: its resident memory before, at its highest, and after a rest; what waits in the kernel, in its sockets, at the end
 * of the flood; what an innocent guest that downloads all the time had, before and meanwhile. Each of that guest's bytes is
 * compared with what was sent.
 *
 * Flooder, `serve`, innocent guest and server share the machine: on two processors a third to a half of the quiet rate is
 * what fair shares of them leave. Floods go to the loopback and to an interface behind which there is nobody: the benchmark
 * runs in a network namespace of its own.
 *
 * Needs root, `dist/sluice` and python3.
 *
 * @module
 */

import { type ChildProcess, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { Guest, turnUntil } from "./serve/guest.ts";
import { cleanUp, directory, start, startProvider, startServer } from "./serve/provider.ts";

// deno-fmt-ignore
const KINDS = ["syn", "syn-outside", "udp", "icmp", "arp-ndp", "dhcp", "dhcpv6-rs", "dns", "fragments", "macs", "igmp-mld",
  "broadcast", "garbage", "zero-window", "never-reads", "stops-reading", "byte-by-byte", "reconnect", "storm", "api-tunnel", "api-connect", "api-slow",
  "api-zones", "api-json", "api-expose"];
/** Says that we are in the namespace already. */
const INSIDE = "SLUICE_FLOODS_INSIDE";
const NAMESPACE =
  "ip link set lo up && ip link add away type veth peer name nobody && ip addr add 198.18.0.1/15 dev away && " +
  'ip link set away up && ip link set nobody up && ip route add default via 198.18.0.2 && exec "$@"';

const { values, positionals } = parseArgs({
  options: { seconds: { type: "string", default: "10" }, rest: { type: "string", default: "2" } },
  allowPositionals: true,
});

/** Megabytes that a process has in memory: now, and at most since {@linkcode forgetPeak}. */
function memory(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) =>
    Math.round(Number(new RegExp(`${name}:\\s*([0-9]+)`).exec(status)![1]) / 1_024);
  return { now: field("VmRSS"), peak: field("VmHWM") };
}

function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

function descriptors(pid: number): number {
  return Number(spawnSync("sh", ["-c", `ls /proc/${pid}/fd | wc -l`], { encoding: "utf8" }).stdout);
}

/** Megabytes that wait in the kernel in sockets which are connected to the server: ours. */
function kernelMemory(port: number): number {
  const to = port.toString(16).toUpperCase().padStart(4, "0");
  let bytes = 0;
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
    const [, , remote, , queues] = line.trim().split(/ +/);
    if (remote?.endsWith(`:${to}`)) bytes += parseInt(queues!.split(":")[1]!, 16);
  }
  return Math.round(bytes / 1e6);
}

function outputOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    child.stdout!.on("data", (chunk: Uint8Array) => text += new TextDecoder().decode(chunk));
    child.once("close", (status) => resolve(text.trim() || `ended with ${status}`));
  });
}

async function run(): Promise<void> {
  const port = await startServer();
  const api = join(directory, "api.sock");
  const provider = await startProvider("sluice", 1_500, "unixstream", "--services", `unix://${api}`);
  const guest = new Guest(provider.socket, 5, 1_500, { exact: true });
  guest.start(provider.host, port, "s");
  /** Gigabits per second of the innocent guest. */
  const download = (seconds: number) => {
    const [from, at] = [guest.moved, performance.now()];
    turnUntil([guest], () => performance.now() > at + seconds * 1e3);
    return guest.moved === from ? 0 : (guest.moved - from) * 8 / (performance.now() - at) / 1e6;
  };
  download(5);
  console.log(
    "flood         RSS before  peak  after, MB   kernel, MB   descriptors   innocent quiet  meanwhile, Gbit/s   done",
  );
  for (const kind of positionals.length > 0 ? positionals : KINDS) {
    const quiet = download(1);
    const { now: before } = memory(provider.pid);
    forgetPeak(provider.pid);
    const script = new URL("./serve/flood.py", import.meta.url).pathname;
    const flooder = start(["python3", script, kind, values.seconds, provider.socket, api, String(port)]);
    const done = outputOf(flooder);
    const meanwhile = download(Number(values.seconds));
    const kernel = kernelMemory(port);
    const text = await done;
    download(Number(values.rest));
    const { now, peak } = memory(provider.pid);
    const numbers = [`${before}`.padStart(10), `${peak}`.padStart(5), `${now}`.padStart(6)].join(" ");
    const rates = `${quiet.toFixed(2).padStart(14)} ${meanwhile.toFixed(2).padStart(10)}`;
    const held = `${`${kernel}`.padStart(12)} ${`${descriptors(provider.pid)}`.padStart(13)}`;
    console.log(`${kind.padEnd(13)} ${numbers} ${held} ${rates}            ${text}`);
  }
  guest.close();
  provider.stop();
}

process.chdir(new URL("../../", import.meta.url).pathname);
if (process.env[INSIDE] === undefined) {
  const argv = ["--net", "sh", "-ec", NAMESPACE, "sh", process.execPath, ...process.argv.slice(1)];
  const { status } = spawnSync("unshare", argv, { stdio: "inherit", env: { ...process.env, [INSIDE]: "1" } });
  process.exitCode = status ?? 1;
} else {
  try {
    await run();
  } finally {
    cleanUp();
  }
}
