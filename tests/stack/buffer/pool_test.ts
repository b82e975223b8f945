import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { HEADROOM } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool, LARGE, MEDIUM, SMALL } from "../../../lib/stack/buffer/pool.ts";

const KEPT = 3;
const newPool = (addressOf?: (bytes: Uint8Array) => number) =>
  new BufferPool(addressOf, { small: KEPT, medium: KEPT, large: KEPT });

test("a buffer has room for what was asked for, and comes back as good as new", () => {
  const pool = newPool();
  for (const size of [SMALL, MEDIUM, LARGE]) {
    const buffer = pool.take(size - HEADROOM);
    equal(buffer.bytes.length, size);
    buffer.start = 3;
    buffer.gso = 1;
    buffer.release();
    const again = pool.take(size - HEADROOM);
    equal(again, buffer);
    deepEqual([again.start, again.end, again.gso, again.references], [HEADROOM, HEADROOM, 0, 1]);
  }
});

test("no more idle buffers are kept than the limit says", () => {
  const pool = newPool();
  Array.from({ length: 2 * KEPT }, () => pool.take(0)).forEach((buffer) => buffer.release());
  deepEqual(pool.idle(), { small: KEPT, medium: 0, large: 0 });
});

test("with vectors, as many large buffers as are kept can be summed by them, and those are taken first", () => {
  const pool = newPool();
  pool.useVectors();
  const buffers = Array.from({ length: 3 * KEPT }, () => pool.take(LARGE - HEADROOM));
  const inMemory = buffers.filter(({ memory }) => memory !== undefined);
  equal(inMemory.length, KEPT);
  equal(new Set(inMemory.map(({ memoryAt }) => memoryAt)).size, KEPT);
  buffers.forEach((buffer) => buffer.release());
  equal(pool.idle().large, 2 * KEPT);
  const again = Array.from({ length: KEPT }, () => pool.take(LARGE - HEADROOM));
  deepEqual(new Set(again), new Set(inMemory));
  for (const buffer of again) {
    buffer.bytes.fill(0xff);
    equal(buffer.memory!.sum(buffer.memoryAt, buffer.memoryAt + LARGE), 0xffff);
  }
  equal(pool.take(0).memory, undefined);
});

test("each buffer is told its address once, those in vector memory too", () => {
  const seen: Uint8Array[] = [];
  const pool = newPool((bytes) => seen.push(bytes));
  pool.useVectors();
  const buffers = Array.from({ length: 2 * KEPT }, () => pool.take(LARGE - HEADROOM));
  buffers.forEach((buffer) => buffer.release());
  Array.from({ length: KEPT }, () => pool.take(LARGE - HEADROOM));
  equal(seen.length, 2 * KEPT);
  ok(buffers.every(({ bytes, address }) => seen[address - 1] === bytes));
});

test("an engine without vectors, or without room for their memory, has a pool like any other", () => {
  const { WebAssembly: engine } = globalThis;
  const refuse = () => {
    throw new RangeError("Out of memory");
  };
  for (const instead of [undefined, { Memory: refuse }]) {
    Reflect.set(globalThis, "WebAssembly", instead);
    try {
      const pool = newPool();
      pool.useVectors();
      equal(pool.take(LARGE - HEADROOM).memory, undefined);
    } finally {
      Reflect.set(globalThis, "WebAssembly", engine);
    }
  }
});
