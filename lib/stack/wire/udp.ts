/**
 * UDP (RFC 768).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { trim } from "../buffer/trim.ts";
import type { Malformed } from "./malformed.ts";

/** Bytes of the header. */
export const UDP_HEADER = 8;
/** Offset of the checksum in the header. */
export const UDP_CHECKSUM = 6;

const DESTINATION_PORT = 2;
const LENGTH = 4;

/** The header, for reuse. */
export class UdpHeader {
  /** 0: none, the sender wants no answer. */
  sourcePort = 0;
  destinationPort = 0;
  /** Header and payload, in bytes. */
  length = 0;
  /** As in the packet; 0: none. */
  checksum = 0;
}

/** Reads at the cursor; on success the cursor is at the payload, and the packet ends where the length says. */
export function parseUdp(p: PacketBuffer, into: UdpHeader): Malformed | undefined {
  const { view, start } = p;
  const available = p.end - start;
  if (available < UDP_HEADER) return "truncated";
  into.sourcePort = view.getUint16(start);
  into.destinationPort = view.getUint16(start + DESTINATION_PORT);
  into.length = view.getUint16(start + LENGTH);
  into.checksum = view.getUint16(start + UDP_CHECKSUM);
  if (into.length < UDP_HEADER) return "bad-length";
  if (into.length > (p.fragments.length === 0 ? available : p.totalLength)) return "bad-length";
  if (into.destinationPort === 0) return "port-zero";
  trim(p, into.length);
  p.start = start + UDP_HEADER;
  return undefined;
}

/** Prepends the header of the payload that the packet holds. The checksum is left 0: see `startChecksum`. */
export function emitUdp(p: PacketBuffer, sourcePort: number, destinationPort: number): void {
  const length = p.totalLength + UDP_HEADER;
  const at = p.prepend(UDP_HEADER);
  const { view } = p;
  view.setUint16(at, sourcePort);
  view.setUint16(at + DESTINATION_PORT, destinationPort);
  view.setUint16(at + LENGTH, length);
  view.setUint16(at + UDP_CHECKSUM, 0);
}
