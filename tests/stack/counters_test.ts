import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { Counters } from "../../lib/stack/counters.ts";

test("Counters counts under a name, by slot or by look-up", () => {
  const counters = new Counters();
  const slot = counters.slot("ip.received");
  slot.value++;
  counters.bump("ip.received");
  counters.add("ip.received", 3);
  equal(counters.get("ip.received"), 5);
  equal(counters.slot("ip.received"), slot);
  equal(counters.get("ip.sent"), 0);
});

test("Counters.all() is sorted, and names what was asked for but never counted", () => {
  const counters = new Counters();
  counters.slots("ip.malformed", ["truncated", "bad-length"]).truncated.value++;
  counters.bump("arp.received");
  deepEqual(Object.entries(counters.all()), [
    ["arp.received", 1],
    ["ip.malformed.bad-length", 0],
    ["ip.malformed.truncated", 1],
  ]);
});
