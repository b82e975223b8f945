import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Checksum, Gso, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { segmentAll } from "../../support/segments.ts";
import { startChecksum, verifyTransport } from "../../../lib/stack/wire/checksum.ts";
import { emitEthernet, EtherType, MacAddress } from "../../../lib/stack/wire/ethernet.ts";
import { IpHeader, IpProtocol } from "../../../lib/stack/wire/ip.ts";
import { emitIpv4, parseIpv4 } from "../../../lib/stack/wire/ipv4.ts";
import { emitIpv6, parseIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { emitTcp, parseTcp, TCP_CHECKSUM, TcpFlag, TcpHeader } from "../../../lib/stack/wire/tcp.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { ip } from "../../support/two_stacks.ts";

const FLAGS = TcpFlag.ack | TcpFlag.psh | TcpFlag.fin | TcpFlag.cwr;
const SEQUENCE = 0x7fff_fff0; // The numbers wrap in the middle.

/** A super-packet whose payload is `lengths` pieces by reference. */
function superPacket(family: 4 | 6, lengths: readonly number[], gsoSize: number): [PacketBuffer, Uint8Array] {
  const pool = new BufferPool();
  const payload = randomBytes(seeded(11), lengths.reduce((sum, n) => sum + n, 0));
  const packet = pool.take(0);
  const header = new TcpHeader();
  Object.assign(header, { sourcePort: 1, destinationPort: 2, sequence: SEQUENCE, flags: FLAGS, window: 77 });
  header.hasTimestamp = true;
  header.timestampValue = 5;
  emitTcp(packet, header);
  let at = 0;
  for (const length of lengths) {
    const piece = new PacketBuffer(payload.slice(at, at + length));
    packet.attach(piece, 0, length);
    piece.release();
    at += length;
  }
  const source = ip(family === 4 ? "10.0.0.1" : "fd00::1");
  const destination = ip(family === 4 ? "10.0.0.2" : "fd00::2");
  startChecksum(packet, source, destination, IpProtocol.tcp, TCP_CHECKSUM);
  packet.gso = family === 4 ? Gso.tcp4 : Gso.tcp6;
  packet.gsoSize = gsoSize;
  const fields = {
    source,
    destination,
    protocol: IpProtocol.tcp,
    hopLimit: 64,
    trafficClass: 2,
    identification: 0xffff,
    dontFragment: true,
  };
  // As the stack does: the length field of a super-packet may be whatever fits.
  (family === 4 ? emitIpv4 : emitIpv6)(packet, fields, Math.min(packet.totalLength, 65_000));
  const mac = new MacAddress(0x0200, 1);
  emitEthernet(packet, mac, mac, family === 4 ? EtherType.ipv4 : EtherType.ipv6);
  return [packet, payload];
}

const CASES: [why: string, lengths: readonly number[], gsoSize: number][] = [
  ["one piece that divides evenly", [4_344], 1_448],
  ["one piece with a rest", [10_000], 1_448],
  ["pieces of odd lengths", [1, 999, 3_001, 1_447, 2], 1_448],
  ["pieces smaller than a segment", [100, 100, 100, 100, 100], 333],
  ["a packet that fits one segment", [500], 1_448],
  ["an odd segment size", [4_001], 1_001],
  ["64 KiB", [30_000, 34_000], 1_448],
];

for (const family of [4, 6] as const) {
  for (const [why, lengths, gsoSize] of CASES) {
    test(`segmentAll() cuts ${why} over IPv${family} as by hand`, () => {
      const [packet, payload] = superPacket(family, lengths, gsoSize);
      const segments = segmentAll(packet, new BufferPool());
      equal(segments.length, Math.ceil(payload.length / gsoSize));
      const header = new IpHeader();
      const tcp = new TcpHeader();
      let at = 0;
      for (const [i, segment] of segments.entries()) {
        const last = i === segments.length - 1;
        equal(segment.checksum, Checksum.unknown);
        const flat = new PacketBuffer(segment.toBytes(), 14);
        equal((family === 4 ? parseIpv4 : parseIpv6)(flat, header), undefined);
        ok(verifyTransport(flat, header), `checksum of segment ${i}`);
        equal(parseTcp(flat, tcp), undefined);
        deepEqual(flat.toBytes(), payload.subarray(at, at + gsoSize));
        equal(tcp.sequence, (SEQUENCE + at) | 0);
        if (family === 4) equal(header.identification, (0xffff + i) & 0xffff);
        equal((tcp.flags & TcpFlag.cwr) !== 0, i === 0);
        equal((tcp.flags & (TcpFlag.psh | TcpFlag.fin)) === (TcpFlag.psh | TcpFlag.fin), last);
        equal(tcp.flags & TcpFlag.ack, TcpFlag.ack);
        equal(tcp.timestampValue, 5);
        at += gsoSize;
        segment.release();
      }
    });
  }
}
