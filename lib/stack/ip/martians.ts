/**
 * Addresses that must not appear on a wire (RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7, RFC 4291 section 2.5).
 *
 * @module
 */

import type { IpAddress } from "../wire/address.ts";

/** The counter under which a martian is dropped. */
export type Martian =
  | "ip.martian-source-loopback"
  | "ip.martian-source-multicast"
  | "ip.martian-source-broadcast"
  | "ip.martian-source-reserved"
  | "ip.martian-source-mapped"
  | "ip.martian-destination-loopback"
  | "ip.martian-destination-reserved"
  | "ip.martian-destination-mapped";

/**
 * What is wrong with these addresses on a packet that came from a wire, if anything. Addresses that only the
 * interface knows to be wrong (its own, its broadcast) are the caller's to check; an unspecified source passes, since
 * DHCP and duplicate address detection need it.
 */
export function martian(source: IpAddress, destination: IpAddress): Martian | undefined {
  return source.family === 4 ? martianV4(source.d, destination.d) : martianV6(source, destination);
}

function martianV4(source: number, destination: number): Martian | undefined {
  const from = source >>> 24;
  const to = destination >>> 24;
  if (from >= 224) {
    if (source === -1) return "ip.martian-source-broadcast";
    return from < 240 ? "ip.martian-source-multicast" : "ip.martian-source-reserved";
  }
  if (from === 127) return "ip.martian-source-loopback";
  // 0.0.0.0/8: "this host on this network", RFC 1122 section 3.2.1.3 (a), (b).
  if (from === 0 && source !== 0) return "ip.martian-source-reserved";
  if (to === 127) return "ip.martian-destination-loopback";
  if (to === 0 || (to >= 240 && destination !== -1)) return "ip.martian-destination-reserved";
  return undefined;
}

function martianV6(source: IpAddress, destination: IpAddress): Martian | undefined {
  if ((source.a >>> 24) === 0xff) return "ip.martian-source-multicast";
  if (source.a === 0 && source.b === 0) {
    if (source.isV4Mapped()) return "ip.martian-source-mapped";
    if (source.isLoopback()) return "ip.martian-source-loopback";
  }
  if (destination.a === 0 && destination.b === 0) {
    if (destination.isV4Mapped()) return "ip.martian-destination-mapped";
    if (destination.isLoopback()) return "ip.martian-destination-loopback";
    if (destination.isUnspecified()) return "ip.martian-destination-reserved";
  }
  return undefined;
}
