/**
 * What is measured: each workload runs once behind one peer and returns named numbers.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { end, line, output, type Peer, start } from "./peers.ts";

/** How long and how much. */
export interface Effort {
  readonly seconds: number;
  /** Gigabytes of the memory workload. */
  readonly gigabytes: number;
}

/** Measurements of one run, by name; see `METRICS` in report.ts. */
export type Numbers = Record<string, number>;

/** One kind of measurement. */
export type Workload = (peer: Peer, effort: Effort) => Promise<Numbers>;

/** A port of its own for every iperf3 server: the one before may not have let go yet. */
let iperfPort = 15_300;
const ROOT = new URL("../../", import.meta.url).pathname;

/** A second that does not count. Not for UDP: iperf3 would count what was lost in it all the same. */
const WARM_UP = ["-O", "1"];

interface IperfSum {
  readonly bits_per_second: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly packets?: number;
  readonly lost_packets?: number;
}

function iperfServer(): [server: ReturnType<typeof start>, port: string] {
  const port = String(++iperfPort);
  return [
    start(["iperf3", "-s", "-B", "127.0.0.1", "-p", port, "--forceflush"], ["ignore", "pipe", "ignore"]),
    port,
  ];
}

interface IperfReport {
  readonly end?: { readonly sum_received?: IperfSum; readonly sum?: IperfSum };
  readonly error?: string;
}

/** What arrived; iperf3 may end well and have measured nothing. */
function sumOf({ end, error }: IperfReport): IperfSum {
  const sum = end?.sum_received ?? end?.sum;
  if (sum === undefined) throw new Error(`iperf3 has no result: ${error ?? "and does not say why"}`);
  return sum;
}

/** One iperf3 client behind `peer`, one server in front of it, both gone afterwards. */
async function iperf(peer: Peer, seconds: number, flags: readonly string[]): Promise<IperfSum> {
  const [server, port] = iperfServer();
  try {
    await line(server, "listening");
    const client = ["iperf3", "-J", "-c", peer.host, "-p", port, "-t", String(seconds), ...flags];
    const report = JSON.parse(await output(peer.command(client), seconds + 15));
    // TCP: what the receiver has got. UDP: one sum, which is the receiver's but for its byte count.
    return sumOf(report);
  } finally {
    end(server);
  }
}

async function stream(peer: Peer, { seconds }: Effort): Promise<Numbers> {
  const out = await iperf(peer, seconds, WARM_UP);
  const back = await iperf(peer, seconds, [...WARM_UP, "-R"]);
  return { "stream-out": out.bits_per_second / 1e9, "stream-in": back.bits_per_second / 1e9 };
}

/** Both ends behind the peer, on its loopback. */
async function loopback(peer: Peer, { seconds }: Effort): Promise<Numbers> {
  const port = String(++iperfPort);
  // With -J a client that is refused says so in its report, and succeeds.
  const script = `iperf3 -s -B 127.0.0.1 -p ${port} --forceflush >$1 2>&1 & server=$!\n` +
    `until grep -q listening $1; do sleep 0.1; done\n` +
    `iperf3 -J -c 127.0.0.1 -p ${port} -t ${seconds} ${WARM_UP.join(" ")}; rm $1; kill $server`;
  const file = `/tmp/sluice-bench-${process.pid}`;
  const report = JSON.parse(await output(peer.command(["sh", "-c", script, "sh", file]), seconds + 15));
  return { "loopback": sumOf(report).bits_per_second / 1e9 };
}

/** Datagrams that arrived, per second. */
async function datagrams(
  peer: Peer,
  seconds: number,
  length: number,
  flags: readonly string[],
): Promise<number> {
  const sum = await iperf(peer, seconds, ["-u", "-b", "0", "-l", String(length), ...flags]);
  return ((sum.packets ?? 0) - (sum.lost_packets ?? 0)) / sum.seconds;
}

async function udp(peer: Peer, { seconds }: Effort): Promise<Numbers> {
  const perDatagram = 1_400 * 8 / 1e9;
  return {
    "udp-out": await datagrams(peer, seconds, 1_400, []) * perDatagram,
    "udp-in": await datagrams(peer, seconds, 1_400, ["-R"]) * perDatagram,
    "udp-small-out": await datagrams(peer, seconds, 64, []) / 1e3,
    "udp-small-in": await datagrams(peer, seconds, 64, ["-R"]) / 1e3,
  };
}

/** 64-byte datagrams by one kind of calls, each way. */
async function flood(calls: string, peer: Peer, seconds: number): Promise<Numbers> {
  const program = [process.execPath, `${ROOT}scripts/bench/datagrams.ts`];
  const one = async (host: string, guest: string) => {
    const server = start([...program, host, String(seconds)]);
    const lines = line(server, "");
    try {
      const client = [...program, guest, peer.host, await lines, String(seconds), calls];
      const counted = guest === "send" ? line(server, "") : undefined;
      const said = await output(peer.command(client), seconds + 15);
      return Number(counted === undefined ? said : await counted) / 1e3;
    } finally {
      end(server);
    }
  };
  return { [`${calls}-out`]: await one("sink", "send"), [`${calls}-in`]: await one("source", "receive") };
}

async function calls(peer: Peer): Promise<Numbers> {
  const program = [process.execPath, `${ROOT}scripts/bench/calls.ts`];
  const one = async (kind: string) => Number(await output(peer.command([...program, kind]), 30));
  return { "call-trapped": await one("trapped"), "call-foreign": await one("foreign") };
}

async function latency(mode: "rr" | "crr", peer: Peer, seconds: number): Promise<number> {
  const server = start([process.execPath, `${ROOT}scripts/bench/server.ts`, "echo"]);
  try {
    const port = await line(server, "");
    const client = [
      process.execPath,
      `${ROOT}scripts/bench/client.ts`,
      mode,
      peer.host,
      port,
      String(seconds),
    ];
    return Number(await output(peer.command(client), seconds + 15));
  } finally {
    end(server);
  }
}

async function startup(peer: Peer): Promise<Numbers> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    await output(peer.command(["true"]), 15);
    times.push(performance.now() - began);
  }
  return { start: times.sort((a, b) => a - b)[2]! };
}

/** Resident memory of a process, megabytes. */
function resident(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1_024;
}

/** Idle, after gigabytes both ways, and per connection that does nothing. */
async function memory(peer: Peer, { gigabytes }: Effort): Promise<Numbers> {
  const [server, port] = iperfServer();
  const half = `iperf3 -c ${peer.host} -p ${port} -n ${gigabytes / 2}G`;
  const steps = `echo ready; read _; ${half}; ${half} -R; echo done; read _`;
  const guest = start(peer.command(["sh", "-c", steps]));
  try {
    await line(server, "listening");
    await line(guest, "ready");
    const mover = peer.mover(guest.pid!);
    const idle = resident(mover);
    guest.stdin!.write("\n");
    await line(guest, "done");
    return { "memory-idle": idle, "memory-after": resident(mover), ...await connections(peer) };
  } finally {
    end(guest);
    end(server);
  }
}

async function connections(peer: Peer): Promise<Numbers> {
  const [few, many] = [await held(peer, 1_000), await held(peer, 10_000)];
  return { "memory-per-connection": (many - few) * 1_024 / 9_000 };
}

/** Resident memory with `count` idle connections. */
async function held(peer: Peer, count: number): Promise<number> {
  const server = start([process.execPath, `${ROOT}scripts/bench/server.ts`, "hold"]);
  let guest;
  try {
    const port = await line(server, "");
    guest = start(
      peer.command([
        process.execPath,
        `${ROOT}scripts/bench/client.ts`,
        "idle",
        peer.host,
        port,
        String(count),
      ]),
    );
    await line(guest, "ready");
    return resident(peer.mover(guest.pid!));
  } finally {
    if (guest !== undefined) end(guest);
    end(server);
  }
}

/** Every workload, by the name that `--only` takes. */
export const WORKLOADS: Readonly<Record<string, Workload>> = {
  stream,
  rr: async (peer, { seconds }) => ({ rr: await latency("rr", peer, seconds / 2) }),
  crr: async (peer, { seconds }) => ({ crr: await latency("crr", peer, seconds / 2) }),
  udp,
  loopback,
  flood: async (peer, { seconds }) => ({
    ...await flood("plain", peer, seconds),
    ...await flood("connected", peer, seconds),
    ...await flood("batch", peer, seconds),
  }),
  calls,
  start: startup,
  memory,
};
