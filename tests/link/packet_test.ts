/**
 * The link over a packet socket, on a TAP whose far end is the test.
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { release } from "node:os";
import { test } from "node:test";
import { NativeMemory } from "../../lib/host/memory.ts";
import { openPacketSocket } from "../../lib/host/packet_socket.ts";
import { RouteNetlink } from "../../lib/host/rtnetlink.ts";
import { addressOf, close, read, write } from "../../lib/host/sys.ts";
import { openTap, VNET_HEADER } from "../../lib/host/tun.ts";
import { writeText } from "../../lib/host/files.ts";
import { PacketLink } from "../../lib/link/packet.ts";
import { Checksum, Gso, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { hex } from "../support/bytes.ts";
import { needs } from "../support/capability.ts";
import { FRAMES } from "../support/frames.ts";
import { inNewNetns } from "../support/netns.ts";

const NO_HEADER = new Uint8Array(VNET_HEADER);

/** A link and the far end of its wire. */
interface Wire {
  readonly link: PacketLink;
  readonly pool: BufferPool;
  /** Puts a frame with its virtio-net header on the wire. */
  send(header: Uint8Array, frame: Uint8Array): void;
  /** What has left the link: header and frame, or undefined. */
  left(): Uint8Array | undefined;
}

function withWire(body: (wire: Wire) => void, rxChecksum = true): void {
  inNewNetns(() => {
    const tap = openTap("eth0");
    const netlink = new RouteNetlink();
    const { index } = netlink.link("eth0");
    // A kernel that is silent: it would send of its own accord.
    writeText("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");
    netlink.setLinkUp(index);
    const fd = openPacketSocket(index);
    const pool = new BufferPool(addressOf);
    const link = new PacketLink({
      fd,
      mtu: 1_500,
      pool,
      gsoMaxSize: 65_535,
      txChecksum: true,
      rxChecksum,
    });
    const memory = new NativeMemory(70_000);
    try {
      body({
        link,
        pool,
        send(header, frame) {
          memory.bytes.set(header);
          memory.bytes.set(frame, header.length);
          ok(write(tap.fd, memory.address, header.length + frame.length) > 0);
        },
        left() {
          const length = read(tap.fd, memory.address, memory.bytes.length);
          return length < 0 ? undefined : memory.bytes.slice(0, length);
        },
      });
    } finally {
      link.close();
      close(fd);
      netlink.close();
      close(tap.fd);
    }
  });
}

function all(link: PacketLink): PacketBuffer[] {
  const frames: PacketBuffer[] = [];
  // Undefined once may only mean that the last batch was not full.
  for (let dry = 0; dry < 2;) {
    const frame = link.receive();
    if (frame === undefined) dry++;
    else frames.push(frame);
  }
  return frames;
}

const MACHINE = needs("root", "netns", "tun");

test(
  "PacketLink.receive() brings frames in order, many by one call",
  MACHINE,
  () =>
    withWire(({ link, send }) => {
      for (let i = 0; i < 40; i++) send(NO_HEADER, Uint8Array.of(...FRAMES.arpRequest, i));
      const frames = all(link);
      deepStrictEqual(
        frames.map((frame) => frame.bytes[frame.end - 1]),
        Array.from({ length: 40 }, (_, i) => i),
      );
      strictEqual(link.counters.rxFrames, 40);
      frames.forEach((frame) => frame.release());
    }),
);

test(
  "PacketLink hears nothing of what it sends, nor of a VLAN",
  MACHINE,
  () =>
    withWire(({ link, pool, send, left }) => {
      const frame = pool.take(100);
      frame.bytes.set(FRAMES.arpRequest, frame.start);
      frame.end = frame.start + FRAMES.arpRequest.length;
      ok(link.transmit(frame));
      deepStrictEqual(left()!.subarray(VNET_HEADER), FRAMES.arpRequest);
      const tagged = Uint8Array.of(
        ...FRAMES.echoRequest4.subarray(0, 12),
        0x81,
        0,
        0,
        5,
        ...FRAMES.echoRequest4.subarray(12),
      );
      send(NO_HEADER, tagged);
      send(NO_HEADER, FRAMES.arpRequest);
      const frames = all(link);
      deepStrictEqual(frames.map((one) => one.toBytes()), [FRAMES.arpRequest]);
    }),
);

/** flags NEEDS_CSUM, gso_type, hdr_len, gso_size, csum_start, csum_offset. */
function vnet(kind: number, size: number, headers: number, start: number, offset: number): Uint8Array {
  const bytes = new Uint8Array(VNET_HEADER);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 1);
  view.setUint8(1, kind);
  view.setUint16(2, headers, true);
  view.setUint16(4, size, true);
  view.setUint16(6, start, true);
  view.setUint16(8, offset, true);
  return bytes;
}

test("PacketLink carries super-packets both ways", MACHINE, () =>
  withWire(({ link, pool, send, left }) => {
    const payload = new Uint8Array(20_000).map((_, i) => i * 7);
    const big = Uint8Array.of(...FRAMES.ack4, ...payload);
    new DataView(big.buffer).setUint16(16, big.length - 14);
    const headers = FRAMES.ack4.length;
    send(vnet(1, 1_448, headers, 34, 16), big);
    const [frame] = all(link);
    strictEqual(frame!.gso, Gso.tcp4);
    strictEqual(frame!.gsoSize, 1_448);
    strictEqual(frame!.checksum, Checksum.partial);
    strictEqual(frame!.checksumStart - frame!.start, 34);
    deepStrictEqual(frame!.toBytes(), big);
    // Sent again, its payload by reference, it leaves as it came.
    const copy = pool.take(headers);
    copy.bytes.set(FRAMES.ack4, copy.start);
    copy.view.setUint16(copy.start + 16, big.length - 14);
    copy.end = copy.start + headers;
    copy.attach(frame!, frame!.start + headers, frame!.end);
    copy.gso = Gso.tcp4;
    copy.gsoSize = 1_448;
    copy.checksum = Checksum.partial;
    copy.checksumStart = copy.start + 34;
    copy.checksumOffset = 16;
    frame!.release();
    ok(link.transmit(copy));
    const out = left()!;
    strictEqual(out[1], 1);
    deepStrictEqual(out.subarray(VNET_HEADER), big);
    strictEqual(link.counters.txErrors, 0);
  }));

/** Whether a TAP takes frames of several UDP datagrams (`VIRTIO_NET_HDR_GSO_UDP_L4`): Linux ≥ 6.2. */
function takesDatagrams(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return major > 6 || major === 6 && minor >= 2;
}
const NEW_KERNEL = takesDatagrams() ? MACHINE : { skip: "needs Linux 6.2" };

test("PacketLink cuts a frame of several datagrams", NEW_KERNEL, () =>
  withWire(({ link, send }) => {
    const headers = FRAMES.udp4.subarray(0, 42);
    const frame = Uint8Array.of(...headers, ...new Uint8Array(2_500).fill(9));
    const view = new DataView(frame.buffer);
    view.setUint16(16, frame.length - 14);
    view.setUint16(38, frame.length - 34);
    send(vnet(5, 1_000, 42, 34, 6), frame);
    send(NO_HEADER, FRAMES.arpRequest);
    const frames = all(link);
    deepStrictEqual(frames.map((one) => one.length), [1_042, 1_042, 542, FRAMES.arpRequest.length]);
    ok(frames.every((one) => one.gso === Gso.none));
  }));

test(
  "PacketLink hands on a frame that is nothing but its Ethernet header",
  MACHINE,
  () =>
    withWire(({ link, send }) => {
      send(NO_HEADER, hex("0200000000010200000000020800"));
      send(NO_HEADER, FRAMES.arpRequest);
      const frames = all(link);
      deepStrictEqual(frames.map((one) => one.length), [14, FRAMES.arpRequest.length]);
      ok(Object.values(link.problems("eth0")).every((count) => count === 0));
    }),
);

test(
  "PacketLink believes nobody's checksums when it is told so",
  MACHINE,
  () =>
    withWire(({ link, send }) => {
      const header = new Uint8Array(VNET_HEADER);
      header[0] = 2;
      send(header, FRAMES.udp4);
      deepStrictEqual(all(link).map(({ checksum }) => checksum), [Checksum.unknown]);
    }, false),
);
