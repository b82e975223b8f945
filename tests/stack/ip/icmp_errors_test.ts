import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { emitEthernet, EtherType, type MacAddress } from "../../../lib/stack/wire/ethernet.ts";
import { formatFrame } from "../../../lib/stack/wire/format.ts";
import { emitIpv4 } from "../../../lib/stack/wire/ipv4.ts";
import { emitIpv6, emitIpv6Fragment } from "../../../lib/stack/wire/ipv6.ts";
import { ip, mac, Pair, type PairOptions } from "../../support/two_stacks.ts";

const B = mac("02:00:00:00:00:02");
const A = mac("02:00:00:00:00:01");
const EVERYBODY = mac("ff:ff:ff:ff:ff:ff");

interface Datagram {
  readonly source: string;
  readonly destination: string;
  readonly protocol?: number;
  readonly payload?: readonly number[];
  readonly hardware?: MacAddress;
  readonly offset?: number;
}

function frameOf(datagram: Datagram): PacketBuffer {
  const { protocol = 200, payload = [1, 2, 3, 4, 5, 6, 7, 8], hardware = B, offset = 0 } = datagram;
  const packet = new PacketBuffer(new Uint8Array(128 + payload.length), 128);
  packet.bytes.set(payload, 128);
  const source = ip(datagram.source);
  const fields = { source, destination: ip(datagram.destination), protocol, hopLimit: 64, trafficClass: 0 };
  if (source.family === 4) emitIpv4(packet, { ...fields, fragmentOffset: offset });
  else {
    if (offset > 0) emitIpv6Fragment(packet, protocol, offset, false, 1);
    emitIpv6(packet, offset > 0 ? { ...fields, protocol: 44 } : fields);
  }
  emitEthernet(packet, hardware, A, source.family === 4 ? EtherType.ipv4 : EtherType.ipv6);
  return packet;
}

/** A pair whose b knows a, so that answers leave at once. */
function pairOf(options: PairOptions = {}): Pair {
  const pair = new Pair(options);
  for (const own of ["10.0.0.1", "fd00::1", "fe80::1"]) {
    pair.b.nic.neighbours.setPermanent(ip(own), A, pair.now);
  }
  return pair;
}

/** What b sends in answer, as tcpdump would print it, without the addresses. */
function answers(pair: Pair, ...datagrams: readonly Datagram[]): string[] {
  for (const datagram of datagrams) pair.b.nic.ingress(frameOf(datagram), pair.now);
  const lines: string[] = [];
  for (let frame = pair.b.nic.egress(pair.now); frame !== undefined; frame = pair.b.nic.egress(pair.now)) {
    lines.push(formatFrame(frame.toBytes()));
    frame.release();
  }
  return lines;
}

const V4 = { source: "10.0.0.1", destination: "10.0.0.2" };
const V6 = { source: "fd00::1", destination: "fd00::2" };

test("IcmpErrors.send() says that a protocol is unknown", () => {
  equal(answers(pairOf(), V4).length, 1);
  equal(answers(pairOf(), V6).length, 1);
});

const SILENCE: [why: string, datagram: Datagram][] = [
  ["about an ICMP error", { ...V4, protocol: 1, payload: [3, 3, 0, 0, 0, 0, 0, 0] }],
  ["about an ICMP message of unknown type", { ...V4, protocol: 1, payload: [77, 0, 0, 0, 0, 0, 0, 0] }],
  ["about a fragment other than the first", { ...V4, offset: 8 }],
  ["about a packet to everybody", { ...V4, destination: "255.255.255.255", hardware: EVERYBODY }],
  ["about a packet to everybody on the link", { ...V4, destination: "10.0.0.255", hardware: EVERYBODY }],
  ["about a packet to a group", { ...V4, destination: "224.0.0.1", hardware: mac("01:00:5e:00:00:01") }],
  ["about a packet in a link broadcast", { ...V4, hardware: EVERYBODY }],
  ["about UDP to a group", {
    ...V4,
    protocol: 17,
    payload: [0, 9, 0, 9, 0, 8, 0, 0],
    destination: "224.0.0.1",
  }],
  ["to the unspecified address", { ...V4, source: "0.0.0.0" }],
  ["about a packet to a group (IPv6)", { ...V6, destination: "ff02::1", hardware: mac("33:33:00:00:00:01") }],
  ["about a fragment other than the first (IPv6)", { ...V6, offset: 8 }],
  ["to the unspecified address (IPv6)", { ...V6, source: "::" }],
];
for (const [why, datagram] of SILENCE) {
  test(`IcmpErrors.send() says nothing ${why}`, () => deepEqual(answers(pairOf(), datagram), []));
}

test("IcmpErrors.send() is limited in rate", () => {
  const pair = pairOf();
  equal(answers(pair, ...new Array<Datagram>(200).fill(V4)).length, pair.b.stack.limits.icmpErrorBurst);
  equal(pair.b.stack.counters.get("icmp.errors-rate-limited"), 150);
  pair.now = (pair.now + 10_000) as typeof pair.now; // 10 ms: ten more at 1000 per second.
  equal(answers(pair, ...new Array<Datagram>(20).fill(V4)).length, 10);
});

test("IcmpErrors.send() quotes as much as the standards want", () => {
  const payload = new Array<number>(1_400).fill(1);
  const lengths = (datagram: Datagram) => {
    const pair = pairOf();
    pair.b.nic.ingress(frameOf({ ...datagram, payload }), pair.now);
    return pair.b.nic.egress(pair.now)!.totalLength - 14;
  };
  equal(lengths(V4), 576);
  equal(lengths(V6), 1_280);
});

const MARTIANS: [counter: string, datagram: Datagram][] = [
  ["ip.martian-source-loopback", { ...V4, source: "127.0.0.1" }],
  ["ip.martian-source-loopback", { ...V6, source: "::1" }],
  ["ip.martian-source-multicast", { ...V4, source: "224.0.0.5" }],
  ["ip.martian-source-multicast", { ...V6, source: "ff02::1" }],
  ["ip.martian-source-broadcast", { ...V4, source: "255.255.255.255" }],
  ["ip.martian-source-broadcast", { ...V4, source: "10.0.0.255" }],
  ["ip.martian-source-reserved", { ...V4, source: "0.1.2.3" }],
  ["ip.martian-source-reserved", { ...V4, source: "250.1.2.3" }],
  ["ip.martian-source-mapped", { ...V6, source: "::ffff:10.0.0.1" }],
  ["ip.martian-source-own", { ...V4, source: "10.0.0.2" }],
  ["ip.martian-source-own", { ...V6, source: "fd00::2" }],
  ["ip.martian-destination-loopback", { ...V4, destination: "127.0.0.1" }],
  ["ip.martian-destination-loopback", { ...V6, destination: "::1" }],
  ["ip.martian-destination-mapped", { ...V6, destination: "::ffff:10.0.0.2" }],
  ["ip.martian-destination-reserved", { ...V4, destination: "0.0.0.0" }],
  ["ip.martian-destination-reserved", { ...V6, destination: "::" }],
  ["ip.not-for-us", { ...V4, destination: "10.0.0.9" }],
  ["ip.not-for-us", { ...V6, destination: "fd00::9" }],
  ["ip.unicast-in-broadcast", { ...V4, hardware: EVERYBODY }],
  ["ethernet.other-host", { ...V4, hardware: mac("02:00:00:00:00:07") }],
];
for (const [counter, datagram] of MARTIANS) {
  test(`IpInput.input() drops ${datagram.source} > ${datagram.destination} as ${counter}`, () => {
    const pair = pairOf();
    deepEqual(answers(pair, datagram), []);
    equal(pair.b.stack.counters.get(counter), 1);
    equal(pair.b.nic.rx.dropped, 1);
  });
}

test("IpInput.input() accepts any destination on a promiscuous interface, but no martian", () => {
  const pair = pairOf({ b: { promiscuous: true, spoofing: true } });
  equal(answers(pair, { ...V4, destination: "8.8.8.8" }).length, 1);
  equal(answers(pair, { ...V6, destination: "2001:db8::1" }).length, 1);
  deepEqual(answers(pair, { ...V4, destination: "127.0.0.1" }), []);
});

test("a spoofing interface answers in the name of who was asked", () => {
  const pair = pairOf({ b: { promiscuous: true, spoofing: true } });
  pair.b.nic.ingress(frameOf({ ...V4, destination: "8.8.8.8" }), pair.now);
  const frame = pair.b.nic.egress(pair.now)!;
  equal(IpAddress.readV4(frame.view, frame.start + 26).toString(), "8.8.8.8");
});
