/** What guests leave undone for each other. */

import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { Unfinished } from "../../../lib/attach/vm/unfinished.ts";
import { Checksum, Gso, type PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { completeChecksum } from "../../../lib/stack/wire/checksum.ts";
import { TcpFlag } from "../../../lib/stack/wire/tcp.ts";
import { hex, tight, toHex } from "../../support/bytes.ts";
import { FRAMES } from "../../support/frames.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { segmentAll } from "../../support/segments.ts";
import { superPacket, type TcpFrame, tcpFrame } from "../../support/tcp_frame.ts";

const pool = new BufferPool();
const unfinished = new Unfinished(1_514);

/** As a guest without a virtio-net header sends it: nothing is said. */
function unsaid(packet: PacketBuffer): PacketBuffer {
  packet.gso = Gso.none;
  packet.gsoSize = 0;
  packet.checksum = Checksum.unknown;
  return packet;
}

for (const family of [4, 6] as const) {
  test(`TCP over IPv${family} that is too long for others is cut to what they have agreed on`, () => {
    const payload = randomBytes(seeded(1), 60_000);
    for (const flags of [TcpFlag.ack, TcpFlag.ack | TcpFlag.psh | TcpFlag.fin | TcpFlag.cwr]) {
      const packet = unsaid(superPacket({ family, payload, flags }, 1, pool));
      equal(unfinished.describe(packet), true);
      const size = 1_514 - 14 - (family === 4 ? 20 : 40) - 32;
      deepEqual([packet.gso, packet.gsoSize], [family === 4 ? Gso.tcp4 : Gso.tcp6, size]);
      const segments = segmentAll(packet, pool).map((one) => toHex(one.toBytes()));
      const expected = segmentAll(superPacket({ family, payload, flags }, size, pool), pool);
      deepEqual(segments, expected.map((one) => toHex(one.toBytes())));
    }
  });
}

test("a checksum that is not made is made, one that is stays as it is", () => {
  for (const [name, frame] of Object.entries(FRAMES)) {
    const packet = tight(frame);
    equal(unfinished.describe(packet), true, name);
    const partial = packet.checksum === Checksum.partial;
    equal(partial, name === "synAck4" || name === "data4", name);
    completeChecksum(packet);
    equal(toHex(packet.toBytes()) === toHex(frame), !partial, name);
  }
  // One that is right and looks undone by chance: summed again it is the same.
  for (let i = 0, found = 0; found < 1; i++) {
    const payload = Uint8Array.of(i >>> 8, i & 255);
    const packet = tcpFrame({ payload }, pool);
    const before = toHex(packet.toBytes());
    equal(unfinished.describe(packet), true);
    if (packet.checksum !== Checksum.partial) continue;
    completeChecksum(packet);
    equal(toHex(packet.toBytes()), before);
    found++;
  }
});

test("IPv6 and UDP have their checksums made, too", () => {
  for (const name of ["syn6", "udp4", "udp6"] as const) {
    const packet = tight(FRAMES[name]);
    const whole = toHex(FRAMES[name]);
    const at = name === "syn6" ? 54 + 16 : name === "udp4" ? 34 + 6 : 54 + 6;
    const addresses = name === "udp4" ? [26, 34] : [22, 54];
    let sum = (name === "syn6" ? 6 : 17) + packet.end - packet.start - addresses[1]!;
    for (let i = addresses[0]!; i < addresses[1]!; i += 2) sum += packet.view.getUint16(packet.start + i);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    packet.view.setUint16(packet.start + at, sum);
    equal(unfinished.describe(packet), true);
    equal(packet.checksum, Checksum.partial, name);
    completeChecksum(packet);
    equal(toHex(packet.toBytes()), whole, name);
  }
});

/** A long packet with something in it that is not for cutting; it keeps what it says of itself, and is too long. */
const UNCUTTABLE: Readonly<Record<string, (packet: PacketBuffer) => void>> = {
  "SYN": ({ view, start }) => view.setUint8(start + 34 + 13, TcpFlag.syn),
  "RST": ({ view, start }) => view.setUint8(start + 34 + 13, TcpFlag.rst | TcpFlag.ack),
  "urgent data": ({ view, start }) => view.setUint8(start + 34 + 13, TcpFlag.urg | TcpFlag.ack),
  "a TCP header that is too short": ({ view, start }) => view.setUint8(start + 34 + 12, 0x40),
  "an IP header with options": ({ view, start }) => view.setUint8(start + 14, 0x46),
  "a length that is not true": ({ view, start }) => view.setUint16(start + 16, 60_001),
  "a fragment": ({ view, start }) => view.setUint16(start + 20, 0x2000),
  "UDP": ({ view, start }) => view.setUint8(start + 23, 17),
  "a VLAN tag": ({ view, start }) => view.setUint16(start + 12, 0x8100),
};
for (const [what, spoil] of Object.entries(UNCUTTABLE)) {
  test(`not cut: ${what}`, () => {
    const packet = unsaid(superPacket({ payload: new Uint8Array(60_000) }, 1_448, pool));
    spoil(packet);
    const before = toHex(packet.toBytes());
    equal(unfinished.describe(packet), true);
    deepEqual([packet.gso, toHex(packet.toBytes()) === before], [Gso.none, true]);
    // And with a header that says it is.
    const told = superPacket({ payload: new Uint8Array(60_000) }, 1_448, pool);
    spoil(told);
    equal(unfinished.describe(told), false);
  });
}

const LIES: Readonly<Record<string, (packet: PacketBuffer) => void>> = {
  "another family": (packet) => packet.gso = Gso.tcp6,
  "UDP": (packet) => packet.gso = Gso.udp,
  "a checksum elsewhere": (packet) => packet.checksumStart++,
  "a checksum of UDP": (packet) => packet.checksumOffset = 6,
};
for (const [what, lie] of Object.entries(LIES)) {
  test(`a virtio-net header that is not true: ${what}`, () => {
    const packet = superPacket({ payload: new Uint8Array(9_000) }, 1_448, pool);
    lie(packet);
    equal(unfinished.describe(packet), false);
  });
}

test("segments are no longer than others take, whatever the header says", () => {
  for (const [said, want] of [[1, 1], [500, 500], [1_448, 1_448], [9_000, 1_448]] as const) {
    const packet = superPacket({ payload: new Uint8Array(9_000) }, said, pool);
    equal(unfinished.describe(packet), true);
    equal(packet.gsoSize, want);
  }
});

test("no bytes make it throw", () => {
  const random = seeded(5);
  const long: TcpFrame = { payload: new Uint8Array(3_000) };
  for (let i = 0; i < 3_000; i++) {
    const packet = i % 2 === 0
      ? tight(randomBytes(random, 14 + random() % 80))
      : unsaid(tcpFrame(i % 3 === 0 ? long : {}, pool));
    for (let n = random() % 4; n > 0; n--) packet.bytes[packet.start + 12 + random() % 60] = random();
    unfinished.describe(packet);
    if (packet.gso !== Gso.none) segmentAll(packet, pool);
    else completeChecksum(packet);
  }
  equal(unfinished.describe(tight(hex("ffffffffffff 020000000001 0800"))), true);
});
