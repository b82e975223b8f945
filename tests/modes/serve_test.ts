import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SOCK } from "../../lib/host/constants.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { close, write } from "../../lib/host/sys.ts";
import { listenUnix } from "../../lib/host/unix_listen.ts";
import { dialUnix } from "../../lib/host/unix_socket.ts";
import { NO_WIRE_OFFLOAD } from "../../lib/link/offload.ts";
import { payload } from "../support/payload.ts";
import { ip, TRANSPORTS, VmWorld, within } from "../support/vm_world.ts";
import { guestConnect, guestListen } from "../uplink/gateway/guest_peers.ts";
import { closedPort, hostConnect, HostServer } from "../uplink/gateway/host_peers.ts";

for (const transport of TRANSPORTS) {
  test(`a guest on ${transport} reaches the host's loopback through the gateway, byte for byte`, () =>
    within((world) => {
      const guest = world.guest(transport, 5);
      const body = payload(1_000_000);
      const server = new HostServer(world.reactor, (peer) => peer.echo = true);
      const peer = guestConnect(guest, ip("192.168.127.1"), server.port);
      const echoed = new Uint8Array(body.length);
      let at = 0;
      peer.sink = (bytes) => {
        echoed.set(bytes, at);
        at += bytes.length;
      };
      let sent = 0;
      peer.onWritable = () => {
        // What the host's echo cannot write at once is lost: never more on the way than its buffers hold.
        while (sent < body.length && sent - at < 32_768) {
          const n = peer.write(body.subarray(sent, sent + 16_384));
          if (n === 0) return;
          sent += n;
        }
      };
      world.until(() => {
        if (peer.established) peer.onWritable();
        return at === body.length;
      }, "the echo");
      deepStrictEqual(echoed, body);
      server.close();
    }));

  test(`two guests on ${transport} see each other`, () =>
    within((world) => {
      const a = world.guest(transport, 5), b = world.guest(transport, 6);
      ok(world.pings(a, b.address), "a reaches b");
      ok(world.pings(b, a.address), "b reaches a");
      ok(world.pings(a, ip("fd00::6")), "IPv6, too");
    }));

  test(`a guest on ${transport} comes back`, () =>
    within((world) => {
      const before = world.guest(transport, 5);
      ok(world.pings(before, ip("192.168.127.1")));
      before.close();
      const after = world.guest(transport, 5);
      ok(world.pings(after, ip("192.168.127.1")));
    }));
}

test("guests of all transports are on one wire", () =>
  within((world) => {
    const guests = TRANSPORTS.map((transport, i) => world.guest(transport, 5 + i));
    for (const from of guests) {
      for (const to of guests) {
        if (from !== to) ok(world.pings(from, to.address), `${from.address} → ${to.address}`);
      }
    }
  }));

test("many guests share one datagram name, each with a socket of its own", () =>
  within((world) => {
    const guests = Array.from({ length: 8 }, (_, i) => {
      const guest = world.guest("unixgram", 10 + i);
      ok(world.pings(guest, ip("192.168.127.1")));
      return guest;
    });
    for (const guest of guests) {
      ok(world.pings(guest, (guest === guests[0] ? guests[1] : guests[0])!.address));
    }
  }));

test("guests that connect to one datagram socket before they are heard share it", () =>
  within((world) => {
    const guests = [10, 11, 12].map((number) => world.guest("unixgram", number));
    for (const guest of guests) ok(world.pings(guest, ip("192.168.127.1")), String(guest.address));
    ok(world.pings(guests[0]!, guests[2]!.address));
  }));

test("VFKT is accepted and is no frame", () =>
  within((world) => {
    const fd = dialUnix(SOCK.DGRAM, world.path("unixgram"), join(world.directory, "vfkit"));
    ok(fd >= 0);
    const hello = new NativeMemory(4);
    hello.bytes.set(new TextEncoder().encode("VFKT"));
    strictEqual(write(fd, hello.address, 4), 4);
    world.idle();
    strictEqual(world.counted("switch.runt"), 0);
    close(fd);
  }));

test("a datagram peer without a name is counted, for it cannot be answered", () =>
  within((world) => {
    const fd = dialUnix(SOCK.DGRAM, world.path("unixgram"));
    const frame = new NativeMemory(60);
    write(fd, frame.address, 60);
    world.until(() => world.counted("vm.unnamed-peer") === 1, "the count");
    close(fd);
  }));

test("a published port leads to the guest that it names, and shows it who the client is", () =>
  within((world) => {
    const guest = world.guest("unixstream", 9);
    const port = closedPort();
    world.session.publish({
      protocol: "tcp",
      hostAddress: "127.0.0.1",
      hostPort: port,
      guestPort: 80,
      guestAddress: "192.168.127.9",
    });
    const accepted = guestListen(guest, guest.address, 80);
    const client = hostConnect(world.reactor, port);
    world.until(() => accepted.length === 1, "the guest's connection");
    // The client is the host's loopback, which the guest could not answer: it stands behind the gateway.
    strictEqual(String(accepted[0]!.connection.remoteAddress), "192.168.127.1");
    strictEqual(String(accepted[0]!.connection.localAddress), "192.168.127.9");
    deepStrictEqual(world.session.forwards(), [{
      protocol: "tcp",
      host: `127.0.0.1:${port}`,
      guest: 80,
      guestAddress: "192.168.127.9",
    }]);
    client.close();
  }));

test("what guests' network numbers are is never dialled on the host's", () =>
  within((world) => {
    const guest = world.guest("unixstream", 9);
    // Not there: the guest's own ARP would fail, so it is sent to the gateway as a router would have it.
    guest.nic.neighbours.learn(ip("192.168.127.77"), world.stack.firstNic!.mac, world.now());
    const peer = guestConnect(guest, ip("192.168.127.77"), 80);
    world.until(() => world.counted("gateway.policy.guest") > 0, "the policy");
    ok(!peer.established);
  }));

test("a socket that a dead process left is taken over, a file or a live socket is not", () => {
  const world = new VmWorld();
  const listen = (path: string) =>
    new VmWorld({}, { listen: [{ kind: "unixstream", path, offload: NO_WIRE_OFFLOAD }] });
  try {
    const file = join(world.directory, "file");
    writeFileSync(file, "precious");
    throws(() => listen(file), /the file exists, and is no socket/);
    throws(() => listen(world.path("unixstream")), /another process listens there/);
    throws(() => listen(world.path("unixgram")), /another process listens there/);
    throws(() => listen(join(world.directory, "no", "such")), /no such directory/);
    const stale = join(world.directory, "stale");
    close(listenUnix("stream", stale));
    ok(existsSync(stale));
    const second = listen(stale);
    ok(existsSync(stale));
    second.close();
    ok(!existsSync(stale), "the name goes with us");
  } finally {
    world.close();
  }
  for (const transport of TRANSPORTS) ok(!existsSync(world.path(transport)));
});
