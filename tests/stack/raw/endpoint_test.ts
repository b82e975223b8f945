/** Raw endpoints between two stacks: copies, own headers, checksums, errors. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { RawObserver } from "../../../lib/stack/raw/endpoint.ts";
import { verifyIcmpv6 } from "../../../lib/stack/wire/icmpv6.ts";
import { ip, Pair } from "../../support/two_stacks.ts";

const ICMP = 1, UDP = 17, ICMPV6 = 58, UNKNOWN = 253;

/** Notes what it hears: header and payload, or the error. */
function listener(): RawObserver & { heard: string[] } {
  const heard: string[] = [];
  return {
    heard,
    onRawPacket(_endpoint, packet, { source, destination, hopLimit, trafficClass }) {
      const text = new TextDecoder().decode(packet.bytes.subarray(packet.start, packet.end));
      heard.push(`${source} ${destination} ${hopLimit} ${trafficClass} ${text}`);
    },
    onRawError: (_endpoint, kind, destination, mtu, report) => {
      heard.push(`${kind} ${destination} ${mtu} ${report.source}`);
    },
  };
}

test("a packet of any protocol is heard by all who listen for it", () => {
  const pair = new Pair();
  const first = listener(), second = listener(), other = listener();
  pair.b.stack.rawOpen(4, UNKNOWN, first);
  pair.b.stack.rawOpen(4, UNKNOWN, second);
  pair.b.stack.rawOpen(4, UNKNOWN + 1, other);
  const from = pair.a.stack.rawOpen(4, UNKNOWN, listener())!;
  from.hopLimit = 9;
  from.trafficClass = 0x28;
  strictEqual(from.send(pair.payload("hello"), ip("10.0.0.2"), pair.now), undefined);
  pair.settle();
  deepStrictEqual(first.heard, ["10.0.0.1 10.0.0.2 9 40 hello"]);
  deepStrictEqual(second.heard, first.heard);
  deepStrictEqual(other.heard, []);
});

test("who brings a header of their own is spared length, checksum, source and identification", () => {
  const pair = new Pair();
  const hears = listener();
  pair.b.stack.rawOpen(4, UNKNOWN, hears);
  const from = pair.a.stack.rawOpen(4, UNKNOWN, listener())!;
  const header = [0x45, 0, 0, 0, 0, 0, 0, 0, 7, UNKNOWN, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
  const packet = pair.payload(new Uint8Array([...header, ...new TextEncoder().encode("own")]));
  strictEqual(from.sendWithHeader(packet, ip("10.0.0.2"), pair.now), undefined);
  pair.settle();
  deepStrictEqual(hears.heard, ["10.0.0.1 10.0.0.2 7 0 own"]);
});

test("a header that does not fit its packet, or the link, is refused", () => {
  const pair = new Pair();
  const from = pair.a.stack.rawOpen(4, UNKNOWN, listener())!;
  const to = ip("10.0.0.2");
  strictEqual(from.sendWithHeader(pair.payload("short"), to, pair.now), "malformed");
  const long = new Uint8Array(40);
  long[0] = 0x4f;
  strictEqual(from.sendWithHeader(pair.payload(long), to, pair.now), "malformed");
  const huge = new Uint8Array(1_501);
  huge[0] = 0x45;
  strictEqual(from.sendWithHeader(pair.payload(huge), to, pair.now), "message-size");
  strictEqual(from.send(pair.payload("x"), ip("192.0.2.1"), pair.now), "network-unreachable");
});

test("ICMPv6 gets its checksum, another protocol where it asks for one", () => {
  const pair = new Pair();
  const right: boolean[] = [];
  const observer: RawObserver = {
    onRawPacket: (_endpoint, packet, { source, destination }) => {
      right.push(verifyIcmpv6(packet, source, destination));
    },
  };
  pair.b.stack.rawOpen(6, ICMPV6, observer);
  const from = pair.a.stack.rawOpen(6, ICMPV6, listener())!;
  // An unknown informational message: nobody answers.
  from.send(pair.payload(new Uint8Array([200, 0, 1, 1, 9, 9, 9])), ip("fd00::2"), pair.now);
  pair.settle();
  deepStrictEqual(right.filter((one) => !one), []);
  strictEqual(right.length > 0, true);
});

test("an error is told to the protocol that it is about", () => {
  const pair = new Pair();
  const udp = listener(), icmp = listener();
  pair.a.stack.rawOpen(4, UDP, udp);
  pair.a.stack.rawOpen(4, ICMP, icmp);
  const from = pair.a.stack.rawOpen(4, UDP, listener())!;
  // To a closed port.
  from.send(pair.payload(new Uint8Array([0, 7, 0, 9, 0, 8, 0, 0])), ip("10.0.0.2"), pair.now);
  pair.settle();
  deepStrictEqual(udp.heard, ["port-unreachable 10.0.0.2 0 10.0.0.2"]);
  strictEqual(icmp.heard.length, 1);
});

test("there are no more than allowed, and a closed one makes room", () => {
  const pair = new Pair({ stack: { limits: { rawEndpoints: 1 } } });
  const { stack } = pair.a;
  const first = stack.rawOpen(4, UNKNOWN, listener())!;
  strictEqual(stack.rawOpen(4, UNKNOWN, listener()), undefined);
  first.close();
  strictEqual(stack.rawOpen(6, UNKNOWN, listener()) === undefined, false);
});
