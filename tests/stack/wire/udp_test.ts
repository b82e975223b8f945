import { test } from "node:test";
import { equal } from "node:assert/strict";
import { emitUdp, parseUdp, UdpHeader } from "../../../lib/stack/wire/udp.ts";
import { fragmented, hex, roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";

const UDP = FRAMES.udp4.subarray(34);

test("parseUdp() reads a header and stands at the payload", () => {
  const p = tight(UDP);
  const udp = new UdpHeader();
  equal(parseUdp(p, udp), undefined);
  equal(udp.sourcePort, 52_055);
  equal(udp.destinationPort, 53);
  equal(udp.length, 13);
  equal(udp.checksum, 0xdc72);
  equal(new TextDecoder().decode(p.toBytes()), "hello");
});

const BAD: [why: string, bytes: string, want: string | undefined][] = [
  ["nothing", "", "truncated"],
  ["7 bytes", "0001 0002 0008 00", "truncated"],
  ["a length of 0", "0001 0002 0000 0000", "bad-length"],
  ["a length of 7", "0001 0002 0007 0000", "bad-length"],
  ["a length beyond the packet", "0001 0002 0009 0000", "bad-length"],
  ["destination port 0", "0001 0000 0008 0000", "port-zero"],
];
for (const [why, bytes, want] of BAD) {
  test(`parseUdp() refuses ${why}`, () => {
    const p = tight(bytes);
    equal(parseUdp(p, new UdpHeader()), want);
    equal(p.start, 0);
  });
}

test("parseUdp() accepts source port 0: the sender wants no answer", () => {
  equal(parseUdp(tight("0000 0002 0008 0000"), new UdpHeader()), undefined);
});

test("parseUdp() ends the datagram where its length says, in fragments too", () => {
  const bytes = hex("0001 0002 000c 0000 01020304 0506");
  for (const p of [tight(bytes), fragmented(bytes, 10, [4]), fragmented(bytes, 8, [1, 2, 3])]) {
    equal(parseUdp(p, new UdpHeader()), undefined);
    equal(toHex(p.toBytes()), "01020304");
  }
});

test("emitUdp() counts fragments", () => {
  const p = fragmented(hex("0102030405"), 1, [2, 2]);
  emitUdp(p, 52_055, 53);
  equal(toHex(p.toBytes()), "cb570035000d00000102030405");
});

test("emitUdp() writes the header that Linux wrote", () => {
  const p = roomy("68656c6c6f");
  emitUdp(p, 52_055, 53);
  p.view.setUint16(p.start + 6, 0xdc72);
  equal(toHex(p.toBytes()), toHex(UDP));
});
