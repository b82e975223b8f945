import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { seqAdd, seqDiff, seqGe, seqGt, seqLe, seqLt, seqMin } from "../../../lib/stack/tcp/sequence.ts";

const TOP = 0xffff_ffff;
const HALF = 0x8000_0000;

// The sign of a − b on the ring. Numbers come signed and unsigned; both mean the same place.
const ORDER: [why: string, a: number, b: number, sign: -1 | 0 | 1][] = [
  ["equal", 7, 7, 0],
  ["equal zero", 0, 0, 0],
  ["equal, one signed and one not", -1, TOP, 0],
  ["neighbours", 1, 2, -1],
  ["neighbours the other way", 2, 1, 1],
  ["across the wrap", TOP, 0, -1],
  ["across the wrap, signed", -1, 0, -1],
  ["across the wrap the other way", 5, TOP - 5, 1],
  ["across the sign bit", HALF - 1, HALF, -1],
  ["across the sign bit, signed", 0x7fff_ffff, -0x8000_0000, -1],
  ["just less than half the ring", 0, HALF - 1, -1],
  ["just more than half the ring", 0, HALF + 1, 1],
  ["half the ring counts as before", 0, HALF, -1],
  ["half the ring counts as before from both sides", HALF, 0, -1],
];

for (const [why, a, b, sign] of ORDER) {
  test(`seqDiff() and its comparisons: ${why}`, () => {
    strictEqual(Math.sign(seqDiff(a, b)), sign);
    strictEqual(seqLt(a, b), sign < 0, "seqLt");
    strictEqual(seqLe(a, b), sign <= 0, "seqLe");
    strictEqual(seqGt(a, b), sign > 0, "seqGt");
    strictEqual(seqGe(a, b), sign >= 0, "seqGe");
    strictEqual(seqMin(a, b), (sign <= 0 ? a : b) | 0, "seqMin");
  });
}

const ADD: [a: number, n: number, want: number][] = [
  [0, 0, 0],
  [1, 1, 2],
  [TOP, 1, 0],
  [-1, 1, 0],
  [0x7fff_ffff, 1, -0x8000_0000],
  [0, TOP, -1],
  [10, -11, -1],
];
for (const [a, n, want] of ADD) {
  test(`seqAdd() moves ${a} by ${n}`, () => strictEqual(seqAdd(a, n), want));
}
