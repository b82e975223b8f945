/**
 * Congestion marks, as a router with active queue management sets them (RFC 3168 section 5).
 *
 * @module
 */

import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";

const ETHERNET_HEADER = 14;
const EXPERIENCED = 3;

/** Sets "congestion experienced" in a frame of IPv4 or IPv6; false if its transport is not ECN-capable. */
export function mark(frame: PacketBuffer): boolean {
  const { bytes, view } = frame;
  const ip = frame.start + ETHERNET_HEADER;
  if (bytes[ip]! >> 4 === 6) {
    const ecn = bytes[ip + 1]! >> 4 & 3;
    if (ecn === 0) return false;
    bytes[ip + 1] = bytes[ip + 1]! | EXPERIENCED << 4;
    return true;
  }
  const ecn = bytes[ip + 1]! & 3;
  if (ecn === 0 || bytes[ip]! >> 4 !== 4) return false;
  bytes[ip + 1] = bytes[ip + 1]! | EXPERIENCED;
  // RFC 1624: the sum of the header grew by as much as the field did.
  const sum = (~view.getUint16(ip + 10) & 0xffff) + EXPERIENCED - ecn;
  view.setUint16(ip + 10, ~(sum % 0xffff) & 0xffff);
  return true;
}
