import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { EchoEndpoint, EchoObserver } from "../../../lib/stack/icmp/echo.ts";
import type { IcmpErrorKind } from "../../../lib/stack/ip/icmp_kind.ts";
import { PATH_MTU_LIFETIME, PathMtuCache } from "../../../lib/stack/ip/path_mtu.ts";
import { TokenBucket } from "../../../lib/stack/ip/token_bucket.ts";
import { type Instant, SECOND } from "../../../lib/stack/time.ts";
import { UdpEndpoint } from "../../../lib/stack/udp/endpoint.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { ip, Pair } from "../../support/two_stacks.ts";

class Pinger implements EchoObserver {
  readonly replies: string[] = [];
  readonly errors: string[] = [];
  onEchoReply(
    _endpoint: EchoEndpoint,
    source: IpAddress,
    sequence: number,
    _hops: number,
    payload: PacketBuffer,
  ): void {
    this.replies.push(`${source} ${sequence} ${payload.totalLength}`);
  }
  onEchoError(_endpoint: EchoEndpoint, kind: IcmpErrorKind, destination: IpAddress, sequence: number): void {
    this.errors.push(`${kind} ${destination} ${sequence}`);
  }
}

for (
  const [family, remote, far] of [["IPv4", "10.0.0.2", "8.8.8.8"], [
    "IPv6",
    "fd00::2",
    "2001:db8::1",
  ]] as const
) {
  test(`EchoEndpoint.send() is answered over ${family}, in parts if need be`, () => {
    const pair = new Pair();
    const pinger = new Pinger();
    const endpoint = pair.a.stack.echoOpen(pinger)!;
    equal(endpoint.send(ip(remote), 1, pair.payload("hello"), pair.now), undefined);
    pair.settle();
    equal(endpoint.send(ip(remote), 2, pair.payload(randomBytes(seeded(1), 5_000)), pair.now), undefined);
    pair.settle();
    deepEqual(pinger.replies, [`${remote} 1 5`, `${remote} 2 5000`]);
  });

  test(`Stack.echoForwarder takes pings to others over ${family}; the reply comes from them`, () => {
    const pair = new Pair({ b: { promiscuous: true, spoofing: true, learnNeighbours: true } });
    pair.a.stack.routes.add({ destination: ip(far), prefixLength: 0, gateway: ip(remote), nic: pair.a.nic });
    const pinger = new Pinger();
    const endpoint = pair.a.stack.echoOpen(pinger)!;
    pair.b.stack.echoForwarder = (request, now) => {
      const { source, destination, identifier, sequence, payload } = request;
      if (sequence === 2) request.reject("host-unreachable", now);
      else {
        const copy = pair.payload(payload.toBytes());
        pair.b.stack.sendEchoReply({
          source: destination.clone(),
          destination: source.clone(),
          identifier,
          sequence,
          payload: copy,
        }, now);
      }
      return true;
    };
    endpoint.send(ip(far), 1, pair.payload("hello"), pair.now);
    pair.settle();
    endpoint.send(ip(far), 2, pair.payload("hello"), pair.now);
    pair.settle();
    deepEqual(pinger.replies, [`${far} 1 5`]);
    deepEqual(pinger.errors, [`host-unreachable ${far} 2`]);
  });
}

test("Echo answers so many pings a second and no more", () => {
  const pair = new Pair({ stack: { limits: { echoRepliesPerSecond: 5 } } });
  const pinger = new Pinger();
  const endpoint = pair.a.stack.echoOpen(pinger)!;
  const ping = (from: number, count: number) => {
    for (let i = 0; i < count; i++) endpoint.send(ip("10.0.0.2"), from + i, pair.payload("x"), pair.now);
    pair.settle();
  };
  ping(1, 8);
  equal(pinger.replies.length, 5);
  equal(pair.b.stack.counters.get("icmp.echo-replies-rate-limited"), 3);
  pair.run(1_000_000);
  ping(9, 1);
  equal(pinger.replies.length, 6);
});

test("Echo ignores pings to everybody", () => {
  const pair = new Pair();
  const pinger = new Pinger();
  const endpoint = pair.a.stack.echoOpen(pinger)!;
  for (const to of ["10.0.0.255", "255.255.255.255", "224.0.0.1", "ff02::1"]) {
    equal(endpoint.send(ip(to), 1, pair.payload("x"), pair.now), undefined);
  }
  pair.settle();
  deepEqual(pinger.replies, []);
  equal(pair.b.stack.counters.get("icmp.echo-to-group"), 4);
});

test("Echo.open() gives each endpoint an identifier of its own, within a bound", () => {
  const pair = new Pair({ stack: { limits: { echoEndpoints: 2 } } });
  const first = pair.a.stack.echoOpen(new Pinger(), 7)!;
  equal(pair.a.stack.echoOpen(new Pinger(), 7), undefined);
  ok(pair.a.stack.echoOpen(new Pinger()));
  equal(pair.a.stack.echoOpen(new Pinger()), undefined);
  equal(pair.a.stack.counters.get("icmp.too-many-endpoints"), 1);
  first.close();
  ok(pair.a.stack.echoOpen(new Pinger(), 7));
});

test("TokenBucket.take() allows a burst, then the rate", () => {
  const bucket = new TokenBucket(10, 3);
  const take = (at: number) => bucket.take(at as Instant);
  deepEqual([take(0), take(0), take(0), take(0)], [true, true, true, false]);
  deepEqual([take(99_000), take(100_000), take(100_000)], [false, true, false]);
  deepEqual([take(SECOND * 60), take(SECOND * 60), take(SECOND * 60), take(SECOND * 60)], [
    true,
    true,
    true,
    false,
  ]);
});

const REPORTS: [
  why: string,
  destination: string,
  reported: number,
  quoted: number,
  current: number,
  want: number,
][] = [
  ["a smaller MTU", "10.0.0.1", 1_400, 1_500, 1_500, 1_400],
  ["nothing larger", "10.0.0.1", 1_600, 1_500, 1_500, 0],
  ["nothing the packet would have passed", "10.0.0.1", 1_400, 600, 1_500, 0],
  ["the floor for less", "10.0.0.1", 68, 1_500, 1_500, 552],
  ["the next plateau from an old router", "10.0.0.1", 0, 1_500, 1_500, 1_492],
  ["the IPv6 minimum for less", "fd00::1", 100, 1_500, 1_500, 1_280],
  ["nothing below the IPv6 minimum", "fd00::1", 100, 1_500, 1_280, 0],
];
for (const [why, destination, reported, quoted, current, want] of REPORTS) {
  test(`PathMtuCache.reduce() believes ${why}`, () => {
    const cache = new PathMtuCache(4);
    equal(cache.reduce(ip(destination), reported, quoted, current, 0 as Instant), want);
    equal(cache.lookup(ip(destination), 1 as Instant), want);
    equal(cache.lookup(ip(destination), (PATH_MTU_LIFETIME + 1) as Instant), 0);
  });
}

test("PathMtuCache stays within its bound", () => {
  const cache = new PathMtuCache(4);
  for (let i = 1; i < 100; i++) cache.reduce(ip(`10.0.0.${i}`), 1_400, 1_500, 1_500, 0 as Instant);
  equal(cache.size, 4);
});

test("a datagram is cut smaller once a router complained, and its sender hears of it", () => {
  const pair = new Pair({ b: { promiscuous: true, spoofing: true, learnNeighbours: true } });
  const { stack, nic } = pair.a;
  stack.routes.add({ destination: ip("0.0.0.0"), prefixLength: 0, gateway: ip("10.0.0.2"), nic });
  const errors: string[] = [];
  const endpoint = stack.udpBind({
    remoteAddress: ip("8.8.8.8"),
    remotePort: 9,
    observer: {
      onUdpDatagram() {},
      onUdpError: (_e, kind, _a, _p, _now, mtu) => void errors.push(`${kind} ${mtu}`),
    },
  }, pair.now);
  ok(endpoint instanceof UdpEndpoint);
  pair.b.stack.udpForwarder = (packet, header, _udp, nicB, now) =>
    pair.b.stack.sendIcmpError("packet-too-big", header, packet, nicB, now);
  endpoint.send(pair.payload(new Uint8Array(1_400)), pair.now);
  pair.settle();
  // Our own router says 0, "older than RFC 1191": the next plateau below the MTU.
  deepEqual(errors, ["packet-too-big 1492"]);
  equal(stack.pathMtus.lookup(ip("8.8.8.8"), pair.now), 1_492);
  endpoint.dontFragment = true;
  equal(endpoint.send(pair.payload(new Uint8Array(1_470)), pair.now), false);
  equal(endpoint.sendError, "message-size");
});
