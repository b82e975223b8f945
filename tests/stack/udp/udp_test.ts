import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import type { IcmpErrorKind } from "../../../lib/stack/ip/icmp_kind.ts";
import { type UdpBindRequest, UdpEndpoint, type UdpObserver } from "../../../lib/stack/udp/endpoint.ts";
import type { IpHeader } from "../../../lib/stack/wire/ip.ts";
import type { UdpHeader } from "../../../lib/stack/wire/udp.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { ip, Pair, type Side } from "../../support/two_stacks.ts";

/** Keeps what it hears as text. */
class Ear implements UdpObserver {
  readonly heard: string[] = [];
  readonly errors: string[] = [];
  bytes: Uint8Array | undefined = undefined;
  onUdpDatagram(_endpoint: UdpEndpoint, packet: PacketBuffer, header: IpHeader, udp: UdpHeader): void {
    this.bytes = packet.toBytes();
    const text = this.bytes.length > 40 ? `${this.bytes.length} bytes` : new TextDecoder().decode(this.bytes);
    this.heard.push(`${header.source}:${udp.sourcePort} ${text}`);
  }
  onUdpError(_endpoint: UdpEndpoint, kind: IcmpErrorKind, remote: unknown, port: number): void {
    this.errors.push(`${kind} ${remote}:${port}`);
  }
}

function bind(pair: Pair, side: Side, request: Omit<UdpBindRequest, "observer">): [UdpEndpoint, Ear] {
  const observer = new Ear();
  const endpoint = side.stack.udpBind({ ...request, observer }, pair.now);
  if (!(endpoint instanceof UdpEndpoint)) throw new Error(`Cannot bind: ${endpoint}`);
  return [endpoint, observer];
}

test("UdpEndpoint.relieve() tells each who waits once, and close() does, too", () => {
  const pair = new Pair();
  const [endpoint] = bind(pair, pair.a, {});
  const told: string[] = [];
  const [one, other] = ["one", "other"].map((name) => ({ onRoom: () => void told.push(name) }));
  endpoint.full = true;
  for (const waiter of [one!, other!, one!]) endpoint.whenRoom(waiter);
  endpoint.forget(other!);
  endpoint.relieve();
  deepEqual([endpoint.full, told], [false, ["one"]]);
  endpoint.relieve();
  endpoint.full = true;
  endpoint.whenRoom(other!);
  endpoint.close();
  deepEqual([endpoint.full, told], [false, ["one", "other"]]);
});

for (
  const [family, remote, local] of [["IPv4", "10.0.0.2", "10.0.0.1"], ["IPv6", "fd00::2", "fd00::1"]] as const
) {
  test(`UdpEndpoint.send() reaches the other stack over ${family}, and back`, () => {
    const pair = new Pair();
    const [a, earA] = bind(pair, pair.a, {});
    const [b, earB] = bind(pair, pair.b, { localPort: 53 });
    ok(a.send(pair.payload("question"), pair.now, ip(remote), 53));
    pair.settle();
    deepEqual(earB.heard, [`${local}:${a.localPort} question`]);
    ok(b.send(pair.payload("answer"), pair.now, ip(local), a.localPort));
    pair.settle();
    deepEqual(earA.heard, [`${remote}:53 answer`]);
  });

  test(`UdpEndpoint.send() cuts and joins 60000 bytes over ${family}`, () => {
    const pair = new Pair();
    const [a] = bind(pair, pair.a, {});
    const [, ear] = bind(pair, pair.b, { localPort: 9 });
    const bytes = randomBytes(seeded(7), 60_000);
    // The neighbour is not known yet: the parts wait for it.
    ok(a.send(pair.payload(bytes.slice(0, 20_000)), pair.now, ip(remote), 9));
    pair.settle();
    equal(ear.bytes?.length, 20_000);
    ok(a.send(pair.payload(bytes), pair.now, ip(remote), 9));
    pair.settle();
    deepEqual(ear.bytes, bytes);
    equal(pair.b.stack.counters.get("ip.reassembled"), 2);
  });

  test(`Udp answers with port unreachable over ${family}, and the sender hears it`, () => {
    const pair = new Pair();
    const [a, ear] = bind(pair, pair.a, { remoteAddress: ip(remote), remotePort: 9 });
    ok(a.send(pair.payload("anybody?"), pair.now));
    pair.settle();
    deepEqual(ear.errors, [`port-unreachable ${remote}:9`]);
  });
}

test("UdpDemux prefers the connected endpoint, then the one with the address", () => {
  const pair = new Pair();
  const [, any] = bind(pair, pair.b, { localPort: 53 });
  const [sender] = bind(pair, pair.a, { localPort: 1_000 });
  const say = (text: string) => {
    sender.send(pair.payload(text), pair.now, ip("10.0.0.2"), 53);
    pair.settle();
  };
  say("one");
  const [connected, near] = bind(pair, pair.b, {
    localAddress: ip("10.0.0.2"),
    localPort: 53,
    remoteAddress: ip("10.0.0.1"),
    remotePort: 1_000,
  });
  say("two");
  connected.close();
  say("three");
  deepEqual(any.heard, ["10.0.0.1:1000 one", "10.0.0.1:1000 three"]);
  deepEqual(near.heard, ["10.0.0.1:1000 two"]);
});

test("Stack.udpBind() refuses what is taken, not ours, or too much", () => {
  const pair = new Pair({ stack: { limits: { udpEndpoints: 2 } } });
  const observer = new Ear();
  const { stack, nic } = pair.a;
  bind(pair, pair.a, { localPort: 53 });
  equal(stack.udpBind({ localPort: 53, observer }, pair.now), "address-in-use");
  equal(stack.udpBind({ localAddress: ip("10.0.0.1"), localPort: 53, observer }, pair.now), "address-in-use");
  equal(stack.udpBind({ localAddress: ip("8.8.8.8"), observer, nic }, pair.now), "address-not-available");
  equal(
    stack.udpBind({ remoteAddress: ip("8.8.8.8"), remotePort: 1, observer }, pair.now),
    "network-unreachable",
  );
  bind(pair, pair.a, {});
  equal(stack.udpBind({ observer }, pair.now), "too-many-endpoints");
  equal(stack.counters.get("udp.too-many-endpoints"), 1);
});

test("Stack.udpBind() shares a port when asked to: the latest hears", () => {
  const pair = new Pair();
  const [a] = bind(pair, pair.a, {});
  const [, first] = bind(pair, pair.b, { localPort: 53, share: true });
  const [second, ear] = bind(pair, pair.b, { localPort: 53, share: true });
  ok(a.send(pair.payload("one"), pair.now, ip("10.0.0.2"), 53));
  pair.settle();
  second.close();
  ok(a.send(pair.payload("two"), pair.now, ip("10.0.0.2"), 53));
  pair.settle();
  deepEqual([first.heard, ear.heard], [[`10.0.0.1:${a.localPort} two`], [`10.0.0.1:${a.localPort} one`]]);
});

test("UdpEndpoint.send() takes another source for one datagram", () => {
  const pair = new Pair();
  pair.a.stack.firstNic!.addAddress(ip("10.0.0.77"), 24);
  const [a] = bind(pair, pair.a, {});
  const [, ear] = bind(pair, pair.b, { localPort: 53 });
  ok(a.send(pair.payload("one"), pair.now, ip("10.0.0.2"), 53, ip("10.0.0.77")));
  ok(a.send(pair.payload("two"), pair.now, ip("10.0.0.2"), 53));
  pair.settle();
  deepEqual(ear.heard, [`10.0.0.77:${a.localPort} one`, `10.0.0.1:${a.localPort} two`]);
  equal(a.send(pair.payload("three"), pair.now, ip("10.0.0.2"), 53, ip("192.0.2.1")), false);
  equal(a.sendError, "permission");
});

test("UdpObserver is shown who reported an error, and about what", () => {
  const pair = new Pair();
  const reports: string[] = [];
  const endpoint = pair.a.stack.udpBind({
    observer: {
      onUdpDatagram: () => {},
      onUdpError: (_endpoint, kind, _remote, _port, _now, _mtu, report) =>
        reports.push(`${kind} ${report?.source} ${report?.type}/${report?.code} ${report?.quoted.length}`),
    },
  }, pair.now);
  if (!(endpoint instanceof UdpEndpoint)) throw new Error(`Cannot bind: ${endpoint}`);
  ok(endpoint.send(pair.payload("nobody"), pair.now, ip("10.0.0.2"), 9));
  pair.settle();
  deepEqual(reports, ["port-unreachable 10.0.0.2 3/3 14"]);
});

test("UdpEndpoint hears groups and broadcasts only where it is bound to the port", () => {
  const pair = new Pair();
  const [, wanted] = bind(pair, pair.b, { localPort: 5_353 });
  const [, exact] = bind(pair, pair.b, { localAddress: ip("224.0.0.251"), localPort: 9_999 });
  const [sender] = bind(pair, pair.a, { localPort: 1_000 });
  for (const to of ["255.255.255.255", "10.0.0.255", "224.0.0.251", "ff02::fb"]) {
    ok(sender.send(pair.payload(to), pair.now, ip(to), 5_353), to);
    pair.settle();
  }
  sender.send(pair.payload("x"), pair.now, ip("224.0.0.251"), 9_999);
  sender.send(pair.payload("y"), pair.now, ip("224.0.0.252"), 9_999);
  sender.send(pair.payload("z"), pair.now, ip("10.0.0.255"), 9_998);
  pair.settle();
  deepEqual(wanted.heard.map((line) => line.split(" ")[1]), [
    "255.255.255.255",
    "10.0.0.255",
    "224.0.0.251",
    "ff02::fb",
  ]);
  deepEqual(exact.heard, ["10.0.0.1:1000 x"]);
  equal(pair.b.stack.counters.get("icmp.errors-sent"), 0);
});

test("Stack.udpForwarder answers in the name of the destination, and can refuse later", () => {
  const pair = new Pair({ b: { promiscuous: true, spoofing: true, learnNeighbours: true } });
  pair.a.stack.routes.add({
    destination: ip("0.0.0.0"),
    prefixLength: 0,
    gateway: ip("10.0.0.2"),
    nic: pair.a.nic,
  });
  const flows: UdpEndpoint[] = [];
  pair.b.stack.udpForwarder = (packet, header, udp, nic, now) => {
    const flow = pair.b.stack.udpBind({
      localAddress: header.destination.clone(),
      localPort: udp.destinationPort,
      remoteAddress: header.source.clone(),
      remotePort: udp.sourcePort,
      nic,
      observer: { onUdpDatagram: (endpoint) => void endpoint.send(pair.payload("again"), now) },
    }, now);
    ok(flow instanceof UdpEndpoint);
    flows.push(flow);
    flow.send(pair.payload(`echo ${new TextDecoder().decode(packet.toBytes())}`), now);
  };
  const [client, ear] = bind(pair, pair.a, { remoteAddress: ip("8.8.8.8"), remotePort: 53 });
  client.send(pair.payload("hello"), pair.now);
  pair.settle();
  client.send(pair.payload("hello"), pair.now);
  pair.settle();
  deepEqual(ear.heard, ["8.8.8.8:53 echo hello", "8.8.8.8:53 again"]);
  equal(flows.length, 1);
  ok(flows[0]!.sendPortUnreachable(pair.now));
  pair.settle();
  deepEqual(ear.errors, ["port-unreachable 8.8.8.8:53"]);
});

test("UdpEndpoint hears that a neighbour is not there", () => {
  const pair = new Pair();
  const [client, ear] = bind(pair, pair.a, {});
  client.send(pair.payload("hello"), pair.now, ip("10.0.0.77"), 53);
  pair.run(5_000_000);
  deepEqual(ear.errors, ["host-unreachable 10.0.0.77:53"]);
});
