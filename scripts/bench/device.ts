/**
 * Mode `sandbox` beside the kernel on the same veth pair, in turns:
 *
 * ```sh
 * bun scripts/bench/device.ts [--runs 5] [--seconds 3] [--only stream,plain,rr,crr] [--mtu 1500]
 * ```
 *
 * At the far end is the kernel in both cases; at the near end it is the kernel or the guest's stack on attachment
 * `sockets`. `plain` is a stream without segmentation offload, ours and the near kernel's. Printed are medians and the
 * ratio, which is more than 1 where we are better, whatever is measured. Needs root, `dist/sluice`, iperf3 and ethtool.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { printed, PROJECT, withScope } from "../../tests/support/e2e.ts";
import { Lab, WORLD4 } from "../../tests/support/lab.ts";
import { median } from "./report.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    only: { type: "string", default: "stream,plain,rr,crr" },
    mtu: { type: "string", default: "1500" },
  },
});
const PORT = "5201";

/** Who is at the near end, and how a program is run there. */
interface Near {
  readonly name: string;
  command(argv: readonly string[], gso: boolean): string[];
}

const NEAR: readonly Near[] = [
  { name: "kernel", command: (argv) => [...argv] },
  {
    name: "sluice",
    command: (argv, gso) => [
      `${PROJECT}dist/sluice`,
      "--network=sandbox",
      `--gso=${gso}`,
      "do",
      "--",
      ...argv,
    ],
  },
];

/** One number of one run; larger is better if the unit is a rate. */
type Measure = (lab: Lab, near: Near) => Promise<Readonly<Record<string, number>>>;

async function said(lab: Lab, argv: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await lab.run(argv);
  if (status !== 0) throw new Error(`Cannot measure: ${stderr}`);
  return stdout;
}

async function stream(lab: Lab, near: Near, gso: boolean): Promise<Readonly<Record<string, number>>> {
  const one = async (...flags: string[]) => {
    const client = ["iperf3", "-J", "-c", WORLD4, "-p", PORT, "-t", values.seconds, "-O", "1", ...flags];
    const report = JSON.parse(await said(lab, near.command(client, gso)));
    return report.end.sum_received.bits_per_second / 1e9;
  };
  const what = gso ? "stream" : "plain stream";
  return { [`${what} out, Gbit/s`]: await one(), [`${what} in, Gbit/s`]: await one("-R") };
}

async function latency(lab: Lab, near: Near, kind: "rr" | "crr"): Promise<Readonly<Record<string, number>>> {
  const server = lab.startOutside([process.execPath, `${PROJECT}scripts/bench/server.ts`, "echo", WORLD4]);
  const port = (await printed(server, /^\d+\n/)).trim();
  const client = [process.execPath, `${PROJECT}scripts/bench/client.ts`, kind, WORLD4, port, values.seconds];
  const micros = Number(await said(lab, near.command(client, true)));
  server.kill("SIGKILL");
  return { [kind === "rr" ? "request/response, µs" : "connect-request-close, µs"]: micros };
}

const MEASURES: Readonly<Record<string, Measure>> = {
  stream: (lab, near) => stream(lab, near, true),
  plain: async (lab, near) => {
    const offload = (state: "on" | "off") => lab.script("lab", `ethtool -K up0 gso ${state} tso ${state}`);
    if (near.name === "kernel") await offload("off");
    const numbers = await stream(lab, near, false);
    await offload("on");
    return numbers;
  },
  rr: (lab, near) => latency(lab, near, "rr"),
  crr: (lab, near) => latency(lab, near, "crr"),
};

const results = new Map<string, Map<string, number[]>>();

await withScope(async (scope) => {
  const lab = await Lab.make(scope);
  await lab.script("lab", `ip link set up0 mtu ${values.mtu}`);
  await lab.script("world", `ip link set up1 mtu ${values.mtu}`);
  const server = lab.startOutside(["iperf3", "-s", "-p", PORT, "--forceflush"]);
  await printed(server, /listening/);
  for (const name of values.only.split(",")) {
    const measure = MEASURES[name];
    if (measure === undefined) {
      throw new RangeError(`Cannot find "${name}" among ${Object.keys(MEASURES).join(", ")}`);
    }
    for (let run = 0; run < Number(values.runs); run++) {
      for (const near of NEAR) {
        for (const [metric, value] of Object.entries(await measure(lab, near))) {
          const row = results.get(metric) ?? new Map<string, number[]>();
          results.set(metric, row);
          row.set(near.name, [...row.get(near.name) ?? [], value]);
          console.error(`${run + 1}/${values.runs} ${near.name}: ${metric} ${value.toFixed(2)}`);
        }
      }
    }
  }
});

console.log(`| veth, MTU ${values.mtu} | kernel | sluice | ratio |\n| --- | ---: | ---: | ---: |`);
for (const [metric, row] of results) {
  const [kernel, ours] = NEAR.map(({ name }) => median(row.get(name)!));
  const ratio = metric.endsWith("µs") ? kernel! / ours! : ours! / kernel!;
  console.log(`| ${metric} | ${kernel!.toFixed(2)} | ${ours!.toFixed(2)} | ${ratio.toFixed(2)} |`);
}
process.exit(0);
