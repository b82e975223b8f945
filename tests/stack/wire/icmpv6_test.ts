import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import {
  emitIcmpv6,
  type Icmpv6Repr,
  isNdp,
  parseIcmpv6,
  verifyIcmpv6,
} from "../../../lib/stack/wire/icmpv6.ts";
import { fragmented, hex, roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";

const A = IpAddress.parse("fd00::1")!;
const B = IpAddress.parse("fd00::2")!;
const REQUEST = FRAMES.echoRequest6.subarray(54);

test("parseIcmpv6() reads an echo request and stands at its data", () => {
  const p = tight(REQUEST);
  equal(isNdp(p), false);
  equal(verifyIcmpv6(p, A, B), true);
  deepEqual(parseIcmpv6(p), { kind: "echo-request", identifier: 9777, sequence: 1 });
  equal(toHex(p.toBytes()), "0001020304050607");
});

test("emitIcmpv6() writes what Linux wrote", () => {
  const echo = roomy(REQUEST.subarray(8));
  emitIcmpv6(echo, { kind: "echo-request", identifier: 9777, sequence: 1 }, A, B);
  equal(toHex(echo.toBytes()), toHex(REQUEST));
  const error = roomy(FRAMES.udp6.subarray(14));
  emitIcmpv6(error, { kind: "destination-unreachable", code: 4 }, B, A);
  equal(toHex(error.toBytes()), toHex(FRAMES.unreachable6.subarray(54)));
});

const MESSAGES: Icmpv6Repr[] = [
  { kind: "echo-request", identifier: 0xffff, sequence: 0xfffe },
  { kind: "echo-reply", identifier: 0, sequence: 0 },
  { kind: "destination-unreachable", code: 1 },
  { kind: "packet-too-big", mtu: 0xffff_ffff },
  { kind: "time-exceeded", code: 1 },
  { kind: "parameter-problem", code: 2, pointer: 0x8000_0001 },
];
for (const message of MESSAGES) {
  test(`parseIcmpv6() reads what emitIcmpv6() wrote: ${JSON.stringify(message)}`, () => {
    const payload = hex("01020304 05060708 09");
    for (const p of [roomy(payload), fragmented(payload, 3, [1, 5])]) {
      emitIcmpv6(p, message, A, B);
      equal(verifyIcmpv6(p, A, B), true);
      equal(verifyIcmpv6(p, A, A), false);
      deepEqual(parseIcmpv6(p), message);
      equal(toHex(p.toBytes()), toHex(payload));
    }
  });
}

const BAD: [why: string, bytes: string, want: string][] = [
  ["nothing", "", "truncated"],
  ["7 bytes", "8000 0000 000000", "truncated"],
  ["an unknown type", "6400 0000 00000000", "unknown-type"],
  ["an echo request with a code", "8001 0000 00000000", "unknown-type"],
  ["a listener report", "8f00 0000 00000000", "unknown-type"],
];
for (const [why, bytes, want] of BAD) {
  test(`parseIcmpv6() refuses ${why}`, () => {
    const p = tight(bytes);
    equal(parseIcmpv6(p), want);
    equal(p.start, 0);
  });
}

test("isNdp() tells neighbour discovery from the rest", () => {
  equal(isNdp(tight("")), false);
  for (let type = 0; type < 256; type++) {
    equal(isNdp(tight(Uint8Array.of(type))), type >= 133 && type <= 137, `${type}`);
  }
});
