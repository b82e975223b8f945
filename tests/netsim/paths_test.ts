/**
 * What a path does to a transfer, one misfortune at a time: how much of it must get through, and what the sender must not
 * do. The numbers are the simulation's own; scripts/bench/paths.ts compares with Linux.
 */

import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { TcpOptions } from "../../lib/stack/tcp/options.ts";
import { MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import type { App } from "./apps.ts";
import { Lab } from "./lab.ts";
import type { WireSpec } from "./wire.ts";

const SEED = 5;
const BASE: WireSpec = { delay: 20 * MILLISECOND, rate: 12_500_000, queue: 262_144 };

/** A transfer without end that can be looked at. */
class Transfer {
  readonly lab: Lab;
  readonly #pair: { readonly client: App; readonly server: App };
  #last = 0;

  constructor(there: Partial<WireSpec>, back: Partial<WireSpec> = {}, tcp: Partial<TcpOptions> = {}) {
    this.lab = new Lab({ seed: SEED, there: { ...BASE, ...there }, back: { ...BASE, ...back }, tcp });
    this.#pair = this.lab.connect({ send: Infinity }, {});
    ok(this.lab.world.run(() => this.#pair.client.established, 60 * SECOND), "no handshake");
  }

  get sender() {
    return this.#pair.client.connection!.sender;
  }

  /** Goodput of the next `seconds`, Mbit/s. */
  run(seconds: number): number {
    this.lab.world.run(() => false, seconds * SECOND);
    const { received, wrongAt } = this.#pair.server;
    strictEqual(wrongAt, -1);
    const mbit = (received - this.#last) * 8 / seconds / 1e6;
    this.#last = received;
    return mbit;
  }

  /** The path changes under way. */
  change(there: Partial<WireSpec>, back: Partial<WireSpec> = there): void {
    this.lab.there.spec = { ...this.lab.there.spec, ...there };
    this.lab.back.spec = { ...this.lab.back.spec, ...back };
  }
}

function atLeast(mbit: number, least: number, what: string): void {
  ok(mbit >= least, `seed ${SEED}, ${what}: ${mbit.toFixed(1)} Mbit/s instead of ${least}`);
}

test("Slow start fills a long path with a short queue, and overshoots it once", () => {
  const it = new Transfer({ delay: 100 * MILLISECOND }, { delay: 100 * MILLISECOND });
  it.run(3);
  strictEqual(it.sender.recovery.episodes, 1);
  atLeast(it.run(5), 85, "after three seconds");
});

const REORDERING: [probability: number, by: number, least: number][] = [
  [0.05, 2, 80],
  // Seeds give 45 to 61.
  [0.05, 10, 45],
  [0.3, 5, 65],
  // Later than a round trip: every one is sent again, and every reduction taken back.
  [0.01, 50, 20],
];
for (const [reorder, by, least] of REORDERING) {
  test(`Reordering of ${reorder * 100} % by ${by} ms does not look like congestion`, () => {
    const it = new Transfer({ reorder, reorderBy: by * MILLISECOND });
    atLeast(it.run(12), least, "12 s");
    strictEqual(it.sender.timeouts, 0);
    ok(it.sender.recovery.rack.reorderingSeen);
  });
}

test("Duplicates do not look like congestion, nor like needless retransmissions", () => {
  const it = new Transfer({ duplicate: 0.1 }, { duplicate: 0.1 });
  atLeast(it.run(10), 90, "10 s");
  strictEqual(it.sender.recovery.undone, 0);
});

test("Bursts of losses cost what single losses cost, and no time-out each", () => {
  const it = new Transfer({ bursts: { probability: 0.001, length: 8 } });
  atLeast(it.run(20), 12, "20 s");
  const { counters } = it.lab.client.stack.snapshot();
  ok((counters["tcp.timeouts"] ?? 0) <= 3, `${counters["tcp.timeouts"]} time-outs`);
});

for (const loss of [0.3, 0.6]) {
  test(`Loss of ${loss * 100} % of the acknowledgements costs nothing`, () => {
    const it = new Transfer({}, { loss });
    it.run(2);
    atLeast(it.run(5), 93, "after two seconds");
    strictEqual(it.sender.timeouts, 0);
  });
}

test("A return path of a fiftieth of the bandwidth is enough", () => {
  const it = new Transfer({}, { rate: BASE.rate! / 50, queue: 65_536 });
  it.run(1);
  atLeast(it.run(5), 85, "after a second");
});

test("Slow start stops before it fills a queue of 4 MB", () => {
  const it = new Transfer({ queue: 4_000_000 });
  it.run(2);
  ok(it.sender.rtt.srtt < 220 * MILLISECOND, `round trip of ${it.sender.rtt.srtt} µs`);
  strictEqual(it.sender.retransmits, 0);
  atLeast(it.run(5), 93, "after two seconds");
});

test("A path that becomes fifteen times longer costs no time-out storm, and is filled again", () => {
  const it = new Transfer({ delay: 10 * MILLISECOND }, { delay: 10 * MILLISECOND });
  it.run(5);
  it.change({ delay: 150 * MILLISECOND });
  // The window that filled the short path is a tenth of what the long one takes.
  atLeast(it.run(10), 9, "ten seconds after the change");
  const { counters } = it.lab.client.stack.snapshot();
  ok((counters["tcp.timeouts"] ?? 0) <= 2, `${counters["tcp.timeouts"]} time-outs`);
});

test("A path that becomes fifteen times shorter, so that everything is overtaken, is full at once", () => {
  const it = new Transfer({ delay: 150 * MILLISECOND }, { delay: 150 * MILLISECOND });
  it.run(5);
  const { episodes } = it.sender.recovery;
  it.change({ delay: 10 * MILLISECOND });
  it.run(1);
  atLeast(it.run(5), 93, "a second after the change");
  ok(it.sender.recovery.episodes - episodes < 20, `${it.sender.recovery.episodes - episodes} episodes`);
});

test("A stall of 800 ms is recognised as one: the reduction is taken back", () => {
  const it = new Transfer({});
  it.run(5);
  it.change({ delay: 820 * MILLISECOND }, {});
  it.run(1);
  it.change({ delay: 20 * MILLISECOND }, {});
  it.run(1);
  ok(it.sender.spurious > 0);
  atLeast(it.run(5), 90, "a second after the stall");
});

test("A blackout of 30 s ends with the speed that it began with, not later than the back-off allows", () => {
  const it = new Transfer({});
  it.run(5);
  const { mss } = it.sender;
  it.change({ loss: 1 });
  it.run(30);
  it.change({ loss: 0 });
  // The last retransmission in vain left after 25.6 s at most, and the next one 25.6 s later.
  it.run(28);
  strictEqual(it.sender.mss, mss, "segments are as large as before");
  atLeast(it.run(5), 90, "28 s after the blackout");
});

test("Marks of a router replace losses (RFC 3168)", () => {
  const it = new Transfer({ markAbove: 100_000 }, {}, { ecn: "request" });
  it.run(5);
  const lost = it.lab.there.counts.overflowed;
  atLeast(it.run(8), 88, "after five seconds");
  strictEqual(it.lab.there.counts.overflowed, lost, "no loss after slow start");
  ok(it.lab.there.counts.marked > 0);
  ok(it.sender.rtt.srtt < 60 * MILLISECOND, `queue of ${it.sender.rtt.srtt} µs`);
});

test("A queue of a few packets is survived", () => {
  const it = new Transfer({ queue: 20_000 });
  it.run(5);
  atLeast(it.run(15), 45, "after five seconds");
});
