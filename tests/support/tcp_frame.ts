/**
 * Frames of TCP as a guest sends them, and super-packets cut to what they were made of.
 *
 * @module
 */

import { Gso, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { copyOf } from "../../lib/stack/link/copy.ts";
import { headersOf } from "../../lib/stack/link/wire_size.ts";
import { between } from "./random.ts";
import { segmentAll } from "./segments.ts";
import { completeChecksum, startChecksum } from "../../lib/stack/wire/checksum.ts";
import { emitEthernet, EtherType, MacAddress } from "../../lib/stack/wire/ethernet.ts";
import { IpProtocol } from "../../lib/stack/wire/ip.ts";
import { emitIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { emitIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { emitTcp, TCP_CHECKSUM, TcpFlag, TcpHeader } from "../../lib/stack/wire/tcp.ts";
import { ip } from "./two_stacks.ts";

/** Whose frames they are, unless something else is said. */
export const US: MacAddress = new MacAddress(0x0200, 1);
export const PEER: MacAddress = new MacAddress(0x0200, 2);

/** What differs from the usual frame. */
export interface TcpFrame {
  family?: 4 | 6;
  sequence?: number;
  acknowledgment?: number;
  payload?: Uint8Array;
  flags?: number;
  window?: number;
  port?: number;
  timestamp?: number;
  trafficClass?: number;
  hopLimit?: number;
  identification?: number;
  dontFragment?: boolean;
  moreFragments?: boolean;
  to?: MacAddress;
  from?: MacAddress;
}

/** A whole frame with good checksums. */
export function tcpFrame(segment: TcpFrame, pool = new BufferPool()): PacketBuffer {
  const { family = 4, payload = new Uint8Array(1_000) } = segment;
  const packet = pool.take(payload.length);
  packet.bytes.set(payload, packet.start);
  packet.end = packet.start + payload.length;
  const header = new TcpHeader();
  header.sourcePort = segment.port ?? 1_000;
  header.destinationPort = 80;
  header.sequence = (segment.sequence ?? 0) | 0;
  header.acknowledgment = segment.acknowledgment ?? 5;
  header.flags = segment.flags ?? TcpFlag.ack;
  header.window = segment.window ?? 100;
  header.hasTimestamp = true;
  header.timestampValue = segment.timestamp ?? 9;
  emitTcp(packet, header);
  const source = ip(family === 4 ? "10.0.0.1" : "fd00::1");
  const destination = ip(family === 4 ? "10.0.0.2" : "fd00::2");
  startChecksum(packet, source, destination, IpProtocol.tcp, TCP_CHECKSUM);
  completeChecksum(packet);
  const fields = {
    source,
    destination,
    protocol: IpProtocol.tcp,
    hopLimit: segment.hopLimit ?? 64,
    trafficClass: segment.trafficClass ?? 0,
    identification: segment.identification ?? 0,
    dontFragment: segment.dontFragment ?? true,
    moreFragments: segment.moreFragments ?? false,
  };
  (family === 4 ? emitIpv4 : emitIpv6)(packet, fields);
  emitEthernet(
    packet,
    segment.to ?? US,
    segment.from ?? PEER,
    family === 4 ? EtherType.ipv4 : EtherType.ipv6,
  );
  return packet;
}

/** The same as TCP hands it to its interface: to be cut to segments of `size` bytes, with a partial checksum. */
export function superPacket(segment: TcpFrame, size: number, pool?: BufferPool): PacketBuffer {
  const packet = tcpFrame(segment, pool);
  packet.gso = segment.family === 6 ? Gso.tcp6 : Gso.tcp4;
  packet.gsoSize = size;
  return partial(packet);
}

function partial(packet: PacketBuffer): PacketBuffer {
  const family = packet.gso === Gso.tcp4 ? 4 : 6;
  const headers = family === 4 ? 34 : 54;
  const { start } = packet;
  packet.start += headers;
  const [source, destination] = family === 4 ? ["10.0.0.1", "10.0.0.2"] : ["fd00::1", "fd00::2"];
  startChecksum(packet, ip(source!), ip(destination!), IpProtocol.tcp, TCP_CHECKSUM);
  packet.start = start;
  return packet;
}

/** As if a sender had made it: its segments, with checksums of their own. */
export function cutAgain(packet: PacketBuffer): PacketBuffer[] {
  return packet.gso === Gso.none ? [packet] : segmentAll(partial(packet), new BufferPool());
}

/** The same packet with its payload in pieces of a random size, odd ones among them. */
export function inPieces(packet: PacketBuffer, random: () => number, home: BufferPool): PacketBuffer {
  const whole = copyOf(packet, home);
  const headers = headersOf(packet);
  const from = whole.start + headers;
  packet.end = packet.start + headers;
  for (let at = from; at < whole.end;) {
    const end = Math.min(whole.end, at + between(random, 1, 9_000));
    packet.attach(whole, at, end);
    at = end;
  }
  whole.release();
  return packet;
}
