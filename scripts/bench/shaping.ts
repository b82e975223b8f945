/**
 * How well `--qdisc=tbf` keeps to its rate, beside Linux' own tbf on the same veth pair, in turns:
 *
 * ```sh
 * bun scripts/bench/shaping.ts [--seconds 10] [--rates 1000000,12500000,125000000] [--cost]
 * ```
 *
 * A saturating flow leaves a namespace through the shaper; the interface at the far end counts what arrives, from the
 * first frame on. What should have arrived is burst + rate × time; the figure is by how much it differs. `--cost`
 * measures instead what a shaper costs whose rate is never reached. Needs root, `dist/sluice` and iperf3.
 *
 * Linux charges each segment of a super-packet for headers of its own, as they will stand on a real wire, and so lets
 * about 4 % less through a veth pair, where super-packets are never cut. We charge what is handed to the device.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { printed, PROJECT, withScope } from "../../tests/support/e2e.ts";
import { Lab, WORLD4 } from "../../tests/support/lab.ts";
import { median } from "./report.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    rates: { type: "string", default: "1000000,12500000,125000000" },
    cost: { type: "boolean", default: false },
    runs: { type: "string", default: "5" },
  },
});
const seconds = Number(values.seconds);

type Protocol = "TCP" | "UDP";

/** A shaper to be measured: what to do first, and how to run a sender behind it. */
interface Shaper {
  readonly name: string;
  readonly prepare: string;
  command(argv: readonly string[]): string[];
}

/** A burst of 20 ms, but no less than a super-packet needs. */
const burstFor = (rate: number) => Math.max(131_072, rate / 50);

const sandbox = (argv: readonly string[], ...flags: string[]) => [
  `${PROJECT}dist/sluice`,
  "--network=sandbox",
  ...flags,
  "do",
  "--",
  ...argv,
];

function shapers(rate: number, gso: boolean): Shaper[] {
  const burst = burstFor(rate);
  const offloads = `ethtool -K up0 gso ${gso ? "on" : "off"} tso ${gso ? "on" : "off"}`;
  const words = ["--qdisc=tbf", `--qdisc-tbf-rate=${rate}`, `--qdisc-tbf-burst=${burst}`, `--gso=${gso}`];
  return [
    { name: "sluice", prepare: "true", command: (argv) => sandbox(argv, ...words) },
    {
      name: "Linux",
      prepare: `${offloads}; tc qdisc add dev up0 root tbf rate ${rate}bps burst ${burst} latency 1s`,
      command: (argv) => [...argv],
    },
  ];
}

/** An iperf3 server in the world; resolves when it listens. */
async function server(lab: Lab): Promise<void> {
  await printed(lab.startOutside(["iperf3", "-s", "-1", "--forceflush"]), /listening/);
}

const sender = (protocol: Protocol, time: number, rate: number) => [
  "iperf3",
  "-J",
  "-c",
  WORLD4,
  "-t",
  String(time),
  ...(protocol === "UDP" ? ["-u", "-l", "1400", "-b", String(rate * 8 * 2)] : []),
];

/** Runs in the world: bytes that arrive at `up1` in so many seconds, from the first on that are more than a handshake. */
const METER = `
import time
def count():
    for line in open("/proc/net/dev"):
        if "up1:" in line: return int(line.split(":")[1].split()[0])
start = count()
print("ready", flush=True)
while count() - start < 20000: time.sleep(0.0005)
began, first = time.monotonic(), count()
time.sleep(${seconds})
last, ended = count(), time.monotonic()
print("arrived", last - start, ended - began, flush=True)
`;

async function accuracy(
  shaper: Shaper,
  protocol: Protocol,
  rate: number,
): Promise<number> {
  let deviation = NaN;
  await withScope(async (scope) => {
    const lab = await Lab.make(scope);
    const prepared = await lab.run(["sh", "-ec", shaper.prepare]);
    if (prepared.status !== 0) throw new Error(`Cannot prepare ${shaper.name}: ${prepared.stderr}`);
    await server(lab);
    const meter = lab.startOutside(["python3", "-c", METER]);
    await printed(meter, /ready/);
    const flow = lab.run(shaper.command(sender(protocol, seconds + 2, rate)), {
      limit: (seconds + 30) * 1e3,
    });
    const said = /arrived (\d+) ([\d.]+)/.exec(await printed(meter, /arrived .*\n/))!;
    const expected = burstFor(rate) + rate * Number(said[2]);
    deviation = Number(said[1]) / expected - 1;
    await flow;
  });
  return deviation * 100;
}

async function measureAccuracy(): Promise<void> {
  const rows = ["| rate, bytes/s | | | sluice | Linux |", "| ---: | --- | --- | ---: | ---: |"];
  for (const rate of values.rates.split(",").map(Number)) {
    for (const protocol of ["TCP", "UDP"] as const) {
      for (const gso of [true, false]) {
        const cells: string[] = [];
        for (const shaper of shapers(rate, gso)) {
          const deviation = await accuracy(shaper, protocol, rate);
          cells.push(`${deviation > 0 ? "+" : ""}${deviation.toFixed(2)} %`);
        }
        rows.push(`| ${rate} | ${protocol} | ${gso ? "GSO" : "no GSO"} | ${cells.join(" | ")} |`);
        console.error(rows.at(-1));
      }
    }
  }
  console.log(rows.join("\n"));
}

/** Gbit/s of a TCP stream that no shaper holds back. */
async function throughput(flags: readonly string[]): Promise<number> {
  let result = NaN;
  await withScope(async (scope) => {
    const lab = await Lab.make(scope);
    await server(lab);
    const { stdout, stderr } = await lab.run(sandbox(sender("TCP", 3, 0), ...flags));
    if (stdout === "") throw new Error(stderr);
    result = JSON.parse(stdout).end.sum_received.bits_per_second / 1e9;
  });
  return result;
}

async function measureCost(): Promise<void> {
  const kinds: Readonly<Record<string, readonly string[]>> = {
    fifo: [],
    // 10 GB/s: far more than anything here can send.
    tbf: ["--qdisc=tbf", "--qdisc-tbf-rate=10000000000", "--qdisc-tbf-burst=4294967295"],
  };
  const results = new Map<string, number[]>();
  for (let i = 0; i < Number(values.runs); i++) {
    for (const [name, flags] of Object.entries(kinds)) {
      const speed = await throughput(flags);
      console.error(`${name}: ${speed.toFixed(2)} Gbit/s`);
      results.set(name, [...results.get(name) ?? [], speed]);
    }
  }
  const [fifo, tbf] = [...results.values()].map(median);
  console.log(
    `fifo ${fifo!.toFixed(2)} Gbit/s, tbf ${tbf!.toFixed(2)} Gbit/s: cost ${
      ((1 - tbf! / fifo!) * 100).toFixed(1)
    } %`,
  );
}

await (values.cost ? measureCost() : measureAccuracy());
