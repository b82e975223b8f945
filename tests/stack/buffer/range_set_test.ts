import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { RangeSet } from "../../../lib/stack/buffer/range_set.ts";
import { between, seeded } from "../../support/random.ts";

type Range = [start: number, end: number];
const rangesOf = (set: RangeSet): Range[] =>
  Array.from({ length: set.count }, (_, i) => [set.start(i), set.end(i)]);

const ADD: [why: string, add: Range[], want: Range[]][] = [
  ["keeps ranges apart and in order", [[5, 6], [1, 2], [9, 12]], [[1, 2], [5, 6], [9, 12]]],
  ["merges ranges that touch", [[1, 2], [3, 4], [2, 3]], [[1, 4]]],
  ["merges ranges that overlap", [[1, 5], [8, 12], [4, 9]], [[1, 12]]],
  ["swallows what lies inside", [[3, 4], [5, 6], [7, 8], [2, 9]], [[2, 9]]],
  ["changes nothing for what is there", [[1, 9], [3, 4], [1, 9]], [[1, 9]]],
  ["ignores the empty and the backward", [[3, 3], [5, 2]], []],
  ["goes across the wrap of sequence numbers", [[-2, 2], [0x7fff_ffff + 0x7fff_ffff, 8]], [[-2, 8]]],
  ["takes unsigned numbers for signed ones", [[0xffff_fff0, 0x1_0000_0010]], [[-16, 16]]],
];
for (const [why, add, want] of ADD) {
  test(`RangeSet.add() ${why}`, () => {
    const set = new RangeSet(8);
    for (const [start, end] of add) equal(set.add(start, end), true);
    deepEqual(rangesOf(set), want);
  });
}

test("RangeSet.add() orders ranges across the wrap at 2³¹", () => {
  const set = new RangeSet(4);
  set.add(0x8000_0010, 0x8000_0020);
  set.add(0x7fff_fff0, 0x7fff_fff8);
  deepEqual(rangesOf(set), [[0x7fff_fff0, 0x7fff_fff8], [0x8000_0010 | 0, 0x8000_0020 | 0]]);
});

test("RangeSet.add() refuses one gap more than its limit, and nothing else", () => {
  const set = new RangeSet(2);
  set.add(1, 2);
  set.add(5, 6);
  equal(set.add(8, 9), false);
  equal(set.add(3, 4), false);
  deepEqual(rangesOf(set), [[1, 2], [5, 6]]);
  equal(set.add(2, 3), true);
  equal(set.add(0, 9), true);
  deepEqual(rangesOf(set), [[0, 9]]);
});

test("RangeSet.remove() refuses to split beyond its limit", () => {
  const set = new RangeSet(1);
  set.add(0, 10);
  equal(set.remove(3, 4), false);
  deepEqual(rangesOf(set), [[0, 10]]);
  equal(set.remove(8, 12), true);
  deepEqual(rangesOf(set), [[0, 8]]);
});

test("RangeSet agrees with a set of numbers on any sequence of calls, wherever it begins", () => {
  const seed = 22;
  const random = seeded(seed);
  for (const base of [0, 0x7fff_ffe0, 0xffff_ffe0]) {
    const set = new RangeSet(64);
    const model = new Set<number>();
    const n = (i: number) => (base + i) | 0;
    for (let step = 0; step < 5_000; step++) {
      const why = `seed ${seed} base ${base} step ${step}`;
      const a = between(random, 0, 60);
      const b = a + between(random, 0, 8);
      const inside = Array.from({ length: b - a }, (_, i) => model.has(a + i));
      equal(set.contains(n(a), n(b)), inside.every(Boolean), why);
      equal(set.indexOf(n(a)) >= 0, model.has(a), why);
      let reach = a;
      while (model.has(reach)) reach++;
      equal(set.reach(n(a)), n(reach), why);
      const op = random() % 8;
      if (op < 4) {
        set.add(n(a), n(b));
        for (let i = a; i < b; i++) model.add(i);
      } else {
        set.remove(n(a), n(b));
        for (let i = a; i < b; i++) model.delete(i);
      }
      equal(set.covered, model.size, why);
      const want: Range[] = [];
      for (let i = 0; i < 80; i++) {
        if (!model.has(i)) continue;
        const begin = i;
        while (model.has(i)) i++;
        want.push([n(begin), n(i)]);
      }
      deepEqual(rangesOf(set), want, why);
    }
    set.clear();
    equal(set.count, 0);
  }
});
