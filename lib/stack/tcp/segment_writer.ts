/**
 * Segments as packets: the header from one scratch object, the payload by reference, the checksum left partial.
 *
 * @module
 */

import { Gso, HEADROOM, type PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { IpAddress } from "../wire/address.ts";
import { startChecksum } from "../wire/checksum.ts";
import { IpProtocol } from "../wire/ip.ts";
import { emitTcp, TCP_CHECKSUM, TCP_HEADER_MAX, TcpFlag, TcpHeader } from "../wire/tcp.ts";

/** The header being built. Whoever fills it emits it before anybody else can. */
export const outgoing: TcpHeader = new TcpHeader();

/** An empty packet with room in front for a TCP header with all its options, and for the headers below it. */
export function takeHeaderBuffer(pool: BufferPool): PacketBuffer {
  const packet = pool.take(0);
  packet.start = packet.end = HEADROOM + TCP_HEADER_MAX;
  return packet;
}

/** Puts {@linkcode outgoing} in front of `packet` and makes the checksum partial. */
export function emitOutgoing(packet: PacketBuffer, local: IpAddress, remote: IpAddress): PacketBuffer {
  emitTcp(packet, outgoing);
  startChecksum(packet, local, remote, IpProtocol.tcp, TCP_CHECKSUM);
  return packet;
}

/** Says that `packet` still has to be cut into segments of `size` bytes of payload. */
export function requestSegmentation(packet: PacketBuffer, local: IpAddress, size: number): void {
  packet.gso = local.family === 4 ? Gso.tcp4 : Gso.tcp6;
  packet.gsoSize = size;
}

/**
 * The RST that answers a segment which belongs to no connection (RFC 9293 section 3.10.7.1): "if the incoming segment has an
 * ACK field, <SEQ=SEG.ACK><CTL=RST>, otherwise <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>".
 *
 * @param length sequence numbers that the segment occupies
 */
export function resetFor(
  header: TcpHeader,
  length: number,
  local: IpAddress,
  remote: IpAddress,
  pool: BufferPool,
): PacketBuffer {
  outgoing.clearOptions();
  outgoing.sourcePort = header.destinationPort;
  outgoing.destinationPort = header.sourcePort;
  outgoing.window = 0;
  outgoing.urgentPointer = 0;
  if ((header.flags & TcpFlag.ack) !== 0) {
    outgoing.sequence = header.acknowledgment;
    outgoing.acknowledgment = 0;
    outgoing.flags = TcpFlag.rst;
  } else {
    outgoing.sequence = 0;
    outgoing.acknowledgment = (header.sequence + length) | 0;
    outgoing.flags = TcpFlag.rst | TcpFlag.ack;
  }
  return emitOutgoing(takeHeaderBuffer(pool), local, remote);
}

/** Sequence numbers that a segment with that payload occupies (RFC 9293: SEG.LEN counts SYN and FIN). */
export function segmentLength(flags: number, payload: number): number {
  return payload + (flags & TcpFlag.fin) + ((flags & TcpFlag.syn) >>> 1);
}
