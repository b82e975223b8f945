/** Several guests behind one gateway: none takes another's part of what there is for all. */

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { DEFAULT_TCP_LIMITS } from "../../../lib/stack/tcp/demux.ts";
import type { IpAddress } from "../../../lib/stack/wire/address.ts";
import { needs } from "../../support/capability.ts";
import { pattern } from "../../support/tcp.ts";
import { guestConnect, GuestUdp } from "./guest_peers.ts";
import { HOST4, inHostNamespace } from "./host_namespace.ts";
import { type HostPeer, HostServer, HostUdp } from "./host_peers.ts";
import { DNS4, GATEWAY4, GUEST4, ip, within, type World } from "./world.ts";

/** Of each kind; half of it is one guest's, and a third each that of two. */
const LIMIT = 9, HALF = 5;
/** How often somebody asks. */
const GREED = 20;
const OTHER = ip("10.0.2.101");

/** A world with two guests, which are two addresses of one stack. */
function withGuests(body: (world: World) => void): void {
  within((world) => {
    world.guestNic.addAddress(OTHER, 24);
    body(world);
  }, {
    limits: { udpFlows: LIMIT, dnsQueries: LIMIT, icmpFlows: LIMIT },
    tenantOf: (address: IpAddress) => address.equals(OTHER) ? 2 : 1,
  });
}

test("UdpFlows evicts a greedy guest's own oldest flow, and serves the other", () =>
  withGuests((world) => {
    const server = new HostUdp(world.reactor, (bytes, self) => void self.send(bytes));
    const greedy = Array.from({ length: GREED }, () => new GuestUdp(world, GUEST4));
    for (const one of greedy) {
      one.send(Uint8Array.of(1), GATEWAY4, server.port);
      world.until(() => one.packets.length === 1, "an answer");
    }
    strictEqual(world.gateway.flows().length, HALF);
    strictEqual(world.counted("udp.guest-limit"), GREED - HALF);
    const other = new GuestUdp(world, OTHER);
    other.send(Uint8Array.of(2), GATEWAY4, server.port);
    world.until(() => other.packets.length === 1, "the other's answer");
    strictEqual(world.gateway.flows().length, HALF + 1);
    strictEqual(world.counted("udp.flow-limit"), 0);
    server.close();
  }));

test("DnsRelay fails a greedy guest's own oldest question, and asks the other's", () =>
  withGuests((world) => {
    const silent = new HostUdp(world.reactor);
    world.gateway.setResolvers([{ address: ip("127.0.0.1"), port: silent.port }]);
    const question = (id: number) =>
      Uint8Array.of(0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 120, 0, 0, 1, 0, 1);
    const greedy = new GuestUdp(world, GUEST4), other = new GuestUdp(world, OTHER);
    for (let id = 1; id <= GREED; id++) greedy.send(question(id), DNS4, 53);
    world.until(() => greedy.packets.length === GREED - HALF, "the failures");
    deepStrictEqual(
      greedy.packets.map((bytes) => bytes[1]),
      Array.from({ length: GREED - HALF }, (_, i) => i + 1),
    );
    other.send(question(GREED + 1), DNS4, 53);
    world.until(() => silent.sizes.length === GREED + 1, "the other's question");
    strictEqual(world.counted("dns.guest-limit"), GREED - HALF);
    strictEqual(world.counted("dns.query-limit"), 0);
    strictEqual(other.packets.length, 0);
    silent.close();
  }));

test(
  "EchoFlows evicts a greedy guest's own oldest flow",
  needs("root", "netns"),
  () =>
    inHostNamespace(() => {
      writeFileSync("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
      withGuests((world) => {
        let replies = 0;
        const count = { onEchoReply: () => void replies++, onEchoError: () => {} };
        for (let i = 1; i <= GREED; i++) {
          world.guest.echoOpen(count)!.send(HOST4, 1, world.pool.take(0), world.now());
          world.until(() => replies === i, "a reply");
        }
        strictEqual(world.gateway.flows().length, HALF);
        strictEqual(world.counted("icmp.guest-limit"), GREED - HALF);
        strictEqual(world.counted("icmp.flow-limit"), 0);
      });
    }),
);

test("TcpRelay: a guest that holds its share of the memory goes on slowly, and another at once", () =>
  withGuests((world) => {
    world.stack.tenants.of = (address) => address.equals(OTHER) ? 2 : 1;
    const data = pattern(40_000);
    const server = new HostServer(world.reactor);
    const sent = new Map<HostPeer, number>();
    const serve = () => {
      for (const peer of server.peers) {
        const at = sent.get(peer) ?? 0;
        if (at < data.length) sent.set(peer, at + peer.write(data.subarray(at)));
      }
    };
    const { memory } = world.stack.tcp;
    const greedy = memory.account(1);
    greedy.charge(DEFAULT_TCP_LIMITS.memory / 2);
    const peers = [GUEST4, OTHER].map((from) => guestConnect(world, GATEWAY4, server.port, from));
    let most = 0;
    world.until(() => {
      serve();
      most = Math.max(most, greedy.held - DEFAULT_TCP_LIMITS.memory / 2);
      return peers[1]!.total === data.length;
    }, "all for the other");
    world.until(() => (serve(), peers[0]!.total === data.length), "all for the greedy one");
    for (const peer of peers) deepStrictEqual(Uint8Array.from(peer.received), data);
    strictEqual(most <= 4_096, true, `${most} bytes`);
    strictEqual(world.stack.counters.get("tcp.memory-pressure"), 1);
    server.close();
  }));
