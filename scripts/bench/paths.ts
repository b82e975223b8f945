/**
 * Goodput over loss and delay, ours beside Linux', through the same path in the same minutes:
 *
 * ```sh
 * bun scripts/bench/paths.ts [--quick] [--seeds 3] [--seconds 10] [--loss 0,0.1,1,3] [--delay 1,20,100] [--json FILE]
 * ```
 *
 * Needs root: the kernel's ends are network namespaces with a TAP each. The path is 100 Mbit/s each way, with a queue of
 * 256 KiB and loss on the way of the data; the delay is one-way. CUBIC on both sides. All seeds of a cell that is slow by
 * nature run at once; fast ones one after the other, each time all three pairs side by side.
 *
 * @module
 */

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import type { WireSpec } from "../../tests/netsim/wire.ts";
import { LinuxEnd } from "../../tests/support/path/linux_end.ts";
import { Path, type PathEnd, PathLoop } from "../../tests/support/path/path.ts";
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
/** For a handshake through the same path. */
const PATIENCE = 20 * SECOND;
/** Bytes to send; measures how long that takes instead of how much is sent in a time. */
const bytes = Number(values.bytes);
const total = bytes > 0 ? bytes : 1e12;

function makePath(pair: string, spec: WireSpec, back: WireSpec, seed: number, loop: PathLoop): Path {
  const [from, to] = pair.split("-");
  const { pool, now } = loop;
  const linux = { congestion: "cubic", settings: { tcp_no_metrics_save: "1" } };
  const server: PathEnd = to === "linux"
    ? new LinuxEnd(SERVER, PORT, undefined, pool, linux)
    : new StackEnd(SERVER, PORT, undefined, pool, now, { seed });
  const client: PathEnd = from === "linux"
    ? new LinuxEnd(CLIENT, PORT, SERVER, pool, { ...linux, send: total })
    : new StackEnd(CLIENT, PORT, SERVER, pool, now, { seed, send: total });
  return new Path(client, server, spec, back, seed, pool);
}

function describe(end: PathEnd): string {
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
function measure(
  pairs: readonly string[],
  seeds: readonly number[],
  spec: WireSpec,
  seconds: number,
): Map<string, number[]> {
  const loop = new PathLoop();
  const paths: [string, Path][] = [];
  const back = { delay: spec.delay, rate: Number(values.rate), queue: Number(values.queue) };
  for (const seed of seeds) {
    for (const pair of pairs) {
      const path = makePath(pair, spec, back, seed, loop);
      loop.add(path);
      paths.push([pair, path]);
    }
  }
  const limit = seconds * SECOND;
  const start = loop.now;
  loop.run(
    (path) => path.server.received >= total || loop.now >= path.beganAt + limit,
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
      for (const [pair, found] of measure(pairs, some, spec, seconds)) {
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
