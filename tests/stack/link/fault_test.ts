import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HEADROOM, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { type Fault, type Faults, seededRandom, withFaults } from "../../../lib/stack/link/fault.ts";
import { memoryWire } from "../../../lib/stack/link/memory.ts";

const COUNT = 10_000;
const SEED = 99;

function numbered(n: number): PacketBuffer {
  const packet = new PacketBuffer(new Uint8Array(HEADROOM + 8), HEADROOM);
  packet.view.setUint32(HEADROOM, n);
  return packet;
}

interface Outcome {
  readonly numbers: number[];
  readonly faults: Record<string, number>;
  readonly damaged: number;
}

/** Sends numbered frames one way through the faults, with a turn of the pump after every tenth. */
function send(direction: "receive" | "transmit", spec: Faults, seed = SEED): Outcome {
  const [inner, far] = memoryWire({ mtu: 1500, limit: 4 * COUNT }, new BufferPool());
  const faults: Record<string, number> = {};
  const onFault = (fault: Fault, way: string) => {
    strictEqual(way, direction);
    faults[fault] = (faults[fault] ?? 0) + 1;
  };
  const near = withFaults(inner, { [direction]: spec, random: seededRandom(seed), onFault });
  const [from, to] = direction === "transmit" ? [near, far] : [far, near];
  const numbers: number[] = [];
  let damaged = 0;
  for (let i = 0; i < COUNT; i++) {
    ok(from.transmit(numbered(i)));
    if (i % 10 !== 9) continue;
    near === from && near.receive();
    for (let got = to.receive(); got !== undefined; got = to.receive()) {
      if (got.view.getUint32(got.start + 4) !== 0 || got.view.getUint32(got.start) >= COUNT) damaged++;
      numbers.push(got.view.getUint32(got.start));
      got.release();
    }
  }
  return { numbers, faults, damaged };
}

for (const direction of ["receive", "transmit"] as const) {
  test(`withFaults() loses frames on ${direction}`, () => {
    const { numbers, faults } = send(direction, { loss: 0.1 });
    strictEqual(numbers.length, COUNT - faults.loss!);
    ok(Math.abs(faults.loss! - 1000) < 120, `${faults.loss}`);
    ok(numbers.every((n, i) => i === 0 || n > numbers[i - 1]!), "in order");
  });

  test(`withFaults() duplicates frames on ${direction}`, () => {
    const { numbers, faults } = send(direction, { duplicate: 0.1 });
    strictEqual(numbers.length, COUNT + faults.duplicate!);
    strictEqual(new Set(numbers).size, COUNT);
  });

  test(`withFaults() reorders frames on ${direction} and strands none`, () => {
    const { numbers, faults } = send(direction, { reorder: 0.1 });
    strictEqual(numbers.length, COUNT);
    deepStrictEqual([...numbers].sort((a, b) => a - b), [...numbers.keys()]);
    const inversions = numbers.filter((n, i) => i > 0 && n < numbers[i - 1]!).length;
    ok(
      inversions > 0.7 * faults.reorder! && inversions <= faults.reorder!,
      `${inversions} of ${faults.reorder}`,
    );
  });

  test(`withFaults() corrupts one bit on ${direction}`, () => {
    const { numbers, faults, damaged } = send(direction, { corrupt: 0.1 });
    strictEqual(numbers.length, COUNT);
    ok(damaged > 0.5 * faults.corrupt! && damaged <= faults.corrupt!, `${damaged}`);
  });

  test(`withFaults() does the same for the same seed on ${direction}`, () => {
    const spec = { loss: 0.05, corrupt: 0.05, duplicate: 0.05, reorder: 0.05 };
    deepStrictEqual(send(direction, spec, 1), send(direction, spec, 1));
    ok(send(direction, spec, 1).numbers.join() !== send(direction, spec, 2).numbers.join());
  });
}

test("withFaults() never damages what the sender still holds", () => {
  const [inner, far] = memoryWire({ mtu: 1500, limit: 1000 }, new BufferPool());
  const near = withFaults(inner, { transmit: { corrupt: 1 }, random: seededRandom(SEED) });
  const payload = numbered(7);
  const before = [...payload.bytes];
  for (let i = 0; i < 100; i++) {
    const packet = numbered(1);
    packet.attach(payload, payload.start, payload.end);
    near.transmit(packet);
  }
  deepStrictEqual([...payload.bytes], before);
  strictEqual(payload.references, 1);
  strictEqual(far.receive()!.length, 16);
});

test("seededRandom() is uniform enough and covers 32 bits", () => {
  const random = seededRandom(SEED);
  const buckets = new Array<number>(16).fill(0);
  for (let i = 0; i < 160_000; i++) {
    const bucket = random() >>> 28;
    buckets[bucket] = buckets[bucket]! + 1;
  }
  for (const count of buckets) ok(Math.abs(count - 10_000) < 500, buckets.join(" "));
});
