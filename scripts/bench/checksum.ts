/**
 * How fast the Internet checksum is: `bun scripts/bench/checksum.ts`, `deno run -A scripts/bench/checksum.ts`.
 *
 * @module
 */

import { onesComplementSum } from "../../lib/stack/wire/checksum.ts";

const BYTES = 2e8;
const ROUNDS = 8;

const bytes = new Uint8Array(65_536 + 64).map((_, i) => Math.imul(i, 0x9e3779b1) >>> 13);
const view = new DataView(bytes.buffer);
let sink = 0;

for (const size of [20, 64, 576, 1_460, 9_000, 65_483]) {
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const times = Math.ceil(BYTES / (ROUNDS * Math.max(size, 100)));
    const begin = performance.now();
    for (let i = 0; i < times; i++) sink ^= onesComplementSum(view, 54, 54 + size, i & 0xff);
    const seconds = (performance.now() - begin) / 1e3;
    best = Math.max(best, times * size / seconds / 1e9);
  }
  console.log(`${String(size).padStart(6)} bytes: ${best.toFixed(2)} GB/s, ${(size / best).toFixed(1)} ns`);
}
if (sink === -1) console.log(sink);
