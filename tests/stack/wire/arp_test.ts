import { test } from "node:test";
import { equal } from "node:assert/strict";
import { emitArp, parseArp } from "../../../lib/stack/wire/arp.ts";
import { roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";

const REQUEST = FRAMES.arpRequest.subarray(14);

test("parseArp() reads a request", () => {
  const repr = parseArp(tight(REQUEST));
  if (typeof repr === "string") throw new Error(repr);
  equal(repr.operation, 1);
  equal(repr.senderMac.toString(), "02:00:00:00:00:0a");
  equal(repr.senderIp.toString(), "10.0.0.1");
  equal(repr.targetMac.isZero(), true);
  equal(repr.targetIp.toString(), "10.0.0.2");
});

for (const name of ["arpRequest", "arpReply"] as const) {
  test(`emitArp() writes what parseArp() read of ${name}`, () => {
    const bytes = FRAMES[name].subarray(14);
    const repr = parseArp(tight(bytes));
    if (typeof repr === "string") throw new Error(repr);
    const p = roomy("");
    emitArp(p, repr);
    equal(toHex(p.toBytes()), toHex(bytes));
  });
}

test("parseArp() ignores the padding of a short frame", () => {
  const p = roomy(REQUEST, 0, 18);
  p.end += 18;
  equal(typeof parseArp(p), "object");
});

const BAD: [why: string, at: number, byte: number, want: string][] = [
  ["another hardware type", 1, 6, "unsupported"],
  ["another protocol", 2, 0x86, "unsupported"],
  ["a hardware length of 8", 4, 8, "unsupported"],
  ["a protocol length of 16", 5, 16, "unsupported"],
  ["RARP", 7, 3, "unsupported"],
  ["a group as sender", 8, 3, "bad-source-mac"],
];
for (const [why, at, byte, want] of BAD) {
  test(`parseArp() refuses ${why}`, () => {
    const p = tight(REQUEST);
    p.bytes[at] = byte;
    equal(parseArp(p), want);
  });
}

test("parseArp() refuses every proper prefix", () => {
  for (let n = 0; n < REQUEST.length; n++) equal(parseArp(tight(REQUEST.subarray(0, n))), "truncated");
});
