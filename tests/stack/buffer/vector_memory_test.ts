import { equal, notEqual, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { VectorMemory } from "../../../lib/stack/buffer/vector_memory.ts";
import { VECTOR_SUM_MAX } from "../../../lib/stack/wire/vector_sum.ts";
import { between, randomBytes, seeded } from "../../support/random.ts";
import { slowSum } from "../../support/slow_sum.ts";

const PAGE = 65_536;

function memoryOf(bytes: Uint8Array): VectorMemory {
  const memory = VectorMemory.create(bytes.length);
  ok(memory, "this engine has no vector instructions");
  memory.bytes(0, bytes.length).set(bytes);
  return memory;
}

test("a sum agrees with the definition for every length and alignment", () => {
  const bytes = randomBytes(seeded(1), 400);
  const memory = memoryOf(bytes);
  for (let start = 0; start < 17; start++) {
    for (let end = start; end <= bytes.length; end++) {
      equal(memory.sum(start, end), slowSum(bytes.subarray(start, end)), `[${start}, ${end})`);
    }
  }
});

test("a sum agrees with the definition wherever it begins and ends", () => {
  const seed = 2;
  const random = seeded(seed);
  const bytes = randomBytes(random, 3 * PAGE);
  const memory = memoryOf(bytes);
  for (let round = 0; round < 400; round++) {
    const start = between(random, 0, bytes.length);
    const length = between(random, 0, round % 4 === 0 ? VECTOR_SUM_MAX : 1_500);
    const end = Math.min(bytes.length, start + length);
    equal(memory.sum(start, end), slowSum(bytes.subarray(start, end)), `seed ${seed}: [${start}, ${end})`);
  }
});

test("nothing is lost on the longest range of ff, nor made up on one of zeros", () => {
  const bytes = new Uint8Array(3 * PAGE).fill(0xff);
  const memory = memoryOf(bytes);
  for (const start of [0, 1, 15]) {
    for (const length of [PAGE - 1, PAGE, VECTOR_SUM_MAX - 1, VECTOR_SUM_MAX]) {
      equal(memory.sum(start, start + length), slowSum(bytes.subarray(start, start + length)));
    }
  }
  memory.bytes(0, PAGE).fill(0);
  equal(memory.sum(0, PAGE), 0);
});

test("an empty range has the sum 0, and one outside of the memory throws", () => {
  const memory = memoryOf(new Uint8Array(PAGE).fill(1));
  equal(memory.sum(10, 10), 0);
  for (const [from, to] of [[PAGE - 1, PAGE + 1], [PAGE - 64, PAGE + 64], [-16, 16]] as const) {
    throws(() => memory.sum(from, to), WebAssembly.RuntimeError);
  }
});

test("parts do not overlap, are aligned, and end when the memory does", () => {
  const memory = memoryOf(new Uint8Array(PAGE));
  const taken: number[] = [];
  for (let at = memory.take(10_001); at >= 0; at = memory.take(10_001)) taken.push(at);
  equal(taken.length, 6);
  for (const [i, at] of taken.entries()) {
    equal(at % 64, 0);
    memory.bytes(at, 10_001).fill(i + 1);
  }
  for (const [i, at] of taken.entries()) ok(memory.bytes(at, 10_001).every((byte) => byte === i + 1));
  notEqual(memory.take(memory.left), -1);
  equal(memory.take(1), -1);
  throws(() => memory.take(VECTOR_SUM_MAX + 1), /Cannot sum 131073 bytes at once/);
});
