import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { FairShare, oldestOf } from "../../lib/stack/fair_share.ts";

function take(share: FairShare, tenant: number, wanted = Infinity): number {
  let taken = 0;
  for (; taken < wanted && share.admits(tenant); taken++) share.add(tenant);
  return taken;
}

test("one greedy tenant gets half, the next half of the rest, and so on", () => {
  const share = new FairShare(1_024);
  strictEqual(take(share, 1), 512);
  strictEqual(take(share, 2), 256);
  strictEqual(take(share, 3), 128);
  ok(share.admits(4), "there is always something left for whoever comes");
});

test("what is given back is there for others, and moves towards equal parts", () => {
  const share = new FairShare(900);
  take(share, 1);
  for (let round = 0; round < 5_000; round++) {
    share.remove(1);
    if (share.admits(1)) share.add(1);
    take(share, 2);
  }
  ok(Math.abs(share.held(1) - share.held(2)) <= 2, `${share.held(1)} ${share.held(2)}`);
  for (const tenant of [1, 2]) while (share.held(tenant) > 0) share.remove(tenant);
  strictEqual(take(share, 3), 450);
});

test("oldestOf() finds one's own, and does not search for ever", () => {
  interface Item {
    tenant: number;
    newer: Item | undefined;
  }
  let list: Item | undefined;
  for (let i = 0; i < 1_000; i++) list = { tenant: i === 990 ? 1 : i === 0 ? 2 : 0, newer: list };
  strictEqual(oldestOf(list, 1)?.tenant, 1);
  strictEqual(oldestOf(list, 2), undefined, "too far away");
  strictEqual(oldestOf<Item>(undefined, 1), undefined);
});
