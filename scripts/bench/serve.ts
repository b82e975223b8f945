/**
 * `sluice serve` against passt and gvproxy, as a virtual machine sees them, and how fair `serve` is:
 *
 * ```sh
 * bun scripts/bench/serve.ts [--runs 5] [--megabytes 256] [--warm 32] [--mtu 1500] [--guests 64] [--seconds 8]
 *   [--transport unixgram] [--offload]
 * ```
 *
 * The guest is a stack of ours, in this process, on the provider's unix socket; on the host's loopback there is a server
 * in python that sends, or swallows. The same guest and the same server for all providers, which take turns. Besides
 * Gbit/s, the provider's own seconds of CPU per gigabyte: the guest costs as much as the provider, and the clock sees both.
 *
 * `--transport unixgram` has the guest on vfkit's socket, where no peer is. `--offload`: the guest sends long frames, as
 * one with libkrun's features does, and takes them from those providers that send them. `SLUICE_BEFORE` names another binary of
 * ours that takes part.
 *
 * `--warm` megabytes pass before anything is measured. Ours compiles while it runs: with 32 the compiler's time is in the
 * numbers, as for a short-lived guest; after 4000 there is next to none left.
 *
 * Then so many guests share one `serve`, each way, for so many seconds: what they have of a fair share.
 *
 * Needs root, `dist/sluice`, passt and python3; with `SLUICE_GVPROXY` the binary that it names takes part. All traffic
 * stays on the loopback and on unix sockets.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { median } from "./report.ts";
import { type Direction, Guest, turnUntil } from "./serve/guest.ts";
import { NO_WIRE_OFFLOAD, type WireOffload } from "../../lib/link/offload.ts";
import {
  cleanUp,
  type ProviderName,
  providers,
  startProvider,
  startServer,
  type Transport,
} from "./serve/provider.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    megabytes: { type: "string", default: "256" },
    warm: { type: "string", default: "32" },
    mtu: { type: "string", default: "1500" },
    guests: { type: "string", default: "64" },
    seconds: { type: "string", default: "8" },
    transport: { type: "string", default: "unixstream" },
    offload: { type: "boolean", default: false },
  },
});
const mtu = Number(values.mtu), runs = Number(values.runs), bytes = Number(values.megabytes) * 1e6;
const warm = Number(values.warm) * 1e6;
const transport: Transport = values.transport === "unixgram" ? "unixgram" : "unixstream";
const DIRECTIONS: Readonly<Record<Direction, string>> = { s: "host→guest", r: "guest→host" };

/** What a guest with offload sends, and takes. */
const LONG: WireOffload = { vnetHeader: 0, checksums: false, tcp4: true, tcp6: true };

interface Sample {
  readonly gigabits: number;
  /** Seconds of CPU per gigabyte. */
  readonly cost: number;
}

async function measure(name: ProviderName, port: number, direction: Direction): Promise<Sample> {
  const flags = values.offload && name === "sluice" ? ["--enable-tso"] : [];
  const provider = await startProvider(name, mtu, transport, ...flags);
  const guest = new Guest(provider.socket, 5, mtu, {
    transport,
    offload: values.offload ? LONG : NO_WIRE_OFFLOAD,
  });
  guest.start(provider.host, port, direction);
  turnUntil([guest], () => guest.moved > warm);
  const [from, cpu, at] = [guest.moved, provider.cpu(), performance.now()];
  turnUntil([guest], () => guest.moved > bytes + from);
  const seconds = (performance.now() - at) / 1e3;
  const moved = guest.moved - from;
  const used = provider.cpu() - cpu;
  guest.close();
  provider.stop();
  return { gigabits: moved * 8 / seconds / 1e9, cost: used / (moved / 1e9) };
}

async function compare(port: number, direction: Direction): Promise<void> {
  const names = providers(transport);
  const samples = new Map<ProviderName, Sample[]>(names.map((name) => [name, []]));
  for (let run = 0; run < runs; run++) {
    for (const name of names) samples.get(name)!.push(await measure(name, port, direction));
  }
  const speed = (name: ProviderName) => median(samples.get(name)!.map(({ gigabits }) => gigabits));
  const cost = (name: ProviderName) => median(samples.get(name)!.map(({ cost }) => cost));
  const line = (name: ProviderName) => {
    const ratio = name === "sluice" ? "" : `, ours is ×${(speed("sluice") / speed(name)).toFixed(2)}`;
    return `${name} ${speed(name).toFixed(2)} Gbit/s, ${cost(name).toFixed(2)} s/GB${ratio}`;
  };
  console.log(`${transport}, MTU ${mtu}, ${DIRECTIONS[direction]}: ${names.map(line).join("; ")}`);
}

/** What each of many guests gets, in parts of a fair share. */
async function share(port: number, direction: Direction): Promise<void> {
  const provider = await startProvider("sluice", mtu, transport);
  const guests = Array.from(
    { length: Number(values.guests) },
    (_, i) => new Guest(provider.socket, 10 + i, mtu, { transport }),
  );
  for (const guest of guests) guest.start(provider.host, port, direction);
  const total = () => guests.reduce((sum, { moved }) => sum + moved, 0);
  // Whoever begins first has all for himself, and slow start is no steady state: measured from well behind it.
  turnUntil(guests, () => guests.every(({ moved }) => moved > 100_000) && total() > bytes);
  const before = guests.map(({ moved }) => moved), from = total();
  const until = performance.now() + Number(values.seconds) * 1e3;
  turnUntil(guests, () => performance.now() > until);
  const fair = (total() - from) / guests.length;
  const shares = guests.map(({ moved }, i) => (moved - before[i]!) / fair);
  const jain = guests.length / shares.reduce((sum, share) => sum + share * share, 0);
  console.log(
    `MTU ${mtu}, ${DIRECTIONS[direction]}, ${guests.length} guests: the least has ${
      Math.min(...shares).toFixed(3)
    } of a fair share, the most ${Math.max(...shares).toFixed(3)}, Jain's index ${jain.toFixed(4)}`,
  );
  guests.forEach((guest) => guest.close());
  provider.stop();
}

try {
  process.chdir(new URL("../../", import.meta.url).pathname);
  const port = await startServer();
  for (const direction of runs > 0 ? ["s", "r"] as const : []) await compare(port, direction);
  for (const direction of Number(values.guests) > 0 ? ["s", "r"] as const : []) await share(port, direction);
} finally {
  cleanUp();
}
