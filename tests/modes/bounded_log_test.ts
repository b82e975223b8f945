import { test } from "node:test";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { BoundedLog } from "../../lib/modes/bounded_log.ts";
import { type Instant, SECOND } from "../../lib/stack/time.ts";

test("what is said is bounded, and what was left out is told of", () => {
  const lines: string[] = [];
  let now = 0;
  const log = new BoundedLog((_level, text) => lines.push(text), "network 0", () => now as Instant);
  for (; now < 60 * SECOND; now += 10_000) log.write("warn", "again");
  ok(lines.length >= 12 && lines.length <= 12 + 2 * 6, `${lines.length} lines`);
  match(lines[12]!, /^network 0: 9[0-9][0-9] lines were left out here$/);
  deepEqual([lines[11], lines[13]], ["again", "again"]);
  const told = lines.filter((line) => line === "again").length;
  equal(log.suppressed, 6_000 - told);
});

test("who looks for something has every line", () => {
  let lines = 0;
  const log = new BoundedLog(() => lines++, "network 0", () => 0 as Instant);
  for (let i = 0; i < 1_000; i++) log.write("debug", "detail");
  equal(lines, 1_000);
});
