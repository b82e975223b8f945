/** How long the data plane outlives the program. */

import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { Drain } from "../../lib/engine/drain.ts";
import { type Instant, SECOND } from "../../lib/stack/time.ts";

const at = (seconds: number) => seconds * SECOND as Instant;

/** A drain that has made the turns that it makes in any case. */
function begun(left: { flows: number; bytes: number }): Drain {
  const drain = new Drain(0, at(0));
  while (drain.pollAt() === 0) strictEqual(drain.over(left, at(0)), false);
  return drain;
}

test("Drain.over() makes a few turns and then waits for nothing when there is nothing", () => {
  const drain = new Drain(0, at(0));
  let turns = 1;
  // A sleep in between would make the end of every program late.
  for (; !drain.over({ flows: 0, bytes: 0 }, at(0)); turns++) strictEqual(drain.pollAt(), 0);
  strictEqual(turns, 4);
});

test("Drain.over() waits for a connection that moves, and not for one that stands still", () => {
  const drain = begun({ flows: 1, bytes: 0 });
  strictEqual(drain.over({ flows: 1, bytes: 10 }, at(1)), false);
  strictEqual(drain.over({ flows: 1, bytes: 20 }, at(2.5)), false);
  strictEqual(drain.pollAt(), at(4.5));
  strictEqual(drain.over({ flows: 1, bytes: 20 }, at(4.5)), true);
});

test("Drain.over() ends at once with the last connection", () => {
  const drain = begun({ flows: 2, bytes: 0 });
  strictEqual(drain.over({ flows: 1, bytes: 0 }, at(1)), false);
  strictEqual(drain.over({ flows: 0, bytes: 0 }, at(1.1)), true);
});

test("Drain.over() has an end whatever moves", () => {
  const drain = begun({ flows: 1, bytes: 0 });
  for (let second = 1; second < 10; second++) {
    strictEqual(drain.over({ flows: 1, bytes: second }, at(second)), false);
  }
  strictEqual(drain.over({ flows: 1, bytes: 10 }, at(10)), true);
});
