import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { SOCK } from "../../lib/host/constants.ts";
import { udpSocket } from "../../lib/host/inet.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { RouteNetlink } from "../../lib/host/rtnetlink.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { SocketAddress, writeSockaddr } from "../../lib/host/structs.ts";
import { localAddress } from "../../lib/host/inet.ts";
import { close, read, recv, sendto, write } from "../../lib/host/sys.ts";
import { openTap, VNET_HEADER } from "../../lib/host/tun.ts";
import { TapLink } from "../../lib/link/tap.ts";
import { Checksum, Gso, HEADROOM, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { startChecksum } from "../../lib/stack/wire/checksum.ts";
import { emitEthernet, EtherType, MacAddress } from "../../lib/stack/wire/ethernet.ts";
import { IpProtocol } from "../../lib/stack/wire/ip.ts";
import { emitIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { emitUdp, UDP_CHECKSUM } from "../../lib/stack/wire/udp.ts";
import { needs } from "../support/capability.ts";
import { inNewNetns } from "../support/netns.ts";

const ETHERNET = 14;

/** A link whose far end is a datagram socket: what the kernel's side of a TAP reads and writes, byte for byte. */
function withWire(body: (link: TapLink, far: number, pool: BufferPool) => void): void {
  const [near, far] = socketPair(SOCK.DGRAM | SOCK.NONBLOCK);
  const pool = new BufferPool(addressOf);
  const link = new TapLink({ fd: near, mtu: 1_500, pool, gso: true });
  try {
    body(link, far, pool);
  } finally {
    link.close();
    close(near);
    close(far);
  }
}

interface Vnet {
  flags?: number;
  gsoType?: number;
  gsoSize?: number;
  start?: number;
  offset?: number;
}

function inject(
  far: number,
  { flags = 0, gsoType = 0, gsoSize = 0, start = 0, offset = 0 }: Vnet,
  length: number,
): void {
  const memory = new NativeMemory(VNET_HEADER + length);
  const { view, bytes } = memory;
  for (let i = 0; i < length; i++) bytes[VNET_HEADER + i] = i;
  view.setUint8(0, flags);
  view.setUint8(1, gsoType);
  view.setUint16(4, gsoSize, true);
  view.setUint16(6, start, true);
  view.setUint16(8, offset, true);
  strictEqual(write(far, memory.address, VNET_HEADER + length), VNET_HEADER + length);
}

test("receive() maps the vnet header to checksum and segmentation", () => {
  withWire((link, far) => {
    strictEqual(link.receive(), undefined);
    inject(far, { flags: 2 }, 60);
    const valid = link.receive()!;
    deepStrictEqual([valid.start, valid.length, valid.checksum, valid.gso], [
      HEADROOM,
      60,
      Checksum.valid,
      Gso.none,
    ]);
    strictEqual(valid.bytes[valid.start + 59], 59);
    valid.release();

    inject(far, { flags: 1, gsoType: 0x80 | 1, gsoSize: 1_448, start: 34, offset: 16 }, 60_000);
    const big = link.receive()!;
    deepStrictEqual([big.length, big.gso, big.gsoSize], [60_000, Gso.tcp4, 1_448]);
    deepStrictEqual([big.checksum, big.checksumStart - big.start, big.checksumOffset], [
      Checksum.partial,
      34,
      16,
    ]);
    strictEqual(big.bytes[big.start + 59_999], 59_999 & 0xff);

    inject(far, { flags: 1, start: 54, offset: 6 }, 90);
    const small = link.receive()!;
    deepStrictEqual([small.checksumStart - small.start, small.gso], [54, Gso.none]);
    ok(small.bytes.length < 1_000, "a short frame keeps a large buffer alive");
    small.release();
    big.release();
    deepStrictEqual([link.counters.rxFrames, link.counters.rxMalformed], [3, 0]);
  });
});

const HOSTILE: readonly (readonly [why: string, vnet: Vnet, length: number])[] = [
  ["a frame shorter than an Ethernet header", {}, 13],
  ["a checksum that begins in the Ethernet header", { flags: 1, start: 13, offset: 0 }, 60],
  ["a checksum field behind the end", { flags: 1, start: 34, offset: 25 }, 60],
  ["a checksum field far behind the end", { flags: 1, start: 0xffff, offset: 0xffff }, 60],
  ["segments of no size", { flags: 1, gsoType: 1, gsoSize: 0, start: 34, offset: 16 }, 2_000],
  ["segments without a checksum to complete", { gsoType: 1, gsoSize: 1_448 }, 2_000],
  [
    "segmentation that was not offered",
    { flags: 1, gsoType: 3, gsoSize: 1_448, start: 34, offset: 6 },
    2_000,
  ],
  [
    "segmentation that does not exist",
    { flags: 1, gsoType: 0x7f, gsoSize: 1_448, start: 34, offset: 6 },
    2_000,
  ],
];
for (const [why, vnet, length] of HOSTILE) {
  test(`receive() drops ${why}, and goes on`, () => {
    withWire((link, far) => {
      inject(far, vnet, length);
      inject(far, {}, 100);
      strictEqual(link.receive()?.length, 100);
      strictEqual(link.receive(), undefined);
      strictEqual(link.counters.rxMalformed, 1);
    });
  });
}

test("receive() survives a datagram shorter than the vnet header", () => {
  withWire((link, far) => {
    const memory = new NativeMemory(8);
    write(far, memory.address, 3);
    strictEqual(link.receive(), undefined);
    strictEqual(link.counters.rxMalformed, 1);
  });
});

/** A frame of headers in one buffer and payload by reference in others. */
function gathered(pool: BufferPool, payloads: readonly PacketBuffer[]): PacketBuffer {
  const frame = pool.take(54);
  for (let i = 0; i < 54; i++) frame.bytes[frame.start + i] = 0x80 + i;
  frame.end = frame.start + 54;
  frame.bytes[frame.start + 34 + 12] = 5 << 4;
  frame.checksum = Checksum.partial;
  frame.checksumStart = frame.start + 34;
  frame.checksumOffset = 16;
  frame.gso = Gso.tcp4;
  frame.gsoSize = 100;
  for (const payload of payloads) {
    frame.attach(payload, payload.start, payload.end);
    payload.release();
  }
  return frame;
}

function payloadOf(bytes: readonly number[], buffer: PacketBuffer): PacketBuffer {
  buffer.bytes.set(bytes, buffer.start);
  buffer.end = buffer.start + bytes.length;
  return buffer;
}

test("transmit() gathers headers and fragments into one frame without a copy", () => {
  withWire((link, far, pool) => {
    const first = payloadOf([1, 2, 3], pool.take(3)), second = payloadOf([4, 5], pool.take(2));
    ok(link.transmit(gathered(pool, [first, second])));
    const into = new NativeMemory(256);
    strictEqual(read(far, into.address, 256), VNET_HEADER + 54 + 5);
    const { view, bytes } = into;
    deepStrictEqual([view.getUint8(0), view.getUint8(1)], [1, 1]);
    deepStrictEqual([2, 4, 6, 8].map((at) => view.getUint16(at, true)), [54, 100, 34, 16]);
    strictEqual(bytes[VNET_HEADER], 0x80);
    deepStrictEqual([...bytes.subarray(VNET_HEADER + 54, VNET_HEADER + 59)], [1, 2, 3, 4, 5]);
    deepStrictEqual([first.references, second.references], [0, 0]);
    deepStrictEqual([link.counters.txFrames, link.counters.txBytes, link.counters.txCopied], [1, 59, 0]);
  });
});

test("transmit() copies a fragment that has no address, and many fragments", () => {
  withWire((link, far, pool) => {
    const foreign = payloadOf([7, 8], new PacketBuffer(new Uint8Array(16), 4, 4));
    ok(link.transmit(gathered(pool, [foreign])));
    const into = new NativeMemory(512);
    strictEqual(read(far, into.address, 512), VNET_HEADER + 56);
    deepStrictEqual([...into.bytes.subarray(VNET_HEADER + 54, VNET_HEADER + 56)], [7, 8]);
    strictEqual(into.view.getUint16(6, true), 34);
    ok(link.transmit(gathered(pool, Array.from({ length: 100 }, (_, i) => payloadOf([i], pool.take(1))))));
    strictEqual(read(far, into.address, 512), VNET_HEADER + 154);
    strictEqual(into.bytes[VNET_HEADER + 153], 99);
    strictEqual(link.counters.txCopied, 2);
  });
});

test("transmit() leaves the frame to its sender when the wire is full", () => {
  withWire((link, far, pool) => {
    const make = () => {
      const frame = pool.take(1_000);
      frame.end = frame.start + 1_000;
      return frame;
    };
    let sent = 0, frame = make();
    while (link.transmit(frame)) {
      ok(++sent < 10_000, "the wire is never full");
      frame = make();
    }
    strictEqual(frame.references, 1);
    strictEqual(link.counters.txBusy, 1);
    const into = new NativeMemory(2_048);
    for (let i = 0; i < sent; i++) read(far, into.address, 2_048);
    ok(link.transmit(frame));
    strictEqual(link.counters.txFrames, sent + 1);
  });
});

test("TapLink() refuses a pool whose buffers have no addresses", () => {
  throws(() => new TapLink({ fd: -1, mtu: 1_500, pool: new BufferPool(), gso: false }), TypeError);
});

/** Datagrams of 100 and 40 bytes from 10.0.2.2, port 9, to 10.0.2.100. */
function joined(pool: BufferPool, port: number): PacketBuffer {
  const payload = pool.take(140);
  payload.end = payload.start + 140;
  payload.bytes.fill(0xbb, payload.start, payload.end);
  const frame = pool.take(0);
  frame.gso = Gso.datagrams;
  frame.gsoSize = 100;
  frame.attach(payload, payload.start, payload.start + 100);
  frame.attach(payload, payload.start + 100, payload.end);
  payload.release();
  const [source, destination] = [IpAddress.v4(0x0a000202), IpAddress.v4(0x0a000264)];
  emitUdp(frame, 9, port);
  startChecksum(frame, source, destination, IpProtocol.udp, UDP_CHECKSUM);
  const header = { source, destination, protocol: IpProtocol.udp, hopLimit: 64, trafficClass: 0 };
  emitIpv4(frame, { ...header, identification: 1, dontFragment: false }, frame.totalLength);
  emitEthernet(frame, new MacAddress(0x0200, 1), new MacAddress(0x0200, 2), EtherType.ipv4);
  return frame;
}

test(
  "TapLink carries frames between us and a kernel that leaves checksums to us",
  needs("root", "tun"),
  () => {
    inNewNetns(() => {
      const pool = new BufferPool(addressOf);
      const tap = openTap("eth0");
      const netlink = new RouteNetlink();
      const { index } = netlink.link("eth0");
      netlink.setMac(index, "02:00:00:00:00:01");
      netlink.setLinkUp(index);
      netlink.addAddress(index, { family: 4, a: 0, b: 0, c: 0xffff, d: 0x0a000264 }, 24);
      netlink.close();
      const socket = udpSocket(4, { family: 4, a: 0, b: 0, c: 0xffff, d: 0x0a000264 }, 0);
      const link = new TapLink({ fd: tap.fd, mtu: 1_500, pool, gso: true });

      // The datagram waits in the kernel until the gateway's hardware address is known.
      const memory = new NativeMemory(256);
      memory.bytes.fill(0xaa, 0, 100);
      const name = writeSockaddr(memory.view, 128, { family: 4, a: 0, b: 0, c: 0xffff, d: 0x0a000202 }, 9);
      strictEqual(sendto(socket, memory.address, 100, 0, memory.address + 128, name), 100);
      let arp: PacketBuffer | undefined;
      for (;;) {
        arp = link.receive();
        ok(arp !== undefined, "the kernel asked nobody for the gateway");
        if (arp.view.getUint16(arp.start + 12) === 0x0806) break;
        arp.release();
      }
      // The request becomes its answer: we are 10.0.2.2 at 02:00:00:00:00:02.
      const { view, start, bytes } = arp;
      bytes.copyWithin(start, start + 6, start + 12);
      bytes.set([2, 0, 0, 0, 0, 2], start + 6);
      view.setUint16(start + 20, 2);
      bytes.copyWithin(start + 32, start + 22, start + 32);
      bytes.set([2, 0, 0, 0, 0, 2, 10, 0, 2, 2], start + 22);
      ok(link.transmit(arp));

      let datagram: PacketBuffer | undefined;
      for (;;) {
        datagram = link.receive();
        ok(datagram !== undefined, "the datagram never came");
        if (datagram.view.getUint16(datagram.start + 12) === 0x0800) break;
        datagram.release();
      }
      strictEqual(datagram.length, ETHERNET + 20 + 8 + 100);
      strictEqual(datagram.checksum, Checksum.partial);
      strictEqual(datagram.checksumStart - datagram.start, 34);

      // Back to the sender, payload by reference, checksum still partial: swapping the ends leaves its sum as it is.
      const local = new SocketAddress();
      ok(localAddress(socket, local));
      const reply = pool.take(42);
      reply.end = reply.start + 42;
      reply.bytes.set(datagram.bytes.subarray(datagram.start, datagram.start + 42), reply.start);
      reply.bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], reply.start);
      reply.bytes.set([10, 0, 2, 2, 10, 0, 2, 100], reply.start + 26);
      reply.view.setUint16(reply.start + 34, 9);
      reply.view.setUint16(reply.start + 36, local.port);
      reply.checksum = Checksum.partial;
      reply.checksumStart = reply.start + 34;
      reply.checksumOffset = 6;
      reply.attach(datagram, datagram.start + 42, datagram.end);
      datagram.release();
      ok(link.transmit(reply));
      strictEqual(recv(socket, memory.address, 256, 0x40), 100);
      strictEqual(memory.bytes[99], 0xaa);

      // Two datagrams behind one header, the second one shorter: the kernel cuts them, if it knows how (Linux 6.2).
      ok(link.transmit(joined(pool, local.port)));
      if (link.capabilities.datagrams) {
        strictEqual(recv(socket, memory.address, 256, 0x40), 100);
        strictEqual(recv(socket, memory.address, 256, 0x40), 40);
        strictEqual(memory.bytes[39], 0xbb);
      }
      strictEqual(link.counters.txCopied, 0);
      strictEqual(link.counters.txErrors, link.capabilities.datagrams ? 0 : 1);
      link.close();
      close(socket);
      close(tap.fd);
    });
  },
);
