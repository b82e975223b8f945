import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { CHANGE_INTERVAL, Changes } from "../../../lib/modes/external/changes.ts";
import { type Instant, NEVER, SECOND } from "../../../lib/stack/time.ts";

test("the first change is carried out at once, a flood of them together", () => {
  const carriedOut: number[] = [];
  let now = 0;
  const changes = new Changes(() => carriedOut.push(now));
  equal(changes.pollAt(), NEVER);
  for (; now < SECOND; now += 10) {
    changes.note();
    changes.poll(now as Instant);
  }
  deepEqual(carriedOut, [0, 1, 2, 3].map((i) => i * CHANGE_INTERVAL));
  equal(changes.pollAt(), SECOND);
});

test("who is about to look does not wait, and nothing is carried out twice", () => {
  let count = 0;
  const changes = new Changes(() => count++);
  changes.note();
  changes.settle(0 as Instant);
  changes.note();
  changes.settle(1 as Instant);
  changes.settle(2 as Instant);
  equal(count, 2);
});
