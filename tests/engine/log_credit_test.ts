import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { LOG_LIMIT, LogCredit, logWritten, newLogCounter } from "../../lib/engine/log_credit.ts";

test("LogCredit stops at the limit, counts what is lost, and goes on when lines are written", () => {
  const counter = newLogCounter();
  const credit = new LogCredit(counter);
  for (let i = 0; i < LOG_LIMIT; i++) ok(credit.take());
  ok(!credit.take());
  ok(!credit.take());
  strictEqual(credit.lost, 2);
  logWritten(counter);
  ok(credit.take());
  strictEqual(credit.takeLost(), 2);
  strictEqual(credit.takeLost(), 0);
  ok(!credit.take());
});

test("LogCredit survives the wrap of its counters", () => {
  const counter = newLogCounter();
  const credit = new LogCredit(counter);
  const turns = 3 * LOG_LIMIT;
  for (let i = 0; i < turns; i++) {
    ok(credit.take());
    logWritten(counter);
  }
  strictEqual(counter[0], turns);
  strictEqual(credit.lost, 0);
});
