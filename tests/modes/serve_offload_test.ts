/** Guests that take long frames and unfinished checksums, guests that do not, and what becomes of what they leave undone. */

import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { DRIVER_FEATURES, NO_WIRE_OFFLOAD, offloadOf, type WireOffload } from "../../lib/link/offload.ts";
import { payload } from "../support/payload.ts";
import { ip, type Transport, type VmGuest, VmWorld } from "../support/vm_world.ts";
import { guestConnect, guestListen, type GuestPeer } from "../uplink/gateway/guest_peers.ts";
import { HostServer } from "../uplink/gateway/host_peers.ts";

const { checksums, tcp4, tcp6 } = DRIVER_FEATURES;
const TSO = offloadOf(checksums | tcp4 | tcp6, DRIVER_FEATURES, 0);
const HEADER = offloadOf(checksums | tcp4 | tcp6, DRIVER_FEATURES, 12);
const BARE_HEADER = offloadOf(0, DRIVER_FEATURES, 12);
/** What libkrun's guest leaves undone without a word. */
const LIBKRUN: WireOffload = { ...TSO, checksums: true };
const USUAL = 1_514, BODY = payload(400_000);

function within(takes: Partial<Record<Transport, WireOffload>>, body: (world: VmWorld) => void): void {
  const world = new VmWorld({}, {}, takes);
  try {
    body(world);
  } finally {
    world.close();
  }
}

/** Everything that arrives at the first of `peers`, once all of it is there. */
function collect(world: VmWorld, peers: readonly GuestPeer[]): Uint8Array {
  const got = new Uint8Array(BODY.length);
  let at = 0;
  const sink = (bytes: ArrayLike<number>) => {
    got.set(bytes, at);
    at += bytes.length;
  };
  world.until(() => {
    const peer = peers[0];
    if (peer !== undefined && peer.sink === undefined) {
      peer.sink = sink;
      sink(peer.received);
    }
    return at === BODY.length;
  }, "all bytes");
  return got;
}

/** A writer that goes on as there is room. */
function pour(peer: GuestPeer): void {
  let sent = 0;
  peer.onWritable = () => {
    for (let n = 1; sent < BODY.length && n > 0; sent += n) {
      n = peer.write(BODY.subarray(sent, sent + 65_536));
    }
  };
}

/** One guest sends to the other, by both families. */
function exchange(world: VmWorld, from: VmGuest, to: VmGuest, port: number): void {
  for (const address of [to.address, ip(`fd00::${to.nic.mac.low.toString(16)}`)]) {
    const accepted = guestListen(to, address, port);
    pour(guestConnect(from, address, port));
    deepEqual(collect(world, accepted), BODY, String(address));
  }
}

const PAIRS: readonly [
  from: Transport,
  leaves: WireOffload,
  to: Transport,
  takes: Partial<Record<Transport, WireOffload>>,
  long: boolean,
][] = [
  ["unixgram", LIBKRUN, "unixstream", {}, false],
  ["unixstream", LIBKRUN, "unixgram", {}, false],
  ["unixpacket", LIBKRUN, "unixpacket", {}, false],
  ["unixgram", LIBKRUN, "unixstream", { unixstream: TSO }, true],
  ["unixstream", LIBKRUN, "unixgram", { unixgram: TSO }, true],
  ["unixgram", HEADER, "unixstream", { unixgram: HEADER }, false],
  ["unixstream", HEADER, "unixgram", { unixstream: HEADER, unixgram: HEADER }, true],
  ["unixgram", NO_WIRE_OFFLOAD, "unixpacket", { unixpacket: TSO }, false],
];

for (const [from, leaves, to, takes, long] of PAIRS) {
  const left = leaves === LIBKRUN ? "unsaid" : leaves === HEADER ? "said in headers" : "nothing";
  const name = `${from} with ${left} left undone → ${to} that takes ${long ? "long frames" : "usual ones"}`;
  test(`guests with each other: ${name}`, () =>
    within(takes, (world) => {
      const a = world.guest(from, 5, 1_500, leaves);
      const b = world.guest(to, 6, 1_500, takes[to] ?? NO_WIRE_OFFLOAD);
      exchange(world, a, b, 700);
      equal(b.longest() > USUAL, long, `${b.longest()} bytes`);
      for (const why of ["malformed", "too-long"]) equal(world.counted(`switch.${why}`), 0, why);
    }));
}

const DOWNLOADS: readonly [kind: Transport, takes: WireOffload, long: boolean][] = [
  ["unixgram", NO_WIRE_OFFLOAD, false],
  ["unixgram", TSO, true],
  ["unixgram", HEADER, true],
  ["unixgram", BARE_HEADER, false],
  ["unixstream", TSO, true],
  ["unixstream", HEADER, true],
  ["unixstream", BARE_HEADER, false],
  ["unixpacket", TSO, true],
];
for (const [kind, takes, long] of DOWNLOADS) {
  const { vnetHeader } = takes;
  test(`the gateway sends ${long ? "long" : "usual"} frames on ${kind}, header of ${vnetHeader}, and takes any`, () =>
    within({ [kind]: takes }, (world) => {
      const guest = world.guest(kind, 5, 1_500, vnetHeader > 0 ? takes : LIBKRUN);
      const other = world.guest(kind === "unixgram" ? "unixstream" : "unixgram", 6);
      const server = new HostServer(world.reactor, (peer) => peer.echo = true);
      try {
        for (const one of [guest, other]) {
          const peer = guestConnect(one, ip("192.168.127.1"), server.port);
          let sent = 0, at = 0;
          const echoed = new Uint8Array(BODY.length);
          peer.sink = (bytes) => {
            echoed.set(bytes, at);
            at += bytes.length;
          };
          world.until(() => {
            // What the host's echo cannot write at once is lost: never more on the way than its buffers hold.
            for (
              let n = 1;
              peer.established && sent < BODY.length && sent - at < 65_536 && n > 0;
              sent += n
            ) {
              n = peer.write(BODY.subarray(sent, Math.min(sent + 65_536, BODY.length)));
            }
            return at === BODY.length;
          }, "the echo");
          deepEqual(echoed, BODY);
        }
        equal(guest.longest() > USUAL, long, `${guest.longest()} bytes`);
        ok(other.longest() <= USUAL, `${other.longest()} bytes to a guest that takes none`);
      } finally {
        server.close();
      }
    }));
}
