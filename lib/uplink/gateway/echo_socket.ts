/**
 * Echo messages by a socket of the host, with as much of the kernel's help as there is.
 *
 * | | privilege | identifier | checksum | received bytes begin at |
 * |---|---|---|---|---|
 * | `SOCK_DGRAM` | `net.ipv4.ping_group_range` | the kernel's | the kernel's | the ICMP header |
 * | `SOCK_RAW`, IPv4 | CAP_NET_RAW | ours | ours | the IP header |
 * | `SOCK_RAW`, IPv6 | CAP_NET_RAW | ours | the kernel's | the ICMP header |
 *
 * @module
 */

import { AF, IPPROTO, SOCK } from "../../host/constants.ts";
import { pingSocket } from "../../host/inet.ts";
import { socket } from "../../host/sys.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import { emitIcmpv4, ICMPV4_HEADER, Icmpv4Type } from "../../stack/wire/icmpv4.ts";
import { Icmpv6Type } from "../../stack/wire/icmpv6.ts";

/** Bytes in front of the echo data, in both families. */
export const ECHO_HEADER: number = ICMPV4_HEADER;

/** How echo requests of one family leave the host. */
export type EchoMethod = "ping" | "raw";

/** Opens a socket for echo messages, by the first method that is allowed; −errno if none is. */
export function openEcho(family: 4 | 6): { readonly fd: number; readonly method: EchoMethod } {
  const ping = pingSocket(family);
  if (ping >= 0) return { fd: ping, method: "ping" };
  const flags = SOCK.RAW | SOCK.NONBLOCK | SOCK.CLOEXEC;
  const raw = family === 4 ? socket(AF.INET, flags, IPPROTO.ICMP) : socket(AF.INET6, flags, IPPROTO.ICMPV6);
  return raw >= 0 ? { fd: raw, method: "raw" } : { fd: ping, method: "ping" };
}

/** Puts the header of an echo request in front of the echo data in `packet`. */
export function emitEchoRequest(
  packet: PacketBuffer,
  family: 4 | 6,
  identifier: number,
  sequence: number,
): void {
  if (family === 4) {
    emitIcmpv4(packet, { kind: "echo-request", identifier, sequence });
    return;
  }
  const at = packet.prepend(ICMPV4_HEADER);
  const { view } = packet;
  view.setUint8(at, Icmpv6Type.echoRequest);
  view.setUint8(at + 1, 0);
  view.setUint16(at + 2, 0);
  view.setUint16(at + 4, identifier);
  view.setUint16(at + 6, sequence);
}

/**
 * Reads what a socket received; on success the cursor is at the echo data.
 *
 * @param identifier that of the replies we want; −1 if the kernel has seen to it
 * @returns the sequence number, or −1 if this is no reply of ours
 */
export function parseEchoReply(
  packet: PacketBuffer,
  family: 4 | 6,
  method: EchoMethod,
  identifier: number,
): number {
  const { view } = packet;
  if (family === 4 && method === "raw") {
    if (packet.length < 20) return -1;
    packet.consume((view.getUint8(packet.start) & 15) * 4);
  }
  if (packet.length < ICMPV4_HEADER) return -1;
  const type = view.getUint8(packet.start);
  if (type !== (family === 4 ? Icmpv4Type.echoReply : Icmpv6Type.echoReply)) return -1;
  if (identifier >= 0 && view.getUint16(packet.start + 4) !== identifier) return -1;
  const sequence = view.getUint16(packet.start + 6);
  packet.consume(ICMPV4_HEADER);
  return sequence;
}

/**
 * The sequence number of an echo request that an ICMP error quotes, cursor at its ICMP header; −1 if this is none.
 *
 * @param identifier that of our requests; −1 if the kernel has seen to it
 */
export function quotedSequence(quote: PacketBuffer, family: 4 | 6, identifier: number): number {
  const { view, start } = quote;
  if (quote.length < ECHO_HEADER) return -1;
  const type = family === 4 ? Icmpv4Type.echoRequest : Icmpv6Type.echoRequest;
  if (view.getUint16(start) !== type << 8) return -1;
  if (identifier >= 0 && view.getUint16(start + 4) !== identifier) return -1;
  return view.getUint16(start + 6);
}
