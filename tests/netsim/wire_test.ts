import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { seeded } from "../support/random.ts";
import { type Instant, MILLISECOND, NEVER, SECOND } from "../../lib/stack/time.ts";
import { SimWire, type WireSpec } from "./wire.ts";
import { type Port, World } from "./world.ts";

const SEED = 7;
const at = (microseconds: number): Instant => microseconds as Instant;

function frame(length: number, mark = 0): PacketBuffer {
  const packet = new PacketBuffer(new Uint8Array(length));
  packet.view.setUint32(0, mark);
  return packet;
}

const wire = (spec: WireSpec, seed = SEED): SimWire => new SimWire(spec, seeded(seed));

/** Arrival time and mark of everything in flight. */
function drain(wire: SimWire): [number, number][] {
  const got: [number, number][] = [];
  for (let next = wire.nextArrival(); next !== NEVER; next = wire.nextArrival()) {
    const frame = wire.receive(next)!;
    got.push([next, frame.view.getUint32(frame.start)]);
  }
  return got;
}

test("SimWire delays, and keeps the order of frames sent at one instant", () => {
  const it = wire({ delay: 5 * MILLISECOND });
  for (let i = 0; i < 4; i++) it.send(frame(60, i), at(100));
  strictEqual(it.receive(at(5099)), undefined);
  strictEqual(it.nextArrival(), 5100);
  deepStrictEqual(drain(it), [[5100, 0], [5100, 1], [5100, 2], [5100, 3]]);
});

test("SimWire serialises at the bottleneck's rate", () => {
  const it = wire({ delay: 1000, rate: 1_000_000 });
  for (let i = 0; i < 3; i++) it.send(frame(1500, i), at(0));
  it.send(frame(1500, 3), at(100_000));
  deepStrictEqual(drain(it), [[2500, 0], [4000, 1], [5500, 2], [102_500, 3]]);
});

test("SimWire drops what does not fit the queue of the bottleneck", () => {
  const it = wire({ delay: 0, rate: 1_000_000, queue: 4500 });
  for (let i = 0; i < 5; i++) it.send(frame(1500, i), at(0));
  it.send(frame(1500, 5), at(1500));
  deepStrictEqual(drain(it).map(([, mark]) => mark), [0, 1, 2, 5]);
  strictEqual(it.counts.overflowed, 2);
});

test("SimWire loses, duplicates and reorders as often as it is told", () => {
  const it = wire({ delay: MILLISECOND, loss: 0.1, duplicate: 0.2, reorder: 0.05, reorderBy: 250 });
  for (let i = 0; i < 10_000; i++) it.send(frame(60, i), at(100 * i));
  const { lost, duplicated, reordered } = it.counts;
  ok(Math.abs(lost - 1000) < 120 && Math.abs(duplicated - 1800) < 200 && Math.abs(reordered - 450) < 80);
  const marks = drain(it).map(([, mark]) => mark);
  strictEqual(marks.length, 10_000 - lost + duplicated);
  const late = marks.filter((mark, i) => i > 0 && mark < marks[i - 1]!).length;
  ok(late > 0.7 * reordered && late <= reordered, `${late} of ${reordered}`);
});

test("SimWire loses in bursts", () => {
  const it = wire({ delay: 1, bursts: { probability: 0.01, length: 10 } });
  for (let i = 0; i < 10_000; i++) it.send(frame(60, i), at(i));
  const marks = drain(it).map(([, mark]) => mark);
  const bursts = marks.filter((mark, i) => i > 0 && mark > marks[i - 1]! + 1).length;
  ok(Math.abs(bursts - 91) < 25, `${bursts} bursts`);
  ok(Math.abs(it.counts.lost / bursts - 10) < 2.5, `of ${it.counts.lost / bursts} frames`);
});

test("SimWire marks what can be marked when its queue is long", () => {
  const ip = (capable: number): PacketBuffer => {
    const packet = frame(1_500);
    packet.view.setUint16(14, 0x4500 | capable);
    packet.view.setUint16(24, 0xffff - 0x4500 - capable); // the sum of this header
    return packet;
  };
  const it = wire({ delay: 0, rate: 1_000_000, queue: 10_000, markAbove: 3_000 });
  for (const capable of [2, 2, 2, 2, 1, 0]) it.send(ip(capable), at(0));
  strictEqual(it.counts.marked, 2);
  const seen: number[] = [];
  for (let next = it.nextArrival(); next !== NEVER; next = it.nextArrival()) {
    const { view, start } = it.receive(next)!;
    seen.push(view.getUint8(start + 15) & 3);
    strictEqual((view.getUint16(start + 14) + view.getUint16(start + 24)) % 0xffff, 0, "checksum");
  }
  deepStrictEqual(seen, [2, 2, 2, 3, 3, 0]);
});

test("SimWire throws the same dice for the same seed, whatever the other chances are", () => {
  const lost = (spec: WireSpec) => {
    const it = wire(spec);
    for (let i = 0; i < 1000; i++) it.send(frame(60, i), at(i));
    return new Set(drain(it).map(([, mark]) => mark));
  };
  const plain = lost({ delay: 1, loss: 0.2 });
  deepStrictEqual(plain, lost({ delay: 1, loss: 0.2 }));
  deepStrictEqual([...plain].sort(), [...lost({ delay: 1, loss: 0.2, duplicate: 0.5, reorder: 0.5 })].sort());
});

test("SimWire delivers copies and lets go of what it was given", () => {
  const payload = frame(100);
  const it = wire({ delay: 1, duplicate: 1 });
  const packet = frame(54);
  packet.attach(payload, 0, 100);
  it.send(packet, at(0));
  strictEqual(payload.references, 1);
  const [first, second] = [it.receive(at(1))!, it.receive(at(1))!];
  strictEqual(first.length, 154);
  ok(first.bytes.buffer !== second.bytes.buffer);
});

/** Answers every frame with one, `count` times. */
class Echo implements Port {
  #waiting: PacketBuffer[] = [];
  constructor(public left: number) {}
  ingress(frame: PacketBuffer): void {
    if (this.left-- > 0) this.#waiting.push(frame);
  }
  egress(): PacketBuffer | undefined {
    return this.#waiting.shift();
  }
}

test("World.step() moves from arrival to arrival and ends when nothing is left", () => {
  const world = new World();
  const [a, b] = [new Echo(3), new Echo(3)];
  const there = wire({ delay: 10 * MILLISECOND });
  world.join(a, b, there);
  world.join(b, a, wire({ delay: 20 * MILLISECOND }));
  const start = world.now;
  a.ingress(frame(60));
  while (world.step());
  strictEqual(world.now - start, 3 * (10 + 20) * MILLISECOND);
  strictEqual(there.counts.sent, 3);
});

test("World.run() stops at its limit", () => {
  const world = new World();
  world.add({ poll() {}, pollAt: () => (world.now + 1000) as Instant });
  const start = world.now;
  strictEqual(world.run(() => false, SECOND), false);
  strictEqual(world.now - start, SECOND);
  ok(world.run(() => world.now - start === 2 * SECOND, 2 * SECOND));
});

test("World refuses to go on with a stack that spins", () => {
  const world = new World();
  world.add({ poll() {}, pollAt: () => 0 as Instant });
  throws(() => world.run(() => false, SECOND), /wants to be polled without end/);
  const flood = new World();
  flood.join({ ingress() {}, egress: () => frame(60) }, new Echo(0), wire({ delay: 1 }));
  throws(() => flood.step(), /sends without end/);
});
