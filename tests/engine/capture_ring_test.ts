import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { newRing, RingReader, RingWriter } from "../../lib/engine/capture_ring.ts";

const bytes = (length: number, first = 0) => Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);

function ring(size: number) {
  const memory = newRing(size);
  let woken = 0;
  return {
    writer: new RingWriter(memory, () => void woken++),
    reader: new RingReader(memory),
    woken: () => woken,
  };
}

test("a ring gives back what was written, once", () => {
  const { writer, reader } = ring(16);
  ok(writer.write(bytes(5)));
  deepStrictEqual(reader.read(100), bytes(5));
  strictEqual(reader.read(100), undefined);
});

test("a ring takes a block whole or not at all", () => {
  const { writer, reader } = ring(16);
  ok(writer.write(bytes(10)));
  strictEqual(writer.write(bytes(7)), false);
  ok(writer.write(bytes(6, 10)));
  strictEqual(writer.write(bytes(1)), false);
  deepStrictEqual(reader.read(100), bytes(16));
  ok(writer.write(bytes(16)));
  strictEqual(writer.write(bytes(17)), false);
});

test("a ring wakes a reader that found it empty, once", () => {
  const { writer, reader, woken } = ring(16);
  writer.write(bytes(1));
  strictEqual(woken(), 0);
  reader.read(100);
  strictEqual(reader.read(100), undefined);
  writer.write(bytes(1));
  writer.write(bytes(1));
  strictEqual(woken(), 1);
});

test("a ring keeps the order of bytes around its end, and around the end of its counters", () => {
  const size = 64;
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat({ max: size }), fc.nat({ max: size }))), (steps) => {
    const memory = newRing(size);
    // A little before both counters wrap.
    new Int32Array(memory).fill(-100, 0, 2);
    const [writer, reader] = [new RingWriter(memory, () => {}), new RingReader(memory)];
    let written = 0;
    let read = 0;
    for (const [length, limit] of steps) {
      const fits = length <= size - (written - read);
      strictEqual(writer.write(bytes(length, written)), fits);
      if (fits) written += length;
      const got = limit === 0 ? new Uint8Array() : reader.read(limit) ?? new Uint8Array();
      deepStrictEqual(got, bytes(got.length, read));
      read += got.length;
    }
    return read <= written;
  }));
});
