import { ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { checkTbf, Tbf, type TbfOptions } from "../../../lib/stack/qdisc/tbf.ts";
import { type Instant, later, NEVER, SECOND } from "../../../lib/stack/time.ts";

const BASE: TbfOptions = { rate: 1_000_000, burst: 15_140, mtu: 1500, gsoMaxSize: 0 };
const START = 77_000_000 as Instant;

const packet = (length: number): PacketBuffer => new PacketBuffer(new Uint8Array(length));

const CHECKS: [why: string, change: Partial<TbfOptions>, want: string | undefined][] = [
  ["takes what fits", {}, undefined],
  ["wants a rate", { rate: 0 }, "qdisc=tbf requires setting qdisc-tbf-rate"],
  ["wants a burst", { burst: 0 }, "qdisc=tbf requires setting qdisc-tbf-burst"],
  ["takes a burst of exactly one frame", { burst: 1514 }, undefined],
  [
    "refuses one byte less",
    { burst: 1513 },
    "burst (1513 bytes) is smaller than max packet length (1514 bytes)",
  ],
  ["takes exactly one super-packet", { burst: 65_550, gsoMaxSize: 65_536 }, undefined],
  [
    "refuses a burst below the super-packet",
    { burst: 65_549, gsoMaxSize: 65_536 },
    "burst (65549 bytes) is smaller than link's max GSO packet size (65550 bytes); " +
    "either increase burst or disable host GSO via --gso=false",
  ],
  ["takes a bucket that fills in one tick", { rate: 1514e6, burst: 1514 }, undefined],
  [
    "refuses a rate the clock cannot follow",
    { rate: 2_000_000_000, burst: 1514 },
    "rate (2000000000 bytes/sec) is too high relative to burst (1514 bytes); " +
    "reduce qdisc-tbf-rate or increase qdisc-tbf-burst",
  ],
];
for (const [why, change, want] of CHECKS) {
  test(`checkTbf() ${why}`, () => {
    const options = { ...BASE, ...change };
    strictEqual(checkTbf(options), want);
    if (want !== undefined) throws(() => new Tbf(options), new RangeError(want));
  });
}

test("Tbf lets one burst pass at once and then waits for tokens", () => {
  const tbf = new Tbf(BASE);
  for (let i = 0; i < 12; i++) ok(tbf.enqueue(packet(1514), START));
  for (let i = 0; i < 10; i++) ok(tbf.dequeue(START), `${i}`);
  strictEqual(tbf.dequeue(START), undefined);
  strictEqual(tbf.pollAt(), START + 1514);
  strictEqual(tbf.dequeue(later(START, 1513)), undefined);
  ok(tbf.dequeue(later(START, 1514)));
  strictEqual(tbf.facts().overlimits, 2);
  strictEqual(tbf.pollAt(), START + 2 * 1514);
});

test("Tbf keeps strict order: a small frame does not pass a large one", () => {
  const tbf = new Tbf({ ...BASE, burst: 1514 });
  tbf.enqueue(packet(1514), START);
  tbf.enqueue(packet(1514), START);
  tbf.enqueue(packet(60), START);
  ok(tbf.dequeue(START));
  strictEqual(tbf.dequeue(later(START, 100)), undefined);
  strictEqual(tbf.dequeue(later(START, 1514))?.length, 1514);
  strictEqual(tbf.dequeue(later(START, 1514)), undefined);
  strictEqual(tbf.dequeue(later(START, 1574))?.length, 60);
  strictEqual(tbf.pollAt(), NEVER);
});

test("Tbf drops by bytes: burst and one second of rate", () => {
  const tbf = new Tbf({ ...BASE, rate: 10_000, burst: 1514, limit: 1000 });
  let taken = 0;
  while (tbf.enqueue(packet(1514), START)) taken++;
  strictEqual(taken, Math.floor((10_000 + 1514) / 1514));
  strictEqual(tbf.facts().drops, 1);
  strictEqual(tbf.enqueue(packet(100), START), true, "what still fits is taken");
});

test("Tbf drops what no bucket can ever cover", () => {
  const tbf = new Tbf({ ...BASE, burst: 2000 });
  strictEqual(tbf.maxPacket, 2000);
  strictEqual(tbf.enqueue(packet(2001), START), false);
  strictEqual(tbf.enqueue(packet(2000), START), true);
});

test("Tbf is full for TCP with two frames, but a departure always makes room for one", () => {
  const tbf = new Tbf({ ...BASE, burst: 1514 });
  ok(tbf.enqueue(packet(1514), START));
  strictEqual(tbf.full, false);
  for (let i = 0; i < 10; i++) ok(tbf.enqueue(packet(1514), START));
  strictEqual(tbf.full, true);
  tbf.dequeue(START);
  strictEqual(tbf.full, false, "a flood of datagrams does not shut TCP out");
  ok(tbf.enqueue(packet(1514), START));
  strictEqual(tbf.full, true);
});

test("Tbf is full before a frame that it asked for would be dropped", () => {
  const tbf = new Tbf({ ...BASE, rate: 10_000, burst: 1514 });
  let now = START;
  for (let i = 0; i < 1000; i++) {
    while (tbf.enqueue(packet(100 + i % 1000), now));
    now = later(now, 300_000);
    if (tbf.dequeue(now) !== undefined && !tbf.full) ok(tbf.enqueue(packet(1514), now), `${i}`);
  }
});

/** Keeps the queue filled and polls like the pump: at `pollAt`, a little late. Returns the bytes that left. */
function saturate(
  tbf: Tbf,
  from: Instant,
  until: number,
  size: () => number,
  lateness: () => number,
): number {
  let now = from;
  let sent = 0;
  while (now < until) {
    while (!tbf.full && tbf.enqueue(packet(size()), now));
    const frame = tbf.dequeue(now);
    if (frame === undefined) now = later(now, Math.max(tbf.pollAt() - now, 0) + lateness());
    else sent += frame.totalLength;
  }
  return sent;
}

const RATES: [rate: number, burst: number, size: number, late: number][] = [
  [12_500_000, 65_550, 1514, 0],
  [12_500_000, 65_550, 1514, 1000],
  [125_000, 1514, 1514, 3],
  [10_000, 3000, 700, 50],
  [1_250_000_000, 1_000_000, 65_550, 20],
  [333_333, 7777, 61, 10],
];
for (const [rate, burst, size, late] of RATES) {
  test(`Tbf passes burst + rate·t within 1 %: ${rate} B/s, burst ${burst}, frames ≤ ${size}, ${late} µs late`, () => {
    let state = 4711;
    const random = () => (state = Math.imul(state, 1664525) + 1013904223 | 0) >>> 8;
    const tbf = new Tbf({ rate, burst, mtu: Math.min(size, burst) - 14, gsoMaxSize: 0 });
    const seconds = 10;
    const sent = saturate(
      tbf,
      START,
      START + seconds * SECOND,
      () => size - random() % Math.ceil(size / 3),
      () => late === 0 ? 0 : random() % late,
    );
    const want = burst + rate * seconds;
    ok(sent <= want, `${sent} of ${want}`);
    ok(sent > 0.99 * want - size, `${sent} of ${want}`);
    strictEqual(sent, tbf.facts().bytes);
  });
}

test("Tbf lets exactly one burst pass after an idle hour", () => {
  const tbf = new Tbf({ ...BASE, limit: 100 });
  saturate(tbf, START, START + SECOND, () => 1514, () => 0);
  tbf.reset();
  const now = later(START, 3600 * SECOND);
  let sent = 0;
  for (let i = 0; i < 50; i++) tbf.enqueue(packet(1514), now);
  for (let frame = tbf.dequeue(now); frame !== undefined; frame = tbf.dequeue(now)) sent += frame.length;
  strictEqual(sent, 15_140);
});

test("Tbf ignores a clock that stands still or goes back", () => {
  const tbf = new Tbf({ ...BASE, burst: 1514 });
  tbf.enqueue(packet(1514), START);
  tbf.enqueue(packet(1514), START);
  ok(tbf.dequeue(START));
  for (let i = 0; i < 5; i++) strictEqual(tbf.dequeue(later(START, -i * 1000)), undefined);
  ok(tbf.dequeue(later(START, 1514)));
});

test("Tbf.change() applies at once and keeps the tokens earned so far", () => {
  const tbf = new Tbf(BASE);
  for (let i = 0; i < 11; i++) tbf.enqueue(packet(1514), START);
  while (tbf.dequeue(START) !== undefined);
  tbf.change(10_000, 20_000, later(START, 514)); // 514 tokens at the old rate, 1000 more at the new one
  strictEqual(tbf.rate, 10_000);
  strictEqual(tbf.burst, 20_000);
  strictEqual(tbf.pollAt(), START + 514 + 100_000);
  ok(tbf.dequeue(tbf.pollAt()));
  throws(() => tbf.change(0, 20_000, START), RangeError);
  strictEqual(tbf.rate, 10_000);
});

test("Tbf.change() to a smaller burst does not strand a longer frame", () => {
  const tbf = new Tbf({ ...BASE, burst: 9000 });
  tbf.enqueue(packet(9000), START);
  tbf.enqueue(packet(9000), START);
  ok(tbf.dequeue(START));
  tbf.change(1_000_000, 1514, START);
  const at = tbf.pollAt();
  strictEqual(at, START + 1514);
  ok(tbf.dequeue(at));
  tbf.enqueue(packet(1000), at);
  strictEqual(tbf.pollAt(), at + (9000 - 1514) + 1000, "the debt is paid before the next frame");
});
