import { equal } from "node:assert/strict";
import { test } from "node:test";
import { Checksum, Gso, type PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { isCuttable } from "../../../lib/stack/link/segment_headers.ts";
import { superPacket } from "../../support/tcp_frame.ts";

const CASES: readonly [what: string, spoil: (packet: PacketBuffer) => void, good: boolean][] = [
  ["a packet as it should be", () => {}, true],
  ["a checksum far behind", (packet) => packet.checksumStart = packet.start + 5_000, false],
  ["a checksum in front of the IP header's end", (packet) => packet.checksumStart = packet.start + 33, false],
  ["a checksum at the end", (packet) => packet.checksumStart = packet.end - 2, false],
  ["no partial checksum", (packet) => packet.checksum = Checksum.unknown, false],
  ["several datagrams", (packet) => packet.gso = Gso.datagrams, false],
  ["another family", (packet) => packet.gso = Gso.tcp6, false],
  ["a TCP header too short", ({ view, checksumStart }) => view.setUint8(checksumStart + 12, 0x40), false],
  ["no payload", (packet) => packet.end = packet.checksumStart + 32, false],
  ["a byte of payload", (packet) => packet.end = packet.checksumStart + 33, true],
];
for (const [what, spoil, good] of CASES) {
  test(`cut ${good ? "is" : "is not"}: ${what}`, () => {
    const packet = superPacket({ payload: new Uint8Array(9_000) }, 1_448);
    spoil(packet);
    equal(isCuttable(packet), good);
  });
}
