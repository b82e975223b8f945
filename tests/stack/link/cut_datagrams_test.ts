import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Checksum, Gso, HEADROOM, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { DatagramCutter } from "../../../lib/stack/link/cut_datagrams.ts";
import { EthernetHeader, parseEthernet } from "../../../lib/stack/wire/ethernet.ts";
import { IpHeader } from "../../../lib/stack/wire/ip.ts";
import { parseIpv4 } from "../../../lib/stack/wire/ipv4.ts";
import { parseIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { hex } from "../../support/bytes.ts";

const HEADERS = {
  4: hex(
    "020000000001 020000000002 0800 4500 0000 00ff 4000 4011 0000 0a000001 0a000002 1000 2000 0000 0000",
  ),
  6: hex(`020000000001 020000000002 86dd 6000 0000 0000 1140 fd000000000000000000000000000001
    fd000000000000000000000000000002 1000 2000 0000 0000`),
};

/** A frame with `payload` bytes 0, 1, 2 … behind one UDP header, `size` of them to a datagram. */
function frame(family: 4 | 6, payload: number, size: number): PacketBuffer {
  const headers = HEADERS[family];
  const bytes = new Uint8Array(HEADROOM + headers.length + payload);
  bytes.set(headers, HEADROOM);
  for (let i = 0; i < payload; i++) bytes[HEADROOM + headers.length + i] = i;
  const packet = new PacketBuffer(bytes, HEADROOM);
  packet.gso = Gso.datagrams;
  packet.gsoSize = size;
  packet.checksum = Checksum.partial;
  packet.checksumStart = HEADROOM + headers.length - 8;
  packet.checksumOffset = 6;
  return packet;
}

for (const family of [4, 6] as const) {
  test(`DatagramCutter makes each datagram of IPv${family} whole`, () => {
    const cutter = new DatagramCutter(new BufferPool());
    ok(cutter.begin(frame(family, 25, 10)));
    const ip = new IpHeader();
    const seen: number[][] = [];
    const identifications: number[] = [];
    for (let part = cutter.next(); part !== undefined; part = cutter.next()) {
      strictEqual(part.checksum, Checksum.partial);
      strictEqual(part.gso, Gso.none);
      strictEqual(parseEthernet(part, new EthernetHeader()), undefined);
      strictEqual(family === 4 ? parseIpv4(part, ip, true) : parseIpv6(part, ip), undefined);
      strictEqual(part.start, part.checksumStart);
      const udp = part.consume(8);
      strictEqual(part.view.getUint16(udp + 4), 8 + part.length);
      if (family === 4) identifications.push(part.view.getUint16(udp - 16));
      seen.push([...part.bytes.subarray(part.start, part.end)]);
    }
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
    deepStrictEqual(seen, [range(0, 10), range(10, 20), range(20, 25)]);
    if (family === 4) deepStrictEqual(identifications, [0xff, 0x100, 0x101]);
  });
}

test("DatagramCutter refuses what is not such a frame, and leaves it to its owner", () => {
  const cutter = new DatagramCutter(new BufferPool());
  const spoils: readonly ((packet: PacketBuffer) => void)[] = [
    (packet) => packet.gso = Gso.tcp4,
    (packet) => packet.checksum = Checksum.valid,
    (packet) => packet.checksumStart = packet.end - 7,
    (packet) => packet.checksumStart = packet.start + 14,
    (packet) => packet.bytes[packet.start + 14] = 0x15,
    // An IPv6 packet whose UDP header would stand inside the IP header.
    (packet) => packet.bytes[packet.start + 14] = 0x60,
  ];
  for (const spoil of spoils) {
    const packet = frame(4, 20, 10);
    spoil(packet);
    strictEqual(cutter.begin(packet), false, String(spoil));
    strictEqual(packet.references, 1);
  }
  strictEqual(cutter.next(), undefined);
});

test("DatagramCutter makes one datagram per call, however many a frame asks for", () => {
  const pool = new BufferPool();
  const cutter = new DatagramCutter(pool);
  const packet = frame(4, 60_000, 1);
  ok(cutter.begin(packet));
  const first = cutter.next()!;
  strictEqual(first.length, HEADERS[4].length + 1);
  cutter.reset();
  strictEqual(cutter.next(), undefined);
  strictEqual(packet.references, 0);
});
