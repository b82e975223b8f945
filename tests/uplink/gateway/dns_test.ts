import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { LOOPBACK4 } from "../../../lib/host/structs.ts";
import { later, SECOND } from "../../../lib/stack/time.ts";
import { closedPort, HostServer, HostUdp } from "./host_peers.ts";
import { guestConnect, GuestUdp } from "./guest_peers.ts";
import { DNS4, ip, within, type World } from "./world.ts";

const LOCALHOST = ip("127.0.0.1");

/** A question for `name`, type `type`. */
function question(id: number, name: string, type = 1): Uint8Array {
  const labels = name.split(".").flatMap((
    label,
  ) => [label.length, ...label.split("").map((c) => c.charCodeAt(0))]);
  return Uint8Array.from([
    id >> 8,
    id & 255,
    1,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    ...labels,
    0,
    type >> 8,
    type & 255,
    0,
    1,
  ]);
}

/** A resolver's answer to a question: the same with QR, a code, and something behind it. */
function answer(query: Uint8Array, rcode = 0, mark = 0): Uint8Array {
  const bytes = Uint8Array.from([...query, mark]);
  bytes[2]! |= 0x80;
  bytes[3] = rcode;
  return bytes;
}

const resolver = (port: number) => ({ address: LOCALHOST, port });
const rcodeOf = (bytes: Uint8Array | undefined) => (bytes?.[3] ?? 99) & 15;

/** Asks, and waits for the answer. */
function ask(world: World, guest: GuestUdp, query: Uint8Array): Uint8Array {
  const before = guest.packets.length;
  guest.send(query, DNS4, 53);
  world.until(() => guest.packets.length > before, "an answer");
  return guest.packets[before]!;
}

test("DnsRelay hands questions of any type to the resolver, and the answers back", () => {
  const reactorOf: { server?: HostUdp } = {};
  const ports: number[] = [];
  withResolver((world, server) => {
    reactorOf.server = server;
    const guest = new GuestUdp(world);
    for (const [id, type] of [[1, 1], [2, 28], [3, 12], [4, 65], [5, 255]] as const) {
      const query = question(id, "www.example.org", type);
      deepStrictEqual(ask(world, guest, query), answer(query));
      ports.push(server.source.port);
    }
    strictEqual(guest.sources[0], `${DNS4}:53`);
    strictEqual(new Set(ports).size, 5, "every question has a source port of its own");
    strictEqual(world.gateway.flows().length, 0);
  }, (bytes, self) => void self.send(answer(bytes)));
});

/** A world whose only resolver is `onDatagram`. */
function withResolver(
  body: (world: World, server: HostUdp) => void,
  onDatagram: (bytes: Uint8Array, self: HostUdp) => void,
): void {
  within((world) => {
    const server = new HostUdp(world.reactor, onDatagram);
    world.gateway.setResolvers([resolver(server.port)]);
    body(world, server);
    server.close();
  });
}

test("DnsRelay keeps a long answer whole", () =>
  withResolver((world) => {
    const guest = new GuestUdp(world);
    strictEqual(ask(world, guest, question(9, "big.example")).length, 4_000);
  }, (bytes, self) => {
    const long = new Uint8Array(4_000);
    long.set(answer(bytes));
    self.send(long);
  }));

test("DnsRelay drops answers with a foreign id, and what is no question", () =>
  withResolver((world, server) => {
    const guest = new GuestUdp(world);
    const query = question(0x1234, "example.org");
    deepStrictEqual(ask(world, guest, query), answer(query, 0, 2));
    guest.send(Uint8Array.from([1, 2, 3]), DNS4, 53);
    guest.send(answer(query), DNS4, 53);
    world.idle();
    strictEqual(server.sizes.length, 1);
    strictEqual(world.counted("dns.malformed"), 2);
  }, (bytes, self) => {
    const forged = answer(bytes, 0, 1);
    forged[1]! ^= 1;
    self.send(forged);
    self.send(answer(bytes, 0, 2));
  }));

test("DnsRelay says SERVFAIL when there is no resolver, and when none answers", () =>
  within((world) => {
    const guest = new GuestUdp(world);
    const query = question(1, "example.org");
    const failed = ask(world, guest, query);
    strictEqual(rcodeOf(failed), 2);
    deepStrictEqual(failed.subarray(12), query.subarray(12));
    world.gateway.setResolvers([resolver(closedPort()), resolver(closedPort())]);
    strictEqual(rcodeOf(ask(world, guest, question(2, "example.org"))), 2);
    strictEqual(world.counted("dns.resolver-error"), 2);

    const silent = new HostUdp(world.reactor);
    world.gateway.setResolvers([resolver(silent.port)]);
    guest.send(question(3, "example.org"), DNS4, 53);
    world.until(() => silent.sizes.length === 1, "the question");
    world.gateway.poll(later(world.now(), 9 * SECOND));
    world.until(() => guest.packets.length === 3, "the failure");
    strictEqual(rcodeOf(guest.packets[2]), 2);
    strictEqual(world.counted("dns.timeout"), 1);
    silent.close();
  }));

test("DnsRelay asks the next resolver after a closed port, a bad answer, silence and a retry, and prefers who answered", () =>
  within((world) => {
    const good = new HostUdp(world.reactor, (bytes, self) => void self.send(answer(bytes)));
    const bad = new HostUdp(world.reactor, (bytes, self) => void self.send(answer(bytes, 2)));
    const silent = new HostUdp(world.reactor);
    const guest = new GuestUdp(world);
    world.gateway.setResolvers([resolver(closedPort()), resolver(bad.port), resolver(good.port)]);
    strictEqual(rcodeOf(ask(world, guest, question(1, "example.org"))), 0);
    strictEqual(rcodeOf(ask(world, guest, question(2, "example.org"))), 0);
    deepStrictEqual([bad.sizes.length, good.sizes.length], [1, 2]);

    world.gateway.setResolvers([resolver(silent.port), resolver(good.port)]);
    guest.send(question(3, "example.org"), DNS4, 53);
    world.until(() => silent.sizes.length === 1, "the question");
    world.gateway.poll(later(world.now(), 2 * SECOND));
    world.until(() => guest.packets.length === 3, "the answer after silence");
    strictEqual(rcodeOf(guest.packets[2]), 0);

    world.gateway.setResolvers([resolver(silent.port), resolver(good.port)]);
    guest.send(question(4, "example.org"), DNS4, 53);
    world.until(() => silent.sizes.length === 2, "the question");
    strictEqual(rcodeOf(ask(world, guest, question(4, "example.org"))), 0);

    world.gateway.setResolvers([resolver(bad.port)]);
    const refused = ask(world, guest, question(5, "example.org"));
    strictEqual(
      refused.length,
      question(5, "example.org").length + 1,
      "the resolver's own failure, not ours",
    );
    for (const server of [good, bad, silent]) server.close();
  }));

test("DnsRelay fails the oldest question at its limit", () =>
  within((world) => {
    const silent = new HostUdp(world.reactor);
    world.gateway.setResolvers([resolver(silent.port)]);
    const guest = new GuestUdp(world);
    for (let id = 1; id <= 6; id++) guest.send(question(id, "example.org"), DNS4, 53);
    world.until(() => guest.packets.length === 2, "two failures");
    deepStrictEqual(guest.packets.map((bytes) => [bytes[1], rcodeOf(bytes)]), [[1, 2], [2, 2]]);
    strictEqual(world.counted("dns.query-limit"), 2);
    silent.close();
  }, { limits: { dnsQueries: 4 } }));

test("TcpDialer relays questions over TCP to the first resolver that takes the connection", () =>
  within((world) => {
    const server = new HostServer(world.reactor, (peer) => void (peer.echo = true), LOOPBACK4);
    world.gateway.setResolvers([resolver(closedPort()), resolver(server.port)]);
    const guest = guestConnect(world, DNS4, 53);
    world.until(() => guest.established, "a connection");
    const query = question(1, "example.org");
    guest.write(Uint8Array.from([0, query.length, ...query]));
    world.until(() => guest.total === query.length + 2, "the answer");
    guest.end();
    world.until(() => world.gateway.flows().length === 0, "the end");
    world.gateway.setResolvers([]);
    const refused = guestConnect(world, DNS4, 53);
    world.until(() => refused.closed, "the refusal");
    strictEqual(refused.connection.error, "refused");
    server.close();
  }));
