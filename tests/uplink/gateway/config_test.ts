import { test } from "node:test";
import { deepStrictEqual, ok } from "node:assert/strict";
import { DEFAULT_LIMITS, limitsWithin } from "../../../lib/uplink/gateway/config.ts";

test("limitsWithin() is the default when descriptors are plenty", () => {
  deepStrictEqual(limitsWithin(65_536), DEFAULT_LIMITS);
  deepStrictEqual(limitsWithin(Number.MAX_SAFE_INTEGER), DEFAULT_LIMITS);
});

test("limitsWithin() leaves descriptors for the rest of the process", () => {
  for (const descriptors of [256, 1_024, 4_096, 20_000]) {
    const { tcpFlows, tcpDials, udpFlows, dnsQueries, icmpFlows } = limitsWithin(descriptors);
    ok(tcpDials < tcpFlows);
    // A question may be asked of three resolvers.
    ok(tcpFlows + udpFlows + 3 * dnsQueries + icmpFlows <= descriptors * 15 / 16, `${descriptors}`);
    for (const limit of [tcpFlows, tcpDials, udpFlows, dnsQueries, icmpFlows]) ok(limit > 0);
  }
});
