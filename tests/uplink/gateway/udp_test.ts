import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Fifo } from "../../../lib/stack/qdisc/fifo.ts";
import { later, SECOND } from "../../../lib/stack/time.ts";
import { fillInPlace } from "../../support/full_socket.ts";
import { GuestUdp } from "./guest_peers.ts";
import { bytesOf, closedPort, HostUdp } from "./host_peers.ts";
import { GATEWAY4, GATEWAY6, ip, within, World } from "./world.ts";
import { LOOPBACK4, LOOPBACK6 } from "../../../lib/host/structs.ts";

const echo = (bytes: Uint8Array, self: HostUdp) => void self.send(bytes);

test("UdpFlows relays datagrams and answers, over IPv4 and IPv6", () =>
  within((world) => {
    for (
      const [server, address] of [
        [new HostUdp(world.reactor, echo), GATEWAY4],
        [new HostUdp(world.reactor, echo, LOOPBACK6), GATEWAY6],
      ] as const
    ) {
      const guest = new GuestUdp(world);
      guest.send(bytesOf("one"), address, server.port);
      guest.send(bytesOf("two"), address, server.port);
      world.until(() => guest.received.length === 2, "two echoes");
      deepStrictEqual(guest.received, ["one", "two"]);
      strictEqual(guest.sources[0], `${address}:${server.port}`);
      server.close();
    }
    const [flow] = world.gateway.flows();
    strictEqual(flow?.state, "two-way");
    strictEqual(flow?.bytesOut, 6);
    strictEqual(flow?.bytesIn, 6);
    strictEqual(flow?.host.startsWith("127.0.0.1:"), true);
  }));

test("UdpFlows keeps datagrams of every size whole", () =>
  within((world) => {
    const server = new HostUdp(world.reactor, echo);
    const guest = new GuestUdp(world);
    const sizes = [0, 1, 1_400, 1_921, 8_000, 65_000, 65_507];
    for (const size of sizes) {
      const bytes = new Uint8Array(size).map((_, i) => i * 7 + size);
      guest.send(bytes, GATEWAY4, server.port);
      world.until(() => guest.packets.length === 1, `an echo of ${size} bytes`);
      deepStrictEqual(guest.packets.pop(), bytes);
    }
    deepStrictEqual(server.sizes, sizes);
    server.close();
  }));

test("UdpFlows sends a burst whole, in order", () =>
  within((world) => {
    const server = new HostUdp(world.reactor);
    const guest = new GuestUdp(world);
    const want = ["first, for the neighbours to meet"];
    guest.send(bytesOf(want[0]!), GATEWAY4, server.port);
    world.until(() => server.received.length === 1, "the first datagram");
    for (let i = 1; i < 100; i++) {
      want.push(`datagram ${i}`.padEnd(i % 10 === 9 ? 40 : 100, "."));
      guest.send(bytesOf(want[i]!), GATEWAY4, server.port);
    }
    world.until(() => server.received.length === 100, "100 datagrams");
    deepStrictEqual(server.received, want);
    server.close();
  }));

test("UdpFlows leaves on the host what the guest has no room for, until it has", () =>
  within((world) => {
    const server = new HostUdp(world.reactor);
    const guest = new GuestUdp(world);
    guest.send(bytesOf("hello"), GATEWAY4, server.port);
    world.until(() => server.received.length === 1, "the first datagram");
    const want: string[] = [];
    const { endpoint } = guest;
    for (let round = 1; round <= 3; round++) {
      endpoint.full = true;
      for (let i = 0; i < 100; i++) {
        want.push(`round ${round}, ${i}`);
        server.send(bytesOf(want.at(-1)!));
        if (i === 50) world.idle();
      }
      world.idle();
      strictEqual(guest.received.length, 100 * (round - 1));
      strictEqual(world.counted("udp.guest-waits"), round);
      endpoint.relieve();
      world.until(() => guest.received.length === 100 * round, "what had waited");
    }
    deepStrictEqual(guest.received, want);
    endpoint.full = true;
    server.send(bytesOf("for a port that closes"));
    world.idle();
    endpoint.close();
    world.until(() => world.counted("udp.guest-unreachable") === 1, "a refusal by the guest");
    server.close();
  }));

test("UdpFlows loses what the guest's interface does not take, and counts it", () =>
  within((world) => {
    const server = new HostUdp(world.reactor);
    const guest = new GuestUdp(world);
    guest.send(bytesOf("hello"), GATEWAY4, server.port);
    world.until(() => server.received.length === 1, "the first datagram");
    const queue = world.nic.qdisc;
    world.nic.setQdisc(new Fifo(2));
    // All in one turn, of which the wire takes two.
    for (let i = 0; i < 5; i++) server.send(bytesOf(`${i}`));
    world.until(() => world.counted("udp.guest-full") > 0, "losses");
    world.idle();
    strictEqual(world.counted("udp.guest-full"), 3);
    world.nic.setQdisc(queue);
    server.send(bytesOf("last"));
    world.until(() => guest.received.length === 3, "the last datagram");
    deepStrictEqual(guest.received, ["0", "1", "last"]);
    server.close();
  }));

for (
  const [why, counter, full, size] of [
    ["the host has no room for", "udp.host-full", 1, 100],
    ["no packet of the host carries", "udp.too-long", 60_000, 60_000],
  ] as const
) {
  test(`UdpFlows loses what ${why}, without an error for the guest, and counts it`, () =>
    within((world) => {
      const server = new HostUdp(world.reactor);
      const guest = new GuestUdp(world);
      const { reactor } = world;
      const watch = reactor.add.bind(reactor);
      let flow = -1;
      reactor.add = (fd, events, handler) => watch(flow = fd, events, handler);
      guest.send(bytesOf("arrives"), GATEWAY4, server.port);
      world.until(() => server.received.length === 1, "the first datagram");
      const refusal = fillInPlace(flow, full);
      for (const round of [1, 2]) {
        guest.send(new Uint8Array(size), GATEWAY4, server.port);
        world.until(() => world.counted(counter) === round, "a loss");
      }
      world.idle();
      deepStrictEqual([guest.errors, server.received], [[], ["arrives"]]);
      strictEqual(world.gateway.flows()[0]!.bytesOut, 7);
      refusal.end();
      server.close();
    }));
}

test("UdpFlows reads less at a time for a guest that says when it is full", () =>
  within((world) => {
    const server = new HostUdp(world.reactor);
    const guest = new GuestUdp(world);
    guest.send(bytesOf("hello"), GATEWAY4, server.port);
    world.until(() => server.received.length === 1, "the first datagram");
    const long = new Uint8Array(1_400);
    for (let i = 0; i < 60; i++) server.send(long);
    world.turn();
    ok(guest.packets.length < 60, `${guest.packets.length} datagrams in one turn`);
    world.until(() => guest.packets.length === 60, "all of them");
    server.close();
  }));

test("UdpFlows tells the guest of a closed port", () =>
  within((world) => {
    const guest = new GuestUdp(world);
    const port = closedPort();
    guest.send(bytesOf("anybody?"), GATEWAY4, port);
    world.until(() => guest.errors.length > 0, "an ICMP error");
    strictEqual(guest.errors[0], `port-unreachable ${GATEWAY4}:${port}`);
    strictEqual(world.counted("udp.host-refused"), 1);
  }));

test("UdpFlows tells of every closed port as the host that was asked, and loses nothing for it", () =>
  within((world) => {
    for (const [gateway, loopback] of [[GATEWAY4, LOOPBACK4], [GATEWAY6, LOOPBACK6]] as const) {
      const guest = new GuestUdp(world);
      const closed = new HostUdp(world.reactor, undefined, loopback);
      const { port } = closed;
      closed.close();
      for (const text of ["one", "two", "three"]) {
        guest.send(bytesOf(text), gateway, port);
        const want = guest.errors.length + 1;
        world.until(() => guest.errors.length === want, "an ICMP error");
      }
      // 127.0.0.1 is who answered; to the guest that is the gateway. What is quoted is the guest's own.
      deepStrictEqual(guest.complaints, ["one", "two", "three"].map((text) => `${gateway} ${text}`));
      deepStrictEqual(guest.errors, new Array(3).fill(`port-unreachable ${gateway}:${port}`));
    }
    strictEqual(world.counted("udp.host-refused"), 6);
    strictEqual(world.counted("udp.host-error") + world.counted("udp.odd-error"), 0);
  }));

test("UdpFlows sends what an error about something else has stopped", () =>
  within((world) => {
    const guest = new GuestUdp(world);
    const port = closedPort();
    guest.send(bytesOf("met"), GATEWAY4, port);
    world.until(() => guest.errors.length === 1, "an ICMP error");
    // Both in one turn: the second is sent while the error about the first waits.
    guest.send(bytesOf("refused"), GATEWAY4, port);
    guest.endpoint.hopLimit = 9;
    guest.send(bytesOf("refused, too"), GATEWAY4, port);
    world.until(() => guest.errors.length === 3, "two ICMP errors");
    deepStrictEqual(guest.complaints.slice(1).map((text) => text.slice(9)), ["refused", "refused, too"]);
  }));

test("UdpFlows is the router at which a hop limit of one ends, on an open flow, too", () =>
  within((world) => {
    const server = new HostUdp(world.reactor, echo);
    const guest = new GuestUdp(world);
    for (const round of [1, 2]) {
      guest.endpoint.hopLimit = 1;
      guest.send(bytesOf("one hop"), GATEWAY4, server.port);
      world.until(() => guest.errors.length === round, "an ICMP error");
      strictEqual(guest.errors.at(-1), `time-exceeded ${GATEWAY4}:${server.port}`);
      guest.endpoint.hopLimit = 2;
      guest.send(bytesOf("two hops"), GATEWAY4, server.port);
      world.until(() => guest.received.length === round, "an answer");
    }
    deepStrictEqual(server.received, ["two hops", "two hops"]);
    server.close();
  }));

test("UdpFlows refuses the gateway without host loopback, and is silent to many", () =>
  within((world) => {
    const server = new HostUdp(world.reactor, echo);
    const guest = new GuestUdp(world);
    guest.send(bytesOf("hello"), GATEWAY4, server.port);
    world.until(() => guest.errors.length > 0, "an ICMP error");
    strictEqual(guest.errors[0], `port-unreachable ${GATEWAY4}:${server.port}`);
    guest.send(bytesOf("hello"), ip("169.254.169.254"), 80);
    world.until(() => guest.errors.length > 1, "an ICMP error");
    strictEqual(guest.errors[1], "host-unreachable 169.254.169.254:80");
    guest.send(bytesOf("hello"), ip("239.1.2.3"), 1900);
    world.idle();
    deepStrictEqual([guest.errors.length, server.sizes, world.gateway.flows()], [2, [], []]);
    server.close();
  }, { hostLoopback: false }));

test("UdpFlows forgets flows after their lifetime, which every datagram renews", () =>
  within((world) => {
    const silent = new HostUdp(world.reactor);
    const server = new HostUdp(world.reactor, echo);
    const guest = new GuestUdp(world);
    guest.send(bytesOf("a"), GATEWAY4, silent.port);
    guest.send(bytesOf("b"), GATEWAY4, server.port);
    world.until(() => guest.received.length === 1 && silent.received.length === 1, "both datagrams");
    const states = () => world.gateway.flows().map((flow) => flow.state).sort();
    deepStrictEqual(states(), ["one-way", "two-way"]);
    const at = world.gateway.pollAt();
    ok(at <= later(world.now(), 30 * SECOND) && at > later(world.now(), 20 * SECOND));
    world.gateway.poll(later(world.now(), 31 * SECOND));
    deepStrictEqual(states(), ["two-way"]);
    world.gateway.poll(later(world.now(), 119 * SECOND));
    deepStrictEqual(states(), ["two-way"]); // RFC 4787 REQ-5
    world.gateway.poll(later(world.now(), 181 * SECOND));
    deepStrictEqual(states(), []);
    guest.send(bytesOf("again"), GATEWAY4, server.port);
    world.until(() => guest.received.length === 2, "a flow made anew");
    silent.close();
    server.close();
  }));

test("UdpFlows evicts the least recently used at its limit, unanswered ones first", () =>
  within((world) => {
    const server = new HostUdp(world.reactor, echo);
    const silent = new HostUdp(world.reactor);
    const friend = new GuestUdp(world);
    friend.send(bytesOf("friend"), GATEWAY4, server.port);
    world.until(() => friend.received.length === 1, "the answer");
    for (let i = 0; i < 20; i++) {
      new GuestUdp(world).send(bytesOf(`${i}`), GATEWAY4, silent.port);
      world.turn();
    }
    const flows = world.gateway.flows();
    strictEqual(flows.length, 8);
    strictEqual(flows.filter((flow) => flow.state === "two-way").length, 1);
    strictEqual(world.counted("udp.flow-limit"), 13);
    server.close();
    silent.close();
  }, { limits: { udpFlows: 8 } }));

test("Gateway.stop() closes what it opened", () => {
  const world = new World();
  world.gateway.start();
  const server = new HostUdp(world.reactor, echo);
  const guest = new GuestUdp(world);
  guest.send(bytesOf("x"), GATEWAY4, server.port);
  world.until(() => guest.received.length === 1, "the answer");
  world.gateway.stop();
  deepStrictEqual(world.gateway.flows(), []);
  guest.send(bytesOf("y"), GATEWAY4, server.port);
  world.idle();
  strictEqual(server.received.length, 1);
  world.close();
});
