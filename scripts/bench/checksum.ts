/**
 * How fast the Internet checksum is, by the plain loop and by vectors: `bun scripts/bench/checksum.ts`, `deno run -A scripts/bench/checksum.ts`.
 *
 * @module
 */

import { VectorMemory } from "../../lib/stack/buffer/vector_memory.ts";
import { onesComplementSum } from "../../lib/stack/wire/checksum.ts";

const BYTES = 2e8;
const ROUNDS = 8;

const START = 54;

const bytes = new Uint8Array(65_536 + 64).map((_, i) => Math.imul(i, 0x9e3779b1) >>> 13);
const view = new DataView(bytes.buffer);
const memory = VectorMemory.create(bytes.length)!;
memory.bytes(0, bytes.length).set(bytes);
let sink = 0;

/** Nanoseconds of one sum of `size` bytes, at best. */
function time(size: number, sum: (end: number) => number): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const times = Math.ceil(BYTES / (ROUNDS * Math.max(size, 100)));
    const begin = performance.now();
    for (let i = 0; i < times; i++) sink ^= sum(START + size);
    best = Math.min(best, (performance.now() - begin) * 1e6 / times);
  }
  return best;
}

const speed = (size: number, ns: number) => `${(size / ns).toFixed(2)} GB/s, ${ns.toFixed(1)} ns`;
for (const size of [20, 64, 128, 256, 576, 1_460, 9_000, 65_483]) {
  const plain = time(size, (end) => onesComplementSum(view, START, end, 0));
  const vectors = time(size, (end) => memory.sum(START, end));
  console.log(`${String(size).padStart(6)} bytes: ${speed(size, plain)}; by vectors ${speed(size, vectors)}`);
}
if (sink === -1) console.log(sink);
