/**
 * Addresses that mean something of their own (RFC 6890): no destination that is dialled for somebody else.
 *
 * A kernel gives 0.0.0.0, `::ffff:127.0.0.1` and their like a meaning that whoever named them may not have had, and a
 * link-local address reaches the neighbours of who dials, or the metadata service of a cloud (169.254.169.254) with the
 * dialler's identity. Everything that opens host sockets on a guest's word asks here first.
 *
 * @module
 */

import type { IpAddress } from "./address.ts";

/** What is special about an address. */
export type SpecialAddress =
  | "unspecified"
  | "loopback"
  | "v4-mapped"
  | "multicast"
  | "broadcast"
  | "link-local";

/** What is special about `address`; undefined: it is an ordinary one. */
export function specialOf(address: IpAddress): SpecialAddress | undefined {
  if (address.isMulticast()) return "multicast";
  if (address.family === 4) {
    // RFC 791's "this network", 0.0.0.0/8, is as unroutable as 0.0.0.0 itself.
    if (address.d >>> 24 === 0) return "unspecified";
    if (address.d >>> 24 === 127) return "loopback";
    if (address.isLimitedBroadcast()) return "broadcast";
    return address.isLinkLocal() ? "link-local" : undefined;
  }
  if (address.isV4Mapped()) return "v4-mapped";
  // ::/96 holds ::, ::1, and the IPv4-compatible form that RFC 4291 section 2.5.5.1 deprecates.
  if (address.a === 0 && address.b === 0 && address.c === 0) {
    return address.d === 1 ? "loopback" : address.d === 0 ? "unspecified" : "v4-mapped";
  }
  return address.isLinkLocal() ? "link-local" : undefined;
}
