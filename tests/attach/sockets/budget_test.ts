import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Budget } from "../../../lib/attach/sockets/budget.ts";
import { Counters } from "../../../lib/stack/counters.ts";

test("Budget refuses and counts what is beyond it, until it is renewed", () => {
  const counters = new Counters();
  const budget = new Budget(2, counters.slot("some.limit"));
  deepStrictEqual([budget.spend(), budget.spend(), budget.spend(), budget.spend()], [
    true,
    true,
    false,
    false,
  ]);
  strictEqual(counters.get("some.limit"), 2);
  budget.renew();
  strictEqual(budget.spend(), true);
  strictEqual(counters.get("some.limit"), 2);
});
