/**
 * What a packet is on a wire that carries no super-packets.
 *
 * @module
 */

import { Gso, type PacketBuffer } from "../buffer/packet.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";

/** Frames that a packet of TCP was merged from, or will be cut to. */
export function framesOf(packet: PacketBuffer): number {
  if (packet.gso === Gso.none) return 1;
  return Math.ceil((packet.totalLength - headersOf(packet)) / packet.gsoSize);
}

/** Bytes of all headers, from the Ethernet header on; there are no IPv6 extension headers in what is merged or cut. */
export function headersOf({ view, start, gso }: PacketBuffer): number {
  const ip = start + ETHERNET_HEADER;
  const tcp = ip + (gso === Gso.tcp4 ? (view.getUint8(ip) & 15) << 2 : IPV6_HEADER);
  return tcp + ((view.getUint8(tcp + 12) >>> 4) << 2) - start;
}
