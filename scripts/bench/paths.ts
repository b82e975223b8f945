/**
 * Goodput over loss and delay, ours beside Linux', through the same path in the same minutes:
 *
 * ```sh
 * bun scripts/bench/paths.ts [--quick] [--seeds 3] [--seconds 10] [--loss 0,0.1,1,3] [--delay 1,20,100]
 *   [--pairs linux-linux,ours-linux,linux-ours] [--bytes 100000] [--bad '{"reorder":0.05}'] [--json FILE] [--verbose]
 * ```
 *
 * Needs root: the kernel's ends are network namespaces with a TAP each. The path is 100 Mbit/s each way, with a queue of
 * 256 KiB and loss on the way of the data; the delay is one-way. CUBIC on both sides. All seeds of a cell that is slow by
 * nature run at once; fast ones one after the other, each time all pairs side by side.
 *
 * `--pairs` takes what sends and what receives: `linux`, `ours` (a stack wired straight into the path) and `sluice` (the
 * compiled program in mode `sandbox`). `--bytes N` measures how many milliseconds a short transfer takes, from before the
 * handshake; `--bad JSON` adds anything that tests/netsim/wire.ts can do to a frame.
 *
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import type { WireSpec } from "../../tests/netsim/wire.ts";
import { LinuxEnd } from "../../tests/support/path/linux_end.ts";
import { Path, type PathEnd, PathLoop } from "../../tests/support/path/path.ts";
import { ProgramEnd } from "../../tests/support/path/program_end.ts";
import { StackEnd } from "../../tests/support/path/stack_end.ts";
import { median } from "./report.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    seeds: { type: "string", default: "3" },
    seconds: { type: "string", default: "10" },
    loss: { type: "string", default: "0,0.1,1,3" },
    delay: { type: "string", default: "1,20,100" },
    pairs: { type: "string", default: "linux-linux,ours-linux,linux-ours" },
    rate: { type: "string", default: "12500000" },
    queue: { type: "string", default: "262144" },
    bad: { type: "string", default: "{}" },
    bytes: { type: "string", default: "0" },
    json: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});

const CLIENT = IpAddress.parse("10.0.0.1")!;
const SERVER = IpAddress.parse("10.0.0.2")!;
const PORT = 9;
const PROGRAM = new URL("path_program.py", import.meta.url).pathname;
/** For a handshake through the same path. */
const PATIENCE = 20 * SECOND;
/** Bytes to send; measures how long that takes instead of how much is sent in a time. */
const bytes = Number(values.bytes);
const total = bytes > 0 ? bytes : 1e12;

/** `dist/sluice` with a program in it, in mode `sandbox`: the interface is ours, the kernel's stack is silent. */
async function runSluice(address: IpAddress, what: readonly string[], loop: PathLoop): Promise<ProgramEnd> {
  const directory = mkdtempSync(join(tmpdir(), "paths-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  const argv = ["dist/sluice", "--network=sandbox", "do", "--", "/usr/bin/python3", "-B", PROGRAM, ...what];
  const end = new ProgramEnd(address, argv, { XDG_RUNTIME_DIR: directory }, loop.pool);
  await new Promise<void>((resolve, reject) => {
    end.child.stdout!.once("data", () => resolve());
    end.child.once("exit", (status) => reject(new Error(`Cannot run sluice: it ended with ${status}`)));
  });
  return end;
}

async function makePath(
  pair: string,
  spec: WireSpec,
  back: WireSpec,
  seed: number,
  loop: PathLoop,
): Promise<Path> {
  const [from, to] = pair.split("-");
  const { pool, now } = loop;
  const linux = { congestion: "cubic", settings: { tcp_no_metrics_save: "1" } };
  const server: PathEnd = to === "linux"
    ? new LinuxEnd(SERVER, PORT, undefined, pool, linux)
    : to === "sluice"
    ? await runSluice(SERVER, ["take", `${PORT}`], loop)
    : new StackEnd(SERVER, PORT, undefined, pool, now, { seed });
  const client: PathEnd = from === "linux"
    ? new LinuxEnd(CLIENT, PORT, SERVER, pool, { ...linux, send: total })
    : from === "sluice"
    ? await runSluice(CLIENT, ["send", "10.0.0.2", `${PORT}`], loop)
    : new StackEnd(CLIENT, PORT, SERVER, pool, now, { seed, send: total });
  if (server instanceof ProgramEnd && client instanceof LinuxEnd) server.meter = () => client.acknowledged;
  return new Path(client, server, spec, back, seed, pool);
}

function describe(end: PathEnd): string {
  if (end instanceof ProgramEnd) return "";
  if (end instanceof LinuxEnd) {
    const { cwnd, ssthresh, rtt, retransmits } = end.tcp();
    return `cwnd ${cwnd} ssthresh ${ssthresh > 1e9 ? "inf" : ssthresh} rtt ${rtt} retrans ${retransmits}`;
  }
  const c = (end as StackEnd).app.connection!;
  const s = c.sender;
  return `cwnd ${Math.round(s.congestion.cwnd / s.mss)} ssthresh ${
    Math.round(s.congestion.ssthresh / s.mss)
  } rtt ${
    Math.round(s.rtt.srtt)
  } retrans ${s.retransmits} episodes ${s.recovery.episodes} undone ${s.recovery.undone}`;
}

/** Mbit/s of each pair. */
async function measure(
  pairs: readonly string[],
  seeds: readonly number[],
  spec: WireSpec,
  seconds: number,
): Promise<Map<string, number[]>> {
  const loop = new PathLoop();
  const paths: [string, Path][] = [];
  const back = { delay: spec.delay, rate: Number(values.rate), queue: Number(values.queue) };
  for (const seed of seeds) {
    for (const pair of pairs) {
      const path = await makePath(pair, spec, back, seed, loop);
      loop.add(path);
      paths.push([pair, path]);
    }
  }
  const limit = seconds * SECOND;
  const start = loop.now;
  loop.run(
    (path) => (bytes > 0 && path.server.received >= total) || loop.now >= path.beganAt + limit,
    limit + PATIENCE,
  );
  const result = new Map<string, number[]>();
  for (const [pair, path] of paths) {
    if (path.server.wrongAt >= 0) throw new Error(`${pair}: byte ${path.server.wrongAt} is wrong`);
    const took = path.endedAt - path.beganAt;
    const mbit = path.server.received * 8 / took;
    const value = bytes > 0 ? (path.endedAt - start) / MILLISECOND : mbit;
    result.set(pair, [...result.get(pair) ?? [], value]);
    if (values.verbose) {
      const { sent, lost, overflowed } = path.there.counts;
      console.error(
        `  ${pair} ${mbit.toFixed(2)} ${
          describe(path.client)
        }; wire ${sent} lost ${lost} overflowed ${overflowed}`,
      );
    }
  }
  loop.close();
  return result;
}

const list = (text: string): number[] => text.split(",").map(Number);
process.chdir(new URL("../../", import.meta.url).pathname);
const pairs = values.pairs.split(",");
const seeds = Array.from({ length: values.quick ? 1 : Number(values.seeds) }, (_, i) => 11 + i);
const seconds = values.quick ? 5 : Number(values.seconds);
const rows: unknown[] = [];
console.log(`| loss % | delay ms | ${pairs.join(" | ")} | ratios |`);
console.log(`| ---: | ---: |${pairs.map(() => " ---: |").join("")} --- |`);
for (const loss of list(values.loss)) {
  for (const delay of list(values.delay)) {
    const spec = {
      delay: delay * MILLISECOND,
      rate: Number(values.rate),
      queue: Number(values.queue),
      loss: loss / 100,
      ...JSON.parse(values.bad) as Partial<WireSpec>,
    };
    const slow = loss * delay >= 2;
    const merged = new Map<string, number[]>();
    for (const some of slow ? [seeds] : seeds.map((seed) => [seed])) {
      for (const [pair, found] of await measure(pairs, some, spec, seconds)) {
        merged.set(pair, [...merged.get(pair) ?? [], ...found]);
      }
    }
    const medians = pairs.map((pair) => median(merged.get(pair)!));
    const ratios = medians.slice(1).map((value) => (value / medians[0]!).toFixed(2));
    console.log(
      `| ${loss} | ${delay} | ${medians.map((v) => v.toFixed(2)).join(" | ")} | ${ratios.join(" ")} |`,
    );
    rows.push({ loss, delay, ...Object.fromEntries(merged) });
  }
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, undefined, 2));
process.exit(0);
