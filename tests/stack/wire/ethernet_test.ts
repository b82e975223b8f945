import { test } from "node:test";
import { equal } from "node:assert/strict";
import {
  emitEthernet,
  EthernetHeader,
  EtherType,
  MacAddress,
  parseEthernet,
} from "../../../lib/stack/wire/ethernet.ts";
import { roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";

test("parseEthernet() reads a header and stands at the payload", () => {
  const p = tight(FRAMES.arpRequest);
  const header = new EthernetHeader();
  equal(parseEthernet(p, header), undefined);
  equal(header.destination.isBroadcast(), true);
  equal(header.source.toString(), "02:00:00:00:00:0a");
  equal(header.etherType, EtherType.arp);
  equal(p.start, 14);
  equal(p.length, 28);
});

const BAD: [why: string, frame: string, want: string][] = [
  ["nothing at all", "", "truncated"],
  ["13 bytes", "ffffffffffff 020000000001 08", "truncated"],
  ["an 802.3 length", "ffffffffffff 020000000001 05dc", "not-ethernet-2"],
  ["a group as source", "020000000001 010000000001 0800", "bad-source-mac"],
  ["broadcast as source", "020000000001 ffffffffffff 0800", "bad-source-mac"],
];
for (const [why, frame, want] of BAD) {
  test(`parseEthernet() refuses ${why}`, () => {
    const p = tight(frame);
    equal(parseEthernet(p, new EthernetHeader()), want);
    equal(p.start, 0);
  });
}

test("emitEthernet() writes what parseEthernet() read", () => {
  const p = roomy(FRAMES.syn6);
  const header = new EthernetHeader();
  parseEthernet(p, header);
  p.bytes.fill(0xee, 0, p.start);
  emitEthernet(p, header.destination, header.source, header.etherType);
  equal(toHex(p.toBytes()), toHex(FRAMES.syn6));
});

const TEXTS: [text: string, want: string | undefined][] = [
  ["02:00:5e:10:00:01", "02:00:5e:10:00:01"],
  ["FE-dc-BA-98-76-54", "fe:dc:ba:98:76:54"],
  ["00:00:00:00:00:00", "00:00:00:00:00:00"],
  ["ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff"],
  ["02:00:5e:10:00", undefined],
  ["02:00:5e:10:00:01:02", undefined],
  ["02:00:5e:10:00:1", undefined],
  ["02:00-5e:10:00:01", undefined],
  ["02:00:5e:10:00:0g", undefined],
  ["02005e100001", undefined],
  ["", undefined],
];
for (const [text, want] of TEXTS) {
  test(`MacAddress.parse() reads "${text}" as ${want}`, () =>
    equal(MacAddress.parse(text)?.toString(), want));
}

test("MacAddress.local() is unicast and locally administered for any random bits", () => {
  for (const bits of [0, 0xffff, 0x1234_5678, 0xffff_ffff]) {
    const mac = MacAddress.local(bits, bits);
    equal(mac.isMulticast(), false);
    equal(mac.high & 0x0200, 0x0200);
    equal(MacAddress.parse(mac.toString())?.equals(mac), true);
  }
});

test("MacAddress.multicast4() and multicast6() map groups as RFC 1112 and RFC 2464 say", () => {
  equal(MacAddress.multicast4({ d: 0xe0800001 | 0 }).toString(), "01:00:5e:00:00:01");
  equal(MacAddress.multicast6({ d: 0xff00000a | 0 }).toString(), "33:33:ff:00:00:0a");
});
