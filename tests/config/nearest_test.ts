import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { editDistance, nearest } from "../../lib/config/nearest.ts";
import { FLAGS } from "../../lib/config/flag_table.ts";

const DISTANCES: [a: string, b: string, want: number][] = [
  ["", "", 0],
  ["a", "", 1],
  ["abc", "abc", 0],
  ["abc", "abd", 1],
  ["abc", "acb", 1],
  ["kitten", "sitting", 3],
  ["qdsic", "qdisc", 1],
];
for (const [a, b, want] of DISTANCES) {
  test(`editDistance() of "${a}" and "${b}" is ${want}`, () => strictEqual(editDistance(a, b), want));
}

test("editDistance() is symmetric and zero only for equals", () => {
  const short = fc.string({ maxLength: 12 });
  fc.assert(fc.property(short, short, (a, b) => {
    strictEqual(editDistance(a, b), editDistance(b, a));
    strictEqual(editDistance(a, b) === 0, a === b);
  }));
});

const NAMES = FLAGS.map((flag) => flag.name);
const MEANT: [typed: string, want: string | undefined][] = [
  ["netwrok", "network"],
  ["networ", "network"],
  ["qdsic", "qdisc"],
  ["qdisc_tbf_rate", "qdisc-tbf-rate"],
  ["qdiscTbfRate", "qdisc-tbf-rate"],
  ["hostloopback", "host-loopback"],
  ["publsh", "publish"],
  ["adress", "address"],
  ["zzzzzz", undefined],
  ["x", undefined],
  ["a".repeat(1000), undefined],
];
for (const [typed, want] of MEANT) {
  test(`nearest() answers ${want} to ${typed.slice(0, 20)}`, () => strictEqual(nearest(typed, NAMES), want));
}
