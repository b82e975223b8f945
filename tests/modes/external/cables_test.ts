import { test } from "node:test";
import { deepEqual } from "node:assert/strict";
import { Cables } from "../../../lib/modes/external/cables.ts";
import { type Instant, later, NEVER, SECOND } from "../../../lib/stack/time.ts";

test("a cable is out after a second without a provider, and in at once when there is one", () => {
  const wires = [{ lostAt: NEVER }, { lostAt: NEVER }];
  const plugged: [number, boolean][] = [];
  const cables = new Cables(wires, (index, isIn) => plugged.push([index, isIn]));
  const at = (seconds: number) => seconds * SECOND as Instant;
  cables.poll(at(1));
  wires[1]!.lostAt = at(1);
  cables.poll(at(1.5));
  // A short gap.
  wires[1]!.lostAt = NEVER;
  cables.poll(at(3));
  deepEqual([plugged, cables.pollAt()], [[], NEVER]);
  wires[1]!.lostAt = at(3);
  deepEqual(cables.pollAt(), later(at(3), SECOND));
  cables.poll(at(4));
  cables.poll(at(5));
  deepEqual([plugged, cables.pollAt()], [[[1, false]], NEVER]);
  wires[1]!.lostAt = NEVER;
  cables.poll(at(6));
  deepEqual(plugged, [[1, false], [1, true]]);
});
