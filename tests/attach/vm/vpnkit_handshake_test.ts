import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PATIENCE } from "../../../lib/attach/vm/vpnkit_handshake.ts";
import { SOCK } from "../../../lib/host/constants.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { NativeMemory } from "../../../lib/host/memory.ts";
import { close, read, write } from "../../../lib/host/sys.ts";
import { dialUnix } from "../../../lib/host/unix_socket.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { ip, type VmWorld, vpnkitHello, within } from "../../support/vm_world.ts";
import { toHex } from "../../support/bytes.ts";

const UUID = "c3d68012-0208-11ea-9fd7-f2189899ab08";
const MACS = { vpnkitMacs: { [UUID]: "5a:94:ef:e4:0c:ee" } };

/** A machine monitor that is nothing but a socket. */
function dial(world: VmWorld) {
  const fd = dialUnix(SOCK.STREAM, world.path("vpnkit"));
  const memory = new NativeMemory(4_096);
  return {
    send(bytes: Uint8Array): number {
      memory.bytes.set(bytes);
      return write(fd, memory.address, bytes.length);
    },
    /** What has come so far; undefined: the other end is gone. */
    heard(most = 4_096): Uint8Array | undefined {
      const n = read(fd, memory.address, most);
      return n === -Errno.EAGAIN ? new Uint8Array() : n <= 0 ? undefined : memory.bytes.slice(0, n);
    },
    exactly(count: number): Uint8Array {
      const all = new Uint8Array(count);
      let got = 0;
      world.until(() => {
        const bytes = this.heard(count - got);
        if (bytes === undefined) throw new Error(`The end after ${got} bytes`);
        all.set(bytes, got);
        return (got += bytes.length) === count;
      }, `${count} bytes`);
      return all;
    },
    close: () => close(fd),
  };
}

for (
  const [what, uuid, mac] of [
    ["a machine that is known", UUID, /^5a94efe40cee$/],
    ["the same in capitals", UUID.toUpperCase(), /^5a94efe40cee$/],
    ["a machine that is not", UUID.replace("c3", "c4"), /^[0-9a-f][26ae]/],
    ["no UUID at all", "", /^[0-9a-f][26ae]/],
  ] as const
) {
  test(`the handshake: ${what} hears its first message again, its MTU and its address`, () =>
    within(
      (world) => {
        const guest = dial(world);
        const hello = vpnkitHello(uuid);
        guest.send(hello.subarray(0, 49));
        deepEqual(guest.exactly(49), hello.subarray(0, 49));
        guest.send(hello.subarray(49));
        const reply = toHex(guest.exactly(258));
        // 1, 1500, 1514, the address, zeros.
        match(reply, /^01dc05ea05/);
        match(reply.slice(10, 22), mac);
        match(reply.slice(22), /^(00){247}$/);
        guest.close();
      },
      {},
      MACS,
    ));
}

test("in whatever pieces a handshake comes, what follows it are frames", () =>
  within((world) => {
    const arp = Uint8Array.from([
      ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
      ...[2, 0, 0, 0, 0, 9, 192, 168, 127, 9, 0, 0, 0, 0, 0, 0, 192, 168, 127, 1],
    ]);
    const all = Uint8Array.from([...vpnkitHello(UUID), arp.length, 0, ...arp]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 9 }), (cuts) => {
        const guest = dial(world);
        for (let at = 0, i = 0; at < all.length; i++) {
          const n = Math.min(cuts[i % cuts.length]!, all.length - at);
          equal(guest.send(all.subarray(at, at + n)), n);
          at += n;
          world.turn();
        }
        guest.exactly(49 + 258);
        // Perhaps after what is said to everybody: 192.168.127.1 is at …
        let stream = "";
        world.until(() => {
          stream += toHex(guest.heard() ?? new Uint8Array());
          return /2a000200000000095a94efe40cdd08060001080006040002/.test(stream);
        }, "the answer to ARP");
        guest.close();
        world.idle(3);
      }),
      { numRuns: 15 },
    );
  }));

test("who does not end the handshake is sent away when its time is over, and holds up nobody", () =>
  within((world) => {
    const idle = dial(world), half = dial(world), gone = dial(world);
    half.send(vpnkitHello(UUID).subarray(0, 60));
    gone.send(vpnkitHello(UUID).subarray(0, 20));
    half.exactly(49);
    equal(world.session.serving!().guests.length, 3);
    gone.close();
    world.until(() => world.session.serving!().guests.length === 2, "the end of one");
    const guest = world.guest("vpnkit", 5);
    ok(world.pings(guest, ip("192.168.127.1")));
    equal(world.counted("vm.handshake-timeout"), 0);
    world.session.poll(world.now() + PATIENCE as Instant);
    equal(world.counted("vm.handshake-timeout"), 2);
    deepEqual([idle.heard(), half.heard()], [undefined, undefined]);
    ok(world.pings(guest, ip("192.168.127.1")), "whose handshake is over stays");
    idle.close();
    half.close();
  }));

test("what others say to everybody waits for who is in the handshake", () =>
  within((world) => {
    const late = dial(world);
    world.idle(3);
    const guest = world.guest("unixstream", 5);
    ok(world.pings(guest, ip("192.168.127.1")));
    const queued = world.session.serving!().guests.find(({ macs }) => macs.length === 0)!.queued;
    ok(queued > 0);
    late.send(vpnkitHello(UUID));
    late.exactly(49 + 258);
    // At least the question for the gateway's address.
    match(toHex(late.exactly(2 + 14)), /^[0-9a-f]{4}(ffffffffffff|3333)/);
    late.close();
  }));
