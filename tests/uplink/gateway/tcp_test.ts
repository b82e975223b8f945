import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Errno } from "../../../lib/host/errno.ts";
import { LOOPBACK6 } from "../../../lib/host/structs.ts";
import { later, SECOND } from "../../../lib/stack/time.ts";
import { guestConnect, type GuestPeer } from "./guest_peers.ts";
import { BlackHole, bytesOf, closedPort, type HostPeer, HostServer } from "./host_peers.ts";
import { GATEWAY4, GATEWAY6, ip, within, type World } from "./world.ts";

/** A connection of the guest with a server of the host, both ends at hand. */
function connected(world: World): { guest: GuestPeer; host: HostPeer; server: HostServer } {
  const server = new HostServer(world.reactor);
  const guest = guestConnect(world, GATEWAY4, server.port);
  world.until(() => guest.established && server.peers.length === 1, "a connection");
  return { guest, host: server.peers[0]!, server };
}

/** Dials from the guest whose handshakes never end, because what the gateway answers is lost. */
function guestSyns(world: World, port: number, count: number): void {
  world.losing = (frame) =>
    frame.totalLength < 100 && (frame.bytes[frame.start + 14 + 20 + 13]! & 0x12) === 0x12;
  for (let i = 0; i < count; i++) guestConnect(world, GATEWAY4, port);
}

test("TcpDialer joins the guest with the host, over IPv4 and IPv6", () =>
  within((world) => {
    for (const [address, loopback] of [[GATEWAY4, undefined], [GATEWAY6, LOOPBACK6]] as const) {
      const server = new HostServer(world.reactor, (peer) => void (peer.echo = true), loopback);
      const guest = guestConnect(world, address, server.port);
      world.until(() => guest.established, "a connection");
      guest.write(bytesOf("hello"));
      world.until(() => guest.total === 5, "an echo");
      strictEqual(guest.text, "hello");
      const [flow] = world.gateway.flows();
      strictEqual(flow?.state, "established");
      deepStrictEqual([flow?.bytesOut, flow?.bytesIn], [5, 5]);
      guest.end();
      world.until(() => guest.ended && world.gateway.flows().length === 0, "the end");
      server.close();
    }
  }));

test("TcpDialer answers a closed port with a reset", () =>
  within((world) => {
    const guest = guestConnect(world, GATEWAY4, closedPort());
    world.until(() => guest.closed, "the answer");
    strictEqual(guest.connection.error, "refused");
    deepStrictEqual(world.gateway.flows(), []);
  }));

test("TcpDialer refuses the gateway without host loopback, and what is not to be reached", () =>
  within((world) => {
    const server = new HostServer(world.reactor);
    const guest = guestConnect(world, GATEWAY4, server.port);
    const metadata = guestConnect(world, ip("169.254.169.254"), 80);
    world.until(() => guest.closed && metadata.closed, "the answers");
    strictEqual(guest.connection.error, "refused");
    strictEqual(metadata.connection.error, "host-unreachable");
    strictEqual(server.peers.length, 0);
    strictEqual(world.counted("policy.closed-port"), 1);
    strictEqual(world.counted("policy.link-local"), 1);
    server.close();
  }, { hostLoopback: false }));

test("TcpRelay carries the guest's half-close, and then the host's answer", () =>
  within((world) => {
    const { guest, host, server } = connected(world);
    guest.write(bytesOf("question"));
    guest.end();
    world.until(() => host.ended, "the guest's end");
    strictEqual(host.text, "question");
    strictEqual(world.gateway.flows()[0]?.state, "closing");
    host.write(bytesOf("answer"));
    world.until(() => guest.total === 6, "the answer");
    strictEqual(guest.ended, false);
    host.close();
    world.until(() => guest.ended && world.gateway.flows().length === 0, "the host's end");
    strictEqual(guest.text, "answer");
    server.close();
  }));

test("TcpRelay carries the host's half-close, and then the guest's answer", () =>
  within((world) => {
    const { guest, host, server } = connected(world);
    host.write(bytesOf("bye"));
    host.end();
    world.until(() => guest.ended, "the host's end");
    strictEqual(guest.text, "bye");
    guest.write(bytesOf("wait, one more"));
    world.until(() => host.total === 14, "the guest's answer");
    strictEqual(host.ended, false);
    guest.end();
    world.until(() => host.ended && world.gateway.flows().length === 0, "the guest's end");
    server.close();
  }));

test("TcpRelay carries the guest's reset", () =>
  within((world) => {
    const { guest, host, server } = connected(world);
    guest.reset();
    world.until(() => host.error !== 0, "the reset");
    strictEqual(host.error, -Errno.ECONNRESET);
    deepStrictEqual(world.gateway.flows(), []);
    server.close();
  }));

test("TcpRelay carries the host's reset", () =>
  within((world) => {
    const { guest, host, server } = connected(world);
    host.reset();
    world.until(() => guest.closed, "the reset");
    strictEqual(guest.connection.error, "reset");
    deepStrictEqual(world.gateway.flows(), []);
    server.close();
  }));

test("TcpRelay hears of the host's reset when it writes", () =>
  within((world) => {
    const { guest, host, server } = connected(world);
    host.paused = true;
    guest.write(bytesOf("never read"));
    world.until(() => world.gateway.flows()[0]?.bytesOut === 10, "the bytes");
    world.idle(3);
    host.close(); // with unread data: a reset (RFC 1122 section 4.2.2.13)
    world.until(() => guest.closed, "the reset");
    strictEqual(guest.connection.error, "reset");
    server.close();
  }));

test("TcpRelay delivers what the host said before it closed at once", () =>
  within((world) => {
    const server = new HostServer(world.reactor, (peer) => {
      peer.write(bytesOf("banner"));
      peer.close();
    });
    const guest = guestConnect(world, GATEWAY4, server.port);
    world.until(() => guest.ended, "the banner");
    strictEqual(guest.text, "banner");
    guest.end();
    world.until(() => guest.closed || world.gateway.flows().length === 0, "the end");
    server.close();
  }));

test("TcpDialer is not delayed by a destination that never answers", () =>
  within((world) => {
    const hole = new BlackHole();
    const stuck = Array.from({ length: 20 }, () => guestConnect(world, GATEWAY4, hole.port));
    world.idle();
    const { guest, server } = connected(world);
    ok(guest.established);
    const states = world.gateway.flows().map((flow) => flow.state);
    deepStrictEqual([states.length, states.filter((state) => state === "dialling").length], [21, 20]);
    strictEqual(stuck.some((peer) => peer.established || peer.closed), false);
    // Its time over, a dial is forgotten without a word; the guest's own SYN timer decides.
    world.gateway.poll(later(world.now(), 61 * SECOND));
    strictEqual(world.counted("tcp.dial-timeout"), 20);
    strictEqual(world.gateway.flows().length, 1);
    hole.close();
    server.close();
  }));

test("TcpDialer refuses the oldest dial at its limit", () =>
  within((world) => {
    const hole = new BlackHole();
    const stuck = Array.from({ length: 6 }, () => {
      const peer = guestConnect(world, GATEWAY4, hole.port);
      world.idle(3);
      return peer;
    });
    world.until(() => stuck[1]!.closed, "the refusal");
    deepStrictEqual(stuck.map((peer) => peer.connection.error), [
      "refused",
      "refused",
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    strictEqual(world.counted("tcp.dial-limit"), 2);
    hole.close();
  }, { limits: { tcpDials: 4 } }));

test("TcpDialer ignores SYNs at the limit of flows", () =>
  within((world) => {
    const server = new HostServer(world.reactor);
    const peers = [1, 2, 3].map(() => guestConnect(world, GATEWAY4, server.port));
    world.until(() => world.counted("tcp.flow-limit") > 0 && peers[1]!.established, "the limit");
    deepStrictEqual(peers.map((peer) => peer.established), [true, true, false]);
    server.close();
  }, { limits: { tcpFlows: 2 } }));

test("TcpRelays lets a flood of SYNs push out its own", () =>
  within((world) => {
    const { guest, host, server } = connected(world);
    guestSyns(world, server.port, 3);
    world.until(() => server.peers.length === 4, "the flood");
    const patience = later(world.now(), 110_000);
    world.until(() => world.now() > patience, "the grace of a handshake to pass");
    guestSyns(world, server.port, 3);
    world.until(() => server.peers.length === 7, "more of it");
    strictEqual(world.counted("tcp.flow-limit"), 3);
    strictEqual(world.gateway.flows().filter((flow) => flow.state === "opening").length, 3);
    host.write(bytesOf("still here"));
    world.until(() => guest.total === 10, "the bytes");
    server.close();
  }, { limits: { tcpFlows: 4 } }));

test("TcpRelays carries 1000 connections at once", () =>
  within((world) => {
    const server = new HostServer(world.reactor, (peer) => void (peer.echo = true));
    const peers: GuestPeer[] = [];
    for (let i = 0; i < 1_000; i++) {
      peers.push(guestConnect(world, GATEWAY4, server.port));
      if (i % 50 === 49) world.turn();
    }
    world.until(() => peers.every((peer) => peer.established), "1000 connections");
    strictEqual(world.gateway.flows().length, 1_000);
    peers.forEach((peer, i) => peer.write(bytesOf(`message ${i}`)));
    world.until(() => peers.every((peer, i) => peer.total === `message ${i}`.length), "1000 echoes");
    peers.forEach((peer, i) => strictEqual(peer.text, `message ${i}`));
    for (const peer of peers) peer.end();
    world.until(() => world.gateway.flows().length === 0, "1000 ends");
    ok(peers.every((peer) => peer.ended));
    server.close();
  }));
