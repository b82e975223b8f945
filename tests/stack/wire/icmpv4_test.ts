import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { emitIcmpv4, type Icmpv4Repr, parseIcmpv4 } from "../../../lib/stack/wire/icmpv4.ts";
import { fragmented, hex, roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";

const REQUEST = FRAMES.echoRequest4.subarray(34);

test("parseIcmpv4() reads an echo request and stands at its data", () => {
  const p = tight(REQUEST);
  deepEqual(parseIcmpv4(p), { kind: "echo-request", identifier: 9776, sequence: 1 });
  equal(toHex(p.toBytes()), "0001020304050607");
});

test("emitIcmpv4() answers as Linux did", () => {
  const p = roomy(REQUEST.subarray(8));
  emitIcmpv4(p, { kind: "echo-reply", identifier: 9776, sequence: 1 });
  equal(toHex(p.toBytes()), toHex(FRAMES.echoReply4.subarray(34)));
});

test("parseIcmpv4() stands at the datagram that an error quotes", () => {
  const p = tight(FRAMES.unreachable4.subarray(34));
  deepEqual(parseIcmpv4(p), { kind: "destination-unreachable", code: 3, mtu: 0 });
  equal(toHex(p.toBytes()), toHex(FRAMES.udp4.subarray(14)));
});

const MESSAGES: Icmpv4Repr[] = [
  { kind: "echo-request", identifier: 0xffff, sequence: 0xfffe },
  { kind: "echo-reply", identifier: 0, sequence: 0 },
  { kind: "destination-unreachable", code: 1, mtu: 0 },
  { kind: "destination-unreachable", code: 4, mtu: 1400 },
  { kind: "time-exceeded", code: 1 },
  { kind: "parameter-problem", code: 0, pointer: 21 },
  { kind: "redirect", code: 1, gateway: IpAddress.v4(0x0a000001) },
];
for (const message of MESSAGES) {
  test(`parseIcmpv4() reads what emitIcmpv4() wrote: ${JSON.stringify(message)}`, () => {
    const payload = hex("01020304 05060708 09");
    for (const p of [roomy(payload), fragmented(payload, 3, [1, 5])]) {
      emitIcmpv4(p, message);
      deepEqual(parseIcmpv4(p), message);
      equal(toHex(p.toBytes()), toHex(payload));
    }
  });
}

const BAD: [why: string, bytes: string, want: string][] = [
  ["nothing", "", "truncated"],
  ["7 bytes", "0800 f7ff 000000", "truncated"],
  ["a wrong checksum", "0800 f7fe 0000 0000", "bad-checksum"],
  ["an unknown type", "2a00 d5ff 0000 0000", "unknown-type"],
  ["an echo request with a code", "0801 f7fe 0000 0000", "unknown-type"],
];
for (const [why, bytes, want] of BAD) {
  test(`parseIcmpv4() refuses ${why}`, () => {
    const p = tight(bytes);
    equal(parseIcmpv4(p), want);
    equal(p.start, 0);
  });
}
