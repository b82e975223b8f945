import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { type Instant, later, NEVER, SECOND } from "../../../lib/stack/time.ts";
import { STALL, StallWatch } from "../../../lib/uplink/provider/stall_watch.ts";

/** A wire that is looked at ten times a second, as long as `waits` says; returns when stalls began and ended, in seconds. */
function watch(seconds: number, waits: (at: number) => boolean, progress: (at: number) => number): string[] {
  const stall = new StallWatch();
  const events: string[] = [];
  for (let tenth = 0; tenth <= 10 * seconds; tenth++) {
    const at = tenth / 10;
    const now = at * SECOND as Instant;
    if (now >= stall.pollAt() && stall.judge(progress(at), now)) events.push(`begins ${at}`);
    if (stall.look(waits(at), now)) events.push(`ends ${at}`);
  }
  return events;
}

test("a wire that moves nothing is stalled, told of once, and so is its end", () => {
  deepEqual(watch(100, (at) => at < 60, () => 7), ["begins 20", "ends 60"]);
});

test("a wire that is full and moves is not stalled", () => {
  deepEqual(watch(100, () => true, (at) => Math.floor(at / 5)), []);
});

test("a wire that stalls again is told of again", () => {
  deepEqual(watch(100, (at) => at < 30 || at > 40, () => 7), ["begins 20", "ends 30", "begins 60.1"]);
});

test("a stall is as old as what was last seen to move", () => {
  const stall = new StallWatch();
  equal(stall.pollAt(), NEVER);
  stall.look(true, 0 as Instant);
  equal(stall.pollAt(), STALL);
  stall.judge(7, STALL as Instant);
  stall.judge(7, later(STALL as Instant, STALL));
  equal(stall.since, STALL);
});
