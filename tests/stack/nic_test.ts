import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { HEADROOM, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { createQdisc } from "../../lib/stack/qdisc/qdisc.ts";
import { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import type { TcpListener } from "../../lib/stack/tcp/listener.ts";
import { type Instant, NEVER } from "../../lib/stack/time.ts";
import { emitEthernet, EtherType } from "../../lib/stack/wire/ethernet.ts";
import { formatFrame } from "../../lib/stack/wire/format.ts";
import { emitIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { ALL_ROUTERS, emitNdp, parseNdp } from "../../lib/stack/wire/ndp.ts";
import { IpHeader } from "../../lib/stack/wire/ip.ts";
import { parseIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { ip, mac, Pair } from "../support/two_stacks.ts";

/** Takes connections and throws away what they bring. */
const sink = {
  bytes: 0,
  onTcpAccept(listener: TcpListener, now: Instant): void {
    for (let c = listener.accept(now); c !== undefined; c = listener.accept(now)) c.observer = sink;
  },
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    sink.bytes += connection.receiveQueue.length;
    connection.consume(connection.receiveQueue.length, now);
  },
};

/** Sends `left` bytes. */
class Source {
  constructor(public left: number) {}
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    const chunk = new Uint8Array(65_536);
    while (connection.sendSpace > 0 && this.left > 0) {
      this.left -= connection.writeBytes(chunk.subarray(0, Math.min(this.left, chunk.length)), now);
    }
  }
}

function connect(pair: Pair, bytes: number): TcpConnection {
  const observer = new Source(bytes);
  const request = { remoteAddress: ip("10.0.0.2"), remotePort: 9, observer };
  const connection = pair.a.stack.tcpConnect(request, pair.now);
  if (!(connection instanceof TcpConnection)) throw new Error(connection);
  return connection;
}

test("Nic.egress() lets connections take turns packet by packet", () => {
  const pair = new Pair();
  pair.b.stack.tcpListen({ port: 9, observer: sink }, pair.now);
  const connections = [connect(pair, 0), connect(pair, 0), connect(pair, 0)];
  pair.settle();
  const ports: number[] = [];
  for (const connection of connections) connection.writeBytes(new Uint8Array(4_000), pair.now);
  for (let frame = pair.a.nic.egress(pair.now); frame !== undefined; frame = pair.a.nic.egress(pair.now)) {
    ports.push(frame.view.getUint16(frame.start + 34));
    frame.release();
  }
  // A super-packet of 4000 bytes is three segments; then it is the next one's turn.
  const [first, second, third] = connections.map(({ localPort }) => localPort);
  deepEqual(ports, [first, first, first, second, second, second, third, third, third]);
});

test("Nic.egress() keeps TCP data in send queues while a shaper holds packets back", () => {
  const qdisc = createQdisc({ kind: "tbf", rate: 125_000, burst: 20_000, mtu: 1_500, gsoMaxSize: 0 });
  const pair = new Pair({ a: { qdisc } });
  pair.b.stack.tcpListen({ port: 9, observer: sink }, pair.now);
  const connection = connect(pair, 10_000_000);
  sink.bytes = 0;
  const begin = pair.now;
  pair.run(10_000_000);
  const facts = pair.a.nic.qdiscFacts();
  equal(facts.drops, 0);
  ok(facts.qlen <= 4, `${facts.qlen} packets wait in the shaper`);
  ok(connection.sendQueued > 100_000);
  const allowed = 20_000 + 125_000 * (pair.now - begin) / 1e6;
  ok(Math.abs(pair.a.nic.tx.bytes - allowed) / allowed < 0.01, `${pair.a.nic.tx.bytes} of ${allowed} bytes`);
});

test("Nic.egress() stops pulling when nobody takes its frames, and pollAt() does not spin", () => {
  const pair = new Pair();
  pair.b.stack.tcpListen({ port: 9, observer: sink }, pair.now);
  connect(pair, 100_000);
  pair.settle();
  equal(pair.a.nic.hasEgress, false);
  ok(pair.a.stack.pollAt() > pair.now);
});

test("Nic.ingress() counts what it cannot read, and never throws", () => {
  const pair = new Pair();
  for (const [length, counter] of [[0, "truncated"], [13, "truncated"], [14, "not-ethernet-2"]] as const) {
    const before = pair.b.stack.counters.get(`ethernet.${counter}`);
    pair.b.nic.ingress(new PacketBuffer(new Uint8Array(length)), pair.now);
    equal(pair.b.stack.counters.get(`ethernet.${counter}`), before + 1);
  }
  equal(pair.b.nic.rx.errors, 3);
});

test("Nic.addAddress() adds a route, and a link-local address to the first of IPv6", () => {
  const pair = new Pair();
  deepEqual(pair.a.nic.addresses.map(({ address }) => address.toString()), [
    "10.0.0.1",
    "fd00::1",
    "fe80::ff:fe00:1",
    "fe80::1",
  ]);
  throws(
    () => pair.a.nic.addAddress(ip("10.0.0.1"), 24),
    /Cannot add address 10\.0\.0\.1: eth0 has it already/,
  );
  ok(pair.a.nic.removeAddress(ip("10.0.0.1")));
  equal(pair.a.stack.routes.lookup(ip("10.0.0.9")), undefined);
});

const ADVERTISED = { routerAdvertisement: { prefix: ip("fd00::"), mtu: 1_400, rdnss: [ip("fd00::3")] } };

/** A router solicitation of a neighbour. */
function solicitation(): PacketBuffer {
  const packet = new PacketBuffer(new Uint8Array(256), HEADROOM, HEADROOM);
  const from = ip("fe80::77");
  emitNdp(
    packet,
    { kind: "router-solicitation", options: { sourceLinkLayer: mac("02:00:00:00:00:77") } },
    from,
    ALL_ROUTERS,
  );
  emitIpv6(packet, { source: from, destination: ALL_ROUTERS, protocol: 58, hopLimit: 255, trafficClass: 0 });
  emitEthernet(packet, mac("33:33:00:00:00:02"), mac("02:00:00:00:00:77"), EtherType.ipv6);
  return packet;
}

test("Nic.routerAdvertisement answers so many solicitations at once, then one a second", () => {
  const pair = new Pair({ b: ADVERTISED });
  const ask = (times: number) => {
    let answers = 0;
    for (let i = 0; i < times; i++) {
      pair.b.nic.ingress(solicitation(), pair.now);
      for (let f = pair.b.nic.egress(pair.now); f !== undefined; f = pair.b.nic.egress(pair.now)) {
        answers++;
        f.release();
      }
    }
    return answers;
  };
  equal(ask(15), 10);
  equal(pair.b.stack.counters.get("ndp.router-advertisements-rate-limited"), 5);
  pair.run(1_000_000);
  equal(ask(2), 1);
});

test("Nic.routerAdvertisement answers a router solicitation", () => {
  const pair = new Pair({ b: ADVERTISED });
  const packet = solicitation();
  pair.b.nic.ingress(packet, pair.now);
  const frame = pair.b.nic.egress(pair.now);
  ok(frame !== undefined);
  const header = new IpHeader();
  const answer = new PacketBuffer(frame.toBytes(), 14);
  equal(parseIpv6(answer, header), undefined);
  equal(header.destination.toString(), "fe80::77");
  const advertisement = parseNdp(answer, header);
  ok(
    typeof advertisement !== "string" && advertisement.kind === "router-advertisement",
    formatFrame(frame.toBytes()),
  );
  equal(advertisement.options.mtu, 1_400);
  equal(advertisement.options.prefixes?.[0]?.prefix.toString(), "fd00::");
  equal(advertisement.options.dns?.[0]?.servers[0]?.toString(), "fd00::3");
});

test("Stack.snapshot() is plain data that crosses a thread", () => {
  const pair = new Pair();
  pair.b.stack.tcpListen({ port: 9, observer: sink }, pair.now);
  connect(pair, 100_000);
  pair.settle();
  const facts = structuredClone(pair.a.stack.snapshot());
  deepEqual(facts.nics.map(({ name, index, kind }) => [name, index, kind]), [["lo", 1, "loopback"], [
    "eth0",
    2,
    "ether",
  ]]);
  equal(facts.nics[1]!.addresses[0]!.broadcast, "10.0.0.255");
  equal(facts.neighbours.find(({ address }) => address === "10.0.0.2")?.state, "REACHABLE");
  equal(facts.sockets.find(({ protocol }) => protocol === "tcp")?.state, "ESTAB");
  deepEqual(facts.routes.find(({ destination }) => destination === "10.0.0.0/24")?.scope, "link");
});

test("Stack.pollAt() is NEVER for a stack that has nothing to do", () => {
  equal(new Pair().a.stack.pollAt(), NEVER);
});
