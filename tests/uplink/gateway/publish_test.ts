import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SOCK } from "../../../lib/host/constants.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { NativeMemory } from "../../../lib/host/memory.ts";
import { close as closeDescriptor, read, write } from "../../../lib/host/sys.ts";
import { listenUnix } from "../../../lib/host/unix_listen.ts";
import { dialUnix } from "../../../lib/host/unix_socket.ts";
import { LOOPBACK4, LOOPBACK6 } from "../../../lib/host/structs.ts";
import { spoofOf } from "../../../lib/uplink/gateway/spoof.ts";
import { Fifo } from "../../../lib/stack/qdisc/fifo.ts";
import { later, SECOND } from "../../../lib/stack/time.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { needs } from "../../support/capability.ts";
import { guestListen, GuestUdp } from "./guest_peers.ts";
import { bytesOf, closedPort, hostConnect, HostServer, HostUdp } from "./host_peers.ts";
import { HOST4, HOST6, inHostNamespace } from "./host_namespace.ts";
import { GATEWAY4, GATEWAY6, GUEST4, GUEST6, ip, within } from "./world.ts";

const LOCALHOST = ip("127.0.0.1");

test("publish() brings a client to the guest, from the gateway's address when the client is on the loopback", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "tcp", hostAddress: LOCALHOST, hostPort: port, guestPort: 80 });
    const accepted = guestListen(world, GUEST4, 80);
    const client = hostConnect(world.reactor, port);
    client.write(bytesOf("GET"));
    world.until(() => accepted[0]?.total === 3, "the request");
    const guest = accepted[0]!;
    strictEqual(`${guest.connection.remoteAddress}`, `${GATEWAY4}`);
    guest.write(bytesOf("200 OK"));
    guest.end();
    world.until(() => client.ended, "the response");
    strictEqual(client.text, "200 OK");
    const [flow] = world.gateway.flows();
    deepStrictEqual([flow?.direction, flow?.guest], ["in", "10.0.2.100:80"]);
    client.close();
    world.until(() => world.gateway.flows().length === 0, "the end");
  }));

test("publish() on every address takes IPv4 and IPv6", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "tcp", hostPort: port, guestPort: 80 });
    deepStrictEqual(world.gateway.forwards(), [{ protocol: "tcp", host: `*:${port}`, guest: 80 }]);
    const four = guestListen(world, GUEST4, 80);
    const six = guestListen(world, GUEST6, 80);
    const clients = [
      hostConnect(world.reactor, port, LOOPBACK4),
      hostConnect(world.reactor, port, LOOPBACK6),
    ];
    world.until(() => four.length === 1 && six.length === 1, "both connections");
    strictEqual(`${six[0]!.connection.remoteAddress}`, `${GATEWAY6}`);
    for (const client of clients) client.close();
  }));

test("publish() stops at its limit, and unpublish() makes room", () =>
  within((world) => {
    const ports = [closedPort(), closedPort(), closedPort()] as const;
    const forward = (hostPort: number) =>
      ({ protocol: "tcp", hostAddress: LOCALHOST, hostPort, guestPort: 80 }) as const;
    world.gateway.publish(forward(ports[0]));
    world.gateway.publish(forward(ports[1]));
    throws(() => world.gateway.publish(forward(ports[2])), /2 ports are published already/);
    strictEqual(world.gateway.counters()["gateway.publish.limit"], 1);
    world.gateway.unpublish(forward(ports[0]));
    world.gateway.publish(forward(ports[2]));
  }, { limits: { published: 2 } }));

test("publish() of a unix socket: for this user only, never in the place of a file, and gone with unpublish()", () =>
  within((world) => {
    const directory = mkdtempSync(join(tmpdir(), "sluice-publish-"));
    try {
      const hostPath = join(directory, "to-guest");
      const forward = { protocol: "tcp", hostPort: 0, hostPath, guestPort: 80 } as const;
      writeFileSync(hostPath, "precious");
      throws(() => world.gateway.publish(forward), /the file exists, and is no socket/);
      strictEqual(readFileSync(hostPath, "utf8"), "precious");
      rmSync(hostPath);

      closeDescriptor(listenUnix("stream", hostPath)); // what a dead process left
      world.gateway.publish(forward);
      throws(() => world.gateway.publish(forward), /another process listens there/);
      strictEqual(statSync(hostPath).mode & 0o777, 0o600);
      deepStrictEqual(world.gateway.forwards(), [{ protocol: "unix", host: hostPath, guest: 80 }]);

      const accepted = guestListen(world, GUEST4, 80);
      const fd = dialUnix(SOCK.STREAM, hostPath);
      const memory = new NativeMemory(16);
      memory.bytes.set(bytesOf("GET"));
      strictEqual(write(fd, memory.address, 3), 3);
      // The first was the attempt to publish it again, which looked whether somebody is there.
      world.until(() => accepted[1]?.total === 3, "the request");
      strictEqual(`${accepted[1]!.connection.remoteAddress}`, `${GATEWAY4}`);
      accepted[1]!.write(bytesOf("OK"));
      world.until(() => read(fd, memory.address, 16) === 2, "the response");
      closeDescriptor(fd);

      world.gateway.unpublish(forward);
      ok(!existsSync(hostPath));
      world.gateway.publish(forward);
      rmSync(hostPath);
      writeFileSync(hostPath, "somebody else's");
      world.gateway.unpublish(forward);
      ok(existsSync(hostPath), "a name that became somebody else's stays");
    } finally {
      rmSync(directory, { recursive: true });
    }
  }));

test("unpublish() serves whom the kernel has let in, though nobody has accepted them yet", () =>
  within((world) => {
    const port = closedPort();
    const forward = { protocol: "tcp", hostAddress: LOCALHOST, hostPort: port, guestPort: 80 } as const;
    world.gateway.publish(forward);
    const accepted = guestListen(world, GUEST4, 80);
    const clients = Array.from({ length: 3 }, () => hostConnect(world.reactor, port));
    // No turn of the reactor before this.
    world.gateway.unpublish(forward);
    for (const client of clients) client.write(bytesOf("GET"));
    world.until(() => accepted.length === 3 && accepted.every(({ total }) => total === 3), "three requests");
    for (const client of clients) client.close();
  }));

test("publish() refuses a taken port, and unpublish() gives it back", () =>
  within((world) => {
    const server = new HostServer(world.reactor);
    const taken = { protocol: "tcp", hostAddress: LOCALHOST, hostPort: server.port, guestPort: 80 } as const;
    throws(() => world.gateway.publish(taken), {
      message: `Cannot publish 127.0.0.1:${server.port}: address already in use`,
    });
    throws(
      () => world.gateway.publish({ ...taken, hostAddress: ip("192.0.2.77") }),
      /the host has no such address/,
    );
    server.close();
    world.gateway.publish(taken);
    world.gateway.unpublish(taken);
    throws(() => world.gateway.unpublish(taken), /it is not published/);
    deepStrictEqual(world.gateway.forwards(), []);
    const client = hostConnect(world.reactor, server.port);
    world.until(() => client.error !== 0, "the refusal");
    strictEqual(client.error, -Errno.ECONNREFUSED);
    client.close();
  }));

test("publish() resets the client when the guest refuses", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "tcp", hostAddress: LOCALHOST, hostPort: port, guestPort: 81 });
    const client = hostConnect(world.reactor, port);
    world.until(() => client.error !== 0, "the reset");
    strictEqual(client.error, -Errno.ECONNRESET);
    strictEqual(world.counted("tcp.guest-refused"), 1);
  }));

test("publish() accepts no more than the guest can be asked for at once, and goes on later", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "tcp", hostAddress: LOCALHOST, hostPort: port, guestPort: 80 });
    const accepted = guestListen(world, GUEST4, 80);
    const clients = Array.from({ length: 50 }, () => hostConnect(world.reactor, port));
    world.until(() => accepted.length === 50, "50 connections");
    ok(world.counted("publish.pending-limit") > 0);
    for (const client of clients) client.close();
  }, { limits: { publishPending: 4 } }));

test("publish() of a UDP port relays between many clients and the guest", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "udp", hostAddress: LOCALHOST, hostPort: port, guestPort: 5_000 });
    const guest = new GuestUdp(world, GUEST4, 5_000);
    const clients = Array.from({ length: 20 }, () => new HostUdp(world.reactor));
    clients.forEach((client, i) => client.send(bytesOf(`from ${i}`), LOCALHOST, port));
    world.until(() => guest.received.length === 20, "20 datagrams");
    strictEqual(new Set(guest.sources).size, 20);
    guest.received.forEach((text, i) => {
      const [address, source] = guest.sources[i]!.split(":");
      guest.send(bytesOf(`to ${text.slice(5)}`), ip(address!), Number(source));
    });
    world.until(() => clients.every((client) => client.received.length === 1), "20 answers");
    clients.forEach((client, i) => deepStrictEqual(client.received, [`to ${i}`]));
    strictEqual(world.gateway.flows().filter((flow) => flow.state === "two-way").length, 20);
    world.gateway.poll(later(world.now(), 181 * SECOND));
    strictEqual(world.gateway.flows().length, 0);
    for (const client of clients) client.close();
  }));

test("publish() of a UDP port forgets the client that has been silent longest at its limit, unanswered ones first", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "udp", hostAddress: LOCALHOST, hostPort: port, guestPort: 5_000 });
    const guest = new GuestUdp(world, GUEST4, 5_000);
    const clients = Array.from({ length: 6 }, () => new HostUdp(world.reactor));
    const ask = (i: number) => {
      const before = guest.received.length;
      clients[i]!.send(bytesOf(`from ${i}`), LOCALHOST, port);
      world.until(() => guest.received.length > before, `datagram ${i}`);
    };
    const known = () => world.gateway.flows().map(({ host }) => Number(host.split(":")[1])).sort();
    const ports = (...which: number[]) => which.map((i) => clients[i]!.port).sort();
    ask(0);
    guest.send(bytesOf("answer"), GATEWAY4, Number(guest.sources[0]!.split(":")[1]));
    world.until(() => clients[0]!.received.length === 1, "the answer");
    for (const i of [1, 2, 3]) ask(i);
    ask(1);
    deepStrictEqual([known(), world.counted("publish.client-limit")], [ports(0, 1, 2, 3), 0]);
    ask(4);
    deepStrictEqual([known(), world.counted("publish.client-limit")], [ports(0, 1, 3, 4), 1]);
    ask(5);
    deepStrictEqual([known(), world.counted("publish.client-limit")], [ports(0, 1, 4, 5), 2]);
    // Who was forgotten is heard again.
    ask(2);
    deepStrictEqual([known(), world.counted("publish.client-limit")], [ports(0, 2, 4, 5), 3]);
    for (const client of clients) client.close();
  }, { limits: { udpFlows: 4 } }));

test("publish() of a UDP port loses what the guest's interface does not take, and counts it", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "udp", hostAddress: LOCALHOST, hostPort: port, guestPort: 5_000 });
    const guest = new GuestUdp(world, GUEST4, 5_000);
    const client = new HostUdp(world.reactor);
    const ask = (text: string) => client.send(bytesOf(text), LOCALHOST, port);
    ask("first");
    world.until(() => guest.received.length === 1, "the first datagram");
    const queue = world.nic.qdisc;
    world.nic.setQdisc(new Fifo(2));
    // All in one turn, of which the wire takes two.
    for (let i = 0; i < 5; i++) ask(`${i}`);
    world.until(() => world.counted("udp.guest-full") > 0, "losses");
    world.idle();
    strictEqual(world.counted("udp.guest-full"), 3);
    world.nic.setQdisc(queue);
    ask("last");
    world.until(() => guest.received.length === 4, "the last datagram");
    deepStrictEqual(guest.received, ["first", "0", "1", "last"]);
    client.close();
  }));

test("publish() of a UDP port leaves on the host what the guest has no room for, until it has", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "udp", hostAddress: LOCALHOST, hostPort: port, guestPort: 5_000 });
    const guest = new GuestUdp(world, GUEST4, 5_000);
    const client = new HostUdp(world.reactor);
    client.send(bytesOf("first"), LOCALHOST, port);
    world.until(() => guest.received.length === 1, "the first datagram");
    guest.endpoint.full = true;
    for (let i = 0; i < 100; i++) client.send(bytesOf(`${i}`), LOCALHOST, port);
    world.idle();
    strictEqual(guest.received.length, 1);
    strictEqual(world.counted("publish.guest-waits"), 1);
    guest.endpoint.relieve();
    world.until(() => guest.received.length === 101, "what had waited");
    deepStrictEqual(guest.received.slice(1), Array.from({ length: 100 }, (_, i) => `${i}`));
    client.close();
  }));

test("publish() refuses clients that nobody can stand for in the guest's network, and counts them", () =>
  within((world) => {
    const port = closedPort();
    for (const protocol of ["tcp", "udp"] as const) {
      world.gateway.publish({ protocol, hostPort: port, guestAddress: GUEST6, guestPort: 80 });
    }
    const guest = new GuestUdp(world, GUEST6, 80);
    const client = hostConnect(world.reactor, port);
    world.until(() => client.error !== 0, "the reset");
    strictEqual(client.error, -Errno.ECONNRESET);
    strictEqual(world.counted("publish.refused"), 1);
    const sender = new HostUdp(world.reactor);
    sender.send(bytesOf("lost"), LOCALHOST, port);
    world.until(() => world.counted("publish.refused") === 2, "the loss");
    deepStrictEqual([guest.received, world.gateway.flows()], [[], []]);
    client.close();
    sender.close();
  }, { gateway6: undefined, guest6: undefined }));

test("publish() of a UDP port on every address answers from the one that the client wrote to", () =>
  within((world) => {
    const port = closedPort();
    world.gateway.publish({ protocol: "udp", hostPort: port, guestPort: 5_000 });
    const guest = new GuestUdp(world, GUEST4, 5_000);
    for (const address of ["127.0.0.1", "127.0.0.2", "127.1.2.3"]) {
      const client = new HostUdp(world.reactor);
      client.send(bytesOf("hello"), ip(address), port);
      world.until(() => guest.received.length > 0, "the question");
      guest.received.pop();
      const [from, source] = guest.sources.pop()!.split(":");
      guest.send(bytesOf("answer"), ip(from!), Number(source));
      world.until(() => client.received.length === 1, "the answer");
      const { family, a, b, c, d } = client.source;
      strictEqual(`${new IpAddress(family, a, b, c, d)}:${client.source.port}`, `${address}:${port}`);
      client.close();
    }
  }));

test(
  "publish() shows the guest the client's own address and port",
  needs("root", "netns"),
  () =>
    inHostNamespace(() =>
      within((world) => {
        for (const protocol of ["tcp", "udp"] as const) {
          world.gateway.publish({ protocol, hostPort: 8_080, guestPort: 80 });
        }
        for (
          const [address, guestAddress] of [[HOST4, GUEST4], [HOST6, GUEST6]] as const
        ) {
          const accepted = guestListen(world, guestAddress, 80);
          const client = hostConnect(world.reactor, 8_080, address, address);
          world.until(() => accepted.length === 1, "a connection");
          const { remoteAddress } = accepted[0]!.connection;
          strictEqual(`${remoteAddress}`, `${address}`);
          client.write(bytesOf("hello"));
          world.until(() => accepted[0]!.total === 5, "bytes");
          client.close();

          const guest = new GuestUdp(world, guestAddress, 80);
          const sender = new HostUdp(world.reactor, () => {}, address);
          sender.send(bytesOf("datagram"), address, 8_080);
          world.until(() => guest.received.length === 1, "a datagram");
          strictEqual(guest.sources[0], `${address}:${sender.port}`);
          guest.send(bytesOf("answer"), address, sender.port);
          world.until(() => sender.received.length === 1, "the answer");
          sender.close();
        }
      })
    ),
);

const SPOOFS: readonly [client: string, want: string][] = [
  ["192.0.2.9", "10.0.2.100 from 192.0.2.9:4000"],
  ["127.0.0.1", "10.0.2.100 from 10.0.2.2:0"],
  ["10.0.2.100", "10.0.2.100 from 10.0.2.2:0"],
  ["10.0.2.2", "10.0.2.100 from 10.0.2.2:0"],
  ["10.0.2.77", "10.0.2.100 from 10.0.2.2:0"],
  ["169.254.7.7", "10.0.2.100 from 10.0.2.2:0"],
  ["2001:db8::9", "fd00::64 from [2001:db8::9]:4000"],
  ["::1", "fd00::64 from [fd00::2]:0"],
  ["fe80::1", "fd00::64 from [fd00::2]:0"],
];
for (const [client, want] of SPOOFS) {
  test(`spoofOf() shows ${client} as ${want}`, () => {
    const config = { gateway4: GATEWAY4, gateway6: GATEWAY6, guest4: GUEST4, guest6: GUEST6 };
    const nic = { onLink: (address: typeof GUEST4) => `${address}`.startsWith("10.0.2.") };
    const spoof = spoofOf(ip(client), 4_000, config, nic)!;
    const shown = spoof.client.family === 6 ? `[${spoof.client}]` : `${spoof.client}`;
    strictEqual(`${spoof.guest} from ${shown}:${spoof.port}`, want);
  });
}

test("spoofOf() brings a client of the wrong family in as the gateway", () => {
  const spoof = spoofOf(ip("2001:db8::9"), 4_000, { gateway4: GATEWAY4, guest4: GUEST4 }, {
    onLink: () => false,
  });
  deepStrictEqual([`${spoof?.guest}`, `${spoof?.client}`, spoof?.port], ["10.0.2.100", "10.0.2.2", 0]);
});
