import { test } from "node:test";
import { equal } from "node:assert/strict";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { IpHeader, IpProtocol } from "../../../lib/stack/wire/ip.ts";
import {
  emitIpv6,
  emitIpv6Fragment,
  MAX_EXTENSION_HEADERS,
  MAX_OPTIONS,
  parseIpv6,
} from "../../../lib/stack/wire/ipv6.ts";
import { hex, roomy, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";
import { between, randomBytes, seeded } from "../../support/random.ts";

const SYN = FRAMES.syn6.subarray(14);
const ADDRESSES = "fd000000000000000000000000000001 fd000000000000000000000000000002";
const UDP = "1111 2222 0008 0000";

/** A packet whose chain begins with `next` and consists of `chain`. */
function packet(next: number, chain: string): Uint8Array {
  const payload = hex(chain);
  const head = hex(`60000000 0000 0040 ${ADDRESSES}`);
  new DataView(head.buffer).setUint16(4, payload.length);
  head[6] = next;
  return Uint8Array.of(...head, ...payload);
}

test("parseIpv6() reads a header and stands at the payload", () => {
  const p = tight(SYN);
  const ip = new IpHeader();
  equal(parseIpv6(p, ip), undefined);
  equal(ip.family, 6);
  equal(ip.source.toString(), "fd00::1");
  equal(ip.destination.toString(), "fd00::2");
  equal(ip.protocol, IpProtocol.tcp);
  equal(ip.protocolOffset, 6);
  equal(ip.hopLimit, 64);
  equal(ip.flowLabel, 0xaeee);
  equal(ip.trafficClass, 0);
  equal(ip.headerLength, 40);
  equal(ip.hasOptions, false);
  equal(ip.isFragment, false);
  equal(p.start, 40);
  equal(p.length, 40);
});

test("parseIpv6() walks the hop-by-hop options of a listener report", () => {
  const p = tight(FRAMES.listenerReport);
  p.start = 14;
  const ip = new IpHeader();
  equal(parseIpv6(p, ip), undefined);
  equal(ip.protocol, IpProtocol.icmpv6);
  equal(ip.protocolOffset, 40);
  equal(ip.headerLength, 48);
  equal(ip.hasOptions, true);
  equal(p.start, 14 + 48);
});

test("parseIpv6() cuts padding", () => {
  const p = roomy(SYN, 0, 9);
  p.end += 9;
  equal(parseIpv6(p, new IpHeader()), undefined);
  equal(p.length, 40);
});

const PADDING = "0104 00000000";
const GOOD: [why: string, bytes: Uint8Array, protocol: number, headerLength: number][] = [
  ["destination options with padding", packet(60, `1100 ${PADDING} ${UDP}`), 17, 48],
  ["six Pad1", packet(60, `1100 000000000000 ${UDP}`), 17, 48],
  ["an option to be skipped", packet(60, `1100 1e02aaaa 0100 ${UDP}`), 17, 48],
  ["hop-by-hop and destination options", packet(0, `3c00 ${PADDING} 1100 ${PADDING} ${UDP}`), 17, 56],
  ["a header of 24 bytes", packet(60, `1102 01 14 ${"00".repeat(20)} ${UDP}`), 17, 64],
  ["a routing header of type 0 with nothing left", packet(43, `1100 0000 00000000 ${UDP}`), 17, 48],
  ["an atomic fragment", packet(44, `1100 0000 12345678 ${UDP}`), 17, 48],
  ["an atomic fragment and options", packet(44, `3c00 0000 12345678 1100 ${PADDING} ${UDP}`), 17, 56],
  ["no next header", packet(59, ""), 59, 40],
  ["an unknown protocol", packet(253, "00"), 253, 40],
];
for (const [why, bytes, protocol, headerLength] of GOOD) {
  test(`parseIpv6() accepts ${why}`, () => {
    const p = tight(bytes);
    const ip = new IpHeader();
    equal(parseIpv6(p, ip), undefined);
    equal(ip.protocol, protocol);
    equal(ip.headerLength, headerLength);
    equal(p.start, headerLength);
    equal(bytes[ip.protocolOffset], protocol);
    equal(ip.isFragment, false);
  });
}

const chainOf = (n: number) => `3c00 ${PADDING} `.repeat(n - 1) + `1100 ${PADDING} ${UDP}`;
/** Destination options of 32 bytes with `n` options to be skipped. */
const manyOptions = (n: number) => `11 03 ${"1e00".repeat(n)} ${"00".repeat(30 - 2 * n)}`;

const BAD: [
  why: string,
  bytes: Uint8Array,
  want: string,
  problem?: [code: number, pointer: number, evenIf?: boolean],
][] = [
  ["nothing", new Uint8Array(0), "truncated"],
  ["39 bytes", SYN.subarray(0, 39), "truncated"],
  ["a frame shorter than the payload length", SYN.subarray(0, 79), "truncated"],
  ["version 4", Uint8Array.of(0x45, ...SYN.subarray(1)), "bad-version"],
  ["a chain that ends in the middle of a header", packet(60, "1100 0104"), "truncated"],
  ["an extension header longer than the packet", packet(60, `1103 ${PADDING} ${UDP}`), "truncated"],
  [
    "hop-by-hop options that do not come first",
    packet(60, `0000 ${PADDING} 1100 ${PADDING} ${UDP}`),
    "bad-extension-header",
    [
      1,
      40,
    ],
  ],
  ["an option that must not be skipped", packet(60, `1100 4102aaaa 0100 ${UDP}`), "bad-option"],
  ["an option to be reported", packet(60, `1100 0100 8102aaaa ${UDP}`), "bad-option", [2, 44, true]],
  ["an option to be reported to unicast", packet(60, `1100 0100 c202aaaa ${UDP}`), "bad-option", [
    2,
    44,
    false,
  ]],
  ["an option longer than its header", packet(60, `1100 1e05aaaa 0100 ${UDP}`), "bad-option", [0, 42]],
  ["an option whose length is missing", packet(60, `1100 0103000000 1e ${UDP}`), "bad-option", [0, 47]],
  ["too many options", packet(60, manyOptions(MAX_OPTIONS + 1) + UDP), "too-many-options"],
  ["a source route of type 0", packet(43, `1102 0001 00000000 ${"00".repeat(16)} ${UDP}`), "routing-header", [
    0,
    42,
  ]],
  ["a segment route", packet(43, `1102 0401 00000000 ${"00".repeat(16)} ${UDP}`), "routing-header", [0, 42]],
  [
    "too many extension headers",
    packet(60, chainOf(MAX_EXTENSION_HEADERS + 1)),
    "too-many-extension-headers",
  ],
  ["an inner fragment of 9 bytes", packet(44, `1100 0001 00000001 ${"00".repeat(9)}`), "bad-fragment", [
    0,
    4,
  ]],
  ["the ping of death", packet(44, `1100 fff8 00000001 ${"00".repeat(8)}`), "bad-fragment", [0, 42]],
  [
    "a fragment of a fragment",
    packet(44, `2c00 0000 00000001 1100 0000 00000002 ${UDP}`),
    "bad-extension-header",
  ],
  ["a cut-off fragment header", packet(44, "1100 0000"), "truncated"],
];
for (const [why, bytes, want, problem] of BAD) {
  test(`parseIpv6() refuses ${why}`, () => {
    const ip = new IpHeader();
    equal(parseIpv6(tight(bytes), ip), want);
    equal(ip.parameterProblem.code, problem?.[0] ?? -1);
    if (problem === undefined) return;
    equal(ip.parameterProblem.pointer, problem[1]);
    equal(ip.parameterProblem.evenIfMulticast, problem[2] ?? false);
  });
}

test("parseIpv6() accepts as many headers and options as the limits say", () => {
  equal(parseIpv6(tight(packet(60, chainOf(MAX_EXTENSION_HEADERS))), new IpHeader()), undefined);
  equal(parseIpv6(tight(packet(60, manyOptions(MAX_OPTIONS) + UDP)), new IpHeader()), undefined);
});

test("parseIpv6() stops at the fragment header of a part", () => {
  const p = tight(packet(0, `2c00 ${PADDING} 3c00 0bb9 89abcdef 1100 ${PADDING} ${UDP}`));
  const ip = new IpHeader();
  equal(parseIpv6(p, ip), undefined);
  equal(ip.isFragment, true);
  equal(ip.moreFragments, true);
  equal(ip.fragmentOffset, 3000);
  equal(ip.identification, 0x89abcdef);
  equal(ip.protocol, IpProtocol.destinationOptions);
  equal(p.start, 56);
});

test("parseIpv6() forgets the parameter problem of the packet before", () => {
  const ip = new IpHeader();
  parseIpv6(tight(packet(60, `1100 0100 8102aaaa ${UDP}`)), ip);
  equal(ip.parameterProblem.code, 2);
  equal(parseIpv6(tight("60"), ip), "truncated");
  equal(ip.parameterProblem.code, -1);
});

test("parseIpv6() reads a quotation that is cut off", () => {
  const p = tight(SYN.subarray(0, 48));
  equal(parseIpv6(p, new IpHeader(), true), undefined);
  equal(p.length, 8);
});

test("parseIpv6() reads what emitIpv6() and emitIpv6Fragment() wrote", () => {
  const seed = 12;
  const random = seeded(seed);
  const ip = new IpHeader();
  const address = () => new IpAddress(6, random() | 0, random() | 0, random() | 0, random() | 0);
  for (let round = 0; round < 500; round++) {
    const payload = randomBytes(random, between(random, 0, 20) * 8);
    const fields = {
      source: address(),
      destination: address(),
      protocol: 61 + random() % 100,
      hopLimit: random() & 255,
      trafficClass: random() & 255,
      flowLabel: random() & 0xfffff,
    };
    const p = roomy(payload);
    const cut = (random() & 1) === 0;
    const offset = between(random, 0, 8000) * 8;
    const more = (random() & 1) === 0;
    const identification = random();
    if (cut) emitIpv6Fragment(p, fields.protocol, offset, more, identification);
    emitIpv6(p, cut ? { ...fields, protocol: IpProtocol.ipv6Fragment } : fields);
    equal(parseIpv6(p, ip), undefined, `seed ${seed} round ${round}`);
    equal(toHex(p.toBytes()), toHex(payload));
    equal(ip.source.equals(fields.source) && ip.destination.equals(fields.destination), true);
    for (const key of ["protocol", "hopLimit", "trafficClass", "flowLabel"] as const) {
      equal(ip[key], fields[key], key);
    }
    equal(ip.fragmentOffset, cut ? offset : 0);
    equal(ip.moreFragments, cut && more);
    equal(ip.identification, cut ? identification : 0);
  }
});
