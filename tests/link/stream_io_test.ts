import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { readSize } from "../../lib/link/stream_io.ts";

/** MTU, largest super-packet, family, what one read takes. */
const SIZES: readonly [mtu: number, gsoMaxSize: number, family: 4 | 6, want: number][] = [
  [65_520, 65_535, 4, 65_468],
  [65_520, 0, 4, 65_468],
  [65_520, 65_535, 6, 65_448],
  [1_500, 65_535, 4, 45 * 1_448],
  [1_500, 65_535, 6, 45 * 1_428],
  [1_500, 0, 4, 1_448],
  [9_000, 65_535, 4, 7 * 8_948],
  [576, 65_535, 4, 124 * 524],
];
for (const [mtu, gsoMaxSize, family, want] of SIZES) {
  test(`readSize() is ${want} for IPv${family} and an MTU of ${mtu} with super-packets of ${gsoMaxSize}`, () => {
    strictEqual(readSize({ mtu, gsoMaxSize }, family), want);
  });
}
