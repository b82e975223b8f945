import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Origin, outsideError } from "../../../lib/uplink/gateway/outside_error.ts";

const { local, icmp, icmp6 } = Origin;

/** Origin, type, code, info; and what it is. */
const ERRORS = [
  [icmp, 3, 0, 0, "network-unreachable"],
  [icmp, 3, 1, 0, "host-unreachable"],
  [icmp, 3, 2, 0, "protocol-unreachable"],
  [icmp, 3, 3, 0, "port-unreachable"],
  [icmp, 3, 4, 1_400, "packet-too-big"],
  [icmp, 3, 13, 0, "admin-prohibited"],
  [icmp, 11, 0, 0, "time-exceeded"],
  [icmp, 11, 1, 0, "reassembly-time-exceeded"],
  [icmp6, 1, 0, 0, "network-unreachable"],
  [icmp6, 1, 1, 0, "admin-prohibited"],
  [icmp6, 1, 3, 0, "host-unreachable"],
  [icmp6, 1, 4, 0, "port-unreachable"],
  [icmp6, 2, 0, 1_280, "packet-too-big"],
  [icmp6, 3, 0, 0, "time-exceeded"],
  [icmp6, 4, 1, 6, "protocol-unreachable"],
  // About what the guest did not write, or nothing at all.
  [icmp, 3, 5, 0, undefined],
  [icmp, 12, 0, 0, undefined],
  [icmp6, 4, 0, 0, undefined],
  [local, 3, 3, 0, undefined],
  [0, 3, 3, 0, undefined],
  // MTUs that no link has, old routers' silence, codes and types without a meaning.
  [icmp, 3, 4, 0, undefined],
  [icmp, 3, 4, 67, undefined],
  [icmp6, 2, 0, 1_279, undefined],
  [icmp, 3, 16, 0, undefined],
  [icmp, 4, 0, 0, undefined],
  [icmp, 5, 0, 0, undefined],
  [icmp, 11, 2, 0, undefined],
  [icmp6, 1, 9, 0, undefined],
  [icmp6, 3, 2, 0, undefined],
  [icmp6, 137, 0, 0, undefined],
] as const;

for (const [origin, type, code, info, want] of ERRORS) {
  test(`outsideError() finds ${want ?? "nothing"} in ${origin} ${type}/${code} ${info}`, () =>
    strictEqual(outsideError({ origin, type, code, info }), want));
}
