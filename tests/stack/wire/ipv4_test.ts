import { test } from "node:test";
import { equal } from "node:assert/strict";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { type IpFields, IpHeader } from "../../../lib/stack/wire/ip.ts";
import { emitIpv4, parseIpv4 } from "../../../lib/stack/wire/ipv4.ts";
import { onesComplementSum } from "../../../lib/stack/wire/checksum.ts";
import { fragmented, roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";
import { between, randomBytes, seeded } from "../../support/random.ts";

const SYN = FRAMES.syn4.subarray(14);

test("parseIpv4() reads a header and stands at the payload", () => {
  const p = tight(SYN);
  const ip = new IpHeader();
  equal(parseIpv4(p, ip), undefined);
  equal(ip.family, 4);
  equal(ip.source.toString(), "10.0.0.1");
  equal(ip.destination.toString(), "10.0.0.2");
  equal(ip.protocol, 6);
  equal(ip.hopLimit, 64);
  equal(ip.identification, 0xf63e);
  equal(ip.dontFragment, true);
  equal(ip.isFragment, false);
  equal(ip.headerStart, 0);
  equal(ip.headerLength, 20);
  equal(ip.hasOptions, false);
  equal(p.start, 20);
  equal(p.end, 60);
});

test("parseIpv4() cuts the padding that Ethernet added", () => {
  const p = roomy(SYN, 4, 20);
  p.end += 20;
  equal(parseIpv4(p, new IpHeader()), undefined);
  equal(p.length, 40);
});

test("parseIpv4() cuts padding out of fragments too", () => {
  const p = fragmented(Uint8Array.of(...SYN, 1, 2, 3, 4, 5, 6), 40, [10, 13]);
  equal(parseIpv4(p, new IpHeader()), undefined);
  equal(p.totalLength, 40);
  equal(toHex(p.toBytes()), toHex(SYN.subarray(20)));
});

/** A header with `options`, and 8 bytes of payload; `patch` comes before the checksum. */
function datagram(options: number[], patch: (view: DataView) => void = () => {}): Uint8Array {
  const headerLength = 20 + options.length;
  const bytes = new Uint8Array(headerLength + 8);
  const view = new DataView(bytes.buffer);
  bytes.set([0x40 | (headerLength >> 2), 0, 0, headerLength + 8, 0, 1, 0, 0, 64, 17], 0);
  bytes.set([10, 0, 0, 1, 10, 0, 0, 2, ...options], 12);
  patch(view);
  const summed = Math.min(bytes.length, (bytes[0]! & 15) << 2);
  view.setUint16(10, ~onesComplementSum(view, 0, summed, 0));
  return bytes;
}

const GOOD_OPTIONS: [why: string, options: number[]][] = [
  ["no-operation", [1, 1, 1, 1]],
  ["end of list, and rubbish behind it", [0, 131, 255, 255]],
  ["record route", [7, 7, 4, 0, 0, 0, 0, 0]],
  ["router alert", [148, 4, 0, 0]],
  ["an unknown one", [200, 3, 9, 1]],
];
for (const [why, options] of GOOD_OPTIONS) {
  test(`parseIpv4() accepts options: ${why}`, () => {
    const p = tight(datagram(options));
    const ip = new IpHeader();
    equal(parseIpv4(p, ip), undefined);
    equal(ip.hasOptions, true);
    equal(ip.headerLength, 20 + options.length);
    equal(p.length, 8);
  });
}

const BAD: [why: string, bytes: Uint8Array, want: string, pointer?: number][] = [
  ["nothing", new Uint8Array(0), "truncated"],
  ["19 bytes", SYN.subarray(0, 19), "truncated"],
  ["a frame shorter than the total length", SYN.subarray(0, 59), "truncated"],
  ["version 6", datagram([], (v) => v.setUint8(0, 0x65)), "bad-version"],
  ["a header length of 16", datagram([], (v) => v.setUint8(0, 0x44)), "bad-header-length"],
  ["a header length beyond the packet", datagram([], (v) => v.setUint8(0, 0x4f)), "truncated"],
  ["a total length below the header", datagram([1, 1, 1, 1], (v) => v.setUint16(2, 23)), "bad-length"],
  ["a total length of 0", datagram([], (v) => v.setUint16(2, 0)), "bad-length"],
  ["a wrong checksum", Uint8Array.of(...SYN.subarray(0, 10), 1, 2, ...SYN.subarray(12)), "bad-checksum"],
  ["a loose source route", datagram([131, 7, 4, 10, 0, 0, 9, 0]), "source-route"],
  ["a strict source route", datagram([1, 137, 7, 4, 10, 0, 0, 9]), "source-route"],
  ["a source route without length", datagram([1, 1, 1, 131]), "source-route"],
  ["an option of length 0", datagram([7, 0, 0, 0]), "bad-option", 20],
  ["an option of length 1", datagram([1, 7, 1, 0]), "bad-option", 21],
  ["an option longer than the header", datagram([7, 5, 0, 0]), "bad-option", 20],
  ["an option whose length is missing", datagram([1, 1, 1, 7]), "bad-option", 23],
  ["an inner fragment of 12 bytes", fragment(0x2000, 12), "bad-fragment"],
  ["the ping of death", fragment(0x1fff, 16), "bad-fragment"],
];
for (const [why, bytes, want, pointer] of BAD) {
  test(`parseIpv4() refuses ${why}`, () => {
    const ip = new IpHeader();
    const p = tight(bytes);
    equal(parseIpv4(p, ip), want);
    equal(p.start, 0);
    equal(ip.parameterProblem.code, pointer === undefined ? -1 : 0);
    if (pointer !== undefined) equal(ip.parameterProblem.pointer, pointer);
  });
}

function fragment(field: number, payload: number): Uint8Array {
  const bytes = new Uint8Array(20 + payload);
  bytes.set(
    datagram([], (v) => {
      v.setUint16(2, 20 + payload);
      v.setUint16(6, field);
    }).subarray(0, 20),
  );
  return bytes;
}

test("parseIpv4() forgets the parameter problem of the packet before", () => {
  const ip = new IpHeader();
  parseIpv4(tight(datagram([7, 0, 0, 0])), ip);
  equal(ip.parameterProblem.code, 0);
  equal(parseIpv4(tight("45"), ip), "truncated");
  equal(ip.parameterProblem.code, -1);
});

test("parseIpv4() reads the fields of a fragment", () => {
  const ip = new IpHeader();
  equal(parseIpv4(tight(fragment(0x2000 | 185, 16)), ip), undefined);
  equal(ip.isFragment, true);
  equal(ip.moreFragments, true);
  equal(ip.fragmentOffset, 1480);
  equal(parseIpv4(tight(fragment(0x1fff, 7)), ip), undefined);
  equal(ip.fragmentOffset + 7, 65_535);
});

test("parseIpv4() reads a quotation that is cut off", () => {
  const p = tight(SYN.subarray(0, 28));
  equal(parseIpv4(p, new IpHeader(), true, true), undefined);
  equal(p.length, 8);
});

test("emitIpv4() writes the header that Linux wrote", () => {
  const p = roomy(SYN);
  const ip = new IpHeader();
  parseIpv4(p, ip);
  p.bytes.fill(0xee, 0, p.start);
  emitIpv4(p, ip);
  equal(toHex(p.toBytes()), toHex(SYN));
});

test("parseIpv4() reads what emitIpv4() wrote", () => {
  const seed = 11;
  const random = seeded(seed);
  const ip = new IpHeader();
  for (let round = 0; round < 500; round++) {
    const payload = randomBytes(random, between(random, 0, 20) * 8);
    const fields: IpFields = {
      source: IpAddress.v4(random()),
      destination: IpAddress.v4(random()),
      protocol: random() & 255,
      hopLimit: random() & 255,
      trafficClass: random() & 255,
      identification: random() & 0xffff,
      dontFragment: (random() & 1) === 0,
      moreFragments: (random() & 1) === 0,
      fragmentOffset: between(random, 0, 8000) * 8,
    };
    const p = roomy(payload);
    emitIpv4(p, fields);
    equal(parseIpv4(p, ip), undefined, `seed ${seed} round ${round}`);
    equal(toHex(p.toBytes()), toHex(payload));
    equal(ip.source.equals(fields.source) && ip.destination.equals(fields.destination), true);
    for (const key of ["protocol", "hopLimit", "trafficClass", "identification"] as const) {
      equal(ip[key], fields[key], key);
    }
    equal(ip.dontFragment, fields.dontFragment);
    equal(ip.moreFragments, fields.moreFragments);
    equal(ip.fragmentOffset, fields.fragmentOffset);
  }
});

test("IpHeader.copyFrom() copies every field but the parameter problem", () => {
  const ip = new IpHeader();
  parseIpv4(tight(fragment(0x2000 | 185, 16)), ip);
  const copy = new IpHeader().copyFrom(ip);
  const without = (h: IpHeader) => JSON.stringify({ ...h, parameterProblem: undefined });
  equal(without(copy), without(ip));
  ip.source.d = 1;
  equal(copy.source.d, 0x0a000001);
});
