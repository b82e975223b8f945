import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Remembered } from "../../../../lib/attach/sockets/impersonate/remembered.ts";
import { Counters } from "../../../../lib/stack/counters.ts";

test("Remembered forgets what it has known longest, and counts it", () => {
  const counters = new Counters();
  const table = new Remembered<string, number>(2, counters.slot("some.limit"));
  table.set("a", 1).set("b", 2).set("a", 3);
  strictEqual(counters.get("some.limit"), 0);
  table.set("c", 4);
  deepStrictEqual([...table], [["b", 2], ["c", 4]]);
  strictEqual(counters.get("some.limit"), 1);
});
