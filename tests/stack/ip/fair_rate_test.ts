import { equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { FairRate, type Tenants, WINDOW } from "../../../lib/stack/ip/fair_rate.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { ip } from "../../support/two_stacks.ts";

const T0 = 7_000_000 as Instant;

function taken(rate: FairRate, guest: string, now: Instant, wanted = 10_000): number {
  let count = 0;
  while (count < wanted && rate.take(ip(guest), now)) count++;
  return count;
}

test("one guest alone has the whole of a rate, and a burst", () => {
  const rate = new FairRate(1_000, 50);
  equal(taken(rate, "10.0.0.1", T0), 50);
  equal(taken(rate, "10.0.0.2", T0), 0);
  equal(taken(rate, "10.0.0.1", (T0 + 10_000) as Instant), 10);
});

test("of several guests none takes it all, and each window is a new one", () => {
  const tenants: Tenants = { of: (address) => address.d & 0xff };
  const rate = new FairRate(1_000, 50, tenants);
  equal(taken(rate, "10.0.0.1", T0), 50);
  equal(taken(rate, "10.0.0.2", T0), 25);
  ok(rate.take(ip("10.0.0.3"), T0), "there is something left for whoever comes");
  equal(taken(rate, "10.0.0.1", T0), 0);
  equal(taken(rate, "10.0.0.1", (T0 + WINDOW) as Instant), 50);
});
