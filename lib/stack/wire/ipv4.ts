/**
 * IPv4 (RFC 791, as RFC 1122 and RFC 6864 amend it).
 *
 * ```text
 *  0        1         2                  4
 *  | 4 |IHL | DSCP|ECN | total length    |
 *  | identification    | flags | offset  |   offset in units of 8 bytes
 *  | TTL    | protocol | header checksum |
 *  | source                              |
 *  | destination                         |
 *  | options …                           |   up to 40 bytes
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { trim } from "../buffer/trim.ts";
import { onesComplementSum } from "./checksum.ts";
import type { IpFields, IpHeader } from "./ip.ts";
import type { Malformed } from "./malformed.ts";

/** Bytes of a header without options. */
export const IPV4_HEADER = 20;

const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FRAGMENT = 6;
const TTL = 8;
const PROTOCOL = 9;
const CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;

const MAX_DATAGRAM = 0xffff;

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_LSRR = 131;
const OPTION_SSRR = 137;

/**
 * Reads at the cursor; on success the cursor is at the payload, and the packet ends where the total length says.
 *
 * @param verifyChecksum false for links that vouch for their packets
 * @param quoted the header is a quotation in an ICMP error: the datagram may be cut off behind it
 */
export function parseIpv4(
  p: PacketBuffer,
  into: IpHeader,
  verifyChecksum = true,
  quoted = false,
): Malformed | undefined {
  const { view, start } = p;
  const available = p.end - start;
  into.parameterProblem.code = -1;
  if (available < IPV4_HEADER) return "truncated";
  const versionAndLength = view.getUint8(start);
  if (versionAndLength >>> 4 !== 4) return "bad-version";
  const headerLength = (versionAndLength & 15) << 2;
  if (headerLength < IPV4_HEADER) return "bad-header-length";
  if (headerLength > available) return "truncated";
  const totalLength = view.getUint16(start + TOTAL_LENGTH);
  if (totalLength < headerLength) return "bad-length";
  if (!quoted && totalLength > (p.fragments.length === 0 ? available : p.totalLength)) return "truncated";
  if (verifyChecksum && onesComplementSum(view, start, start + headerLength, 0) !== 0xffff) {
    return "bad-checksum";
  }

  const fragment = view.getUint16(start + FRAGMENT);
  into.family = 4;
  into.trafficClass = view.getUint8(start + 1);
  into.flowLabel = 0;
  into.identification = view.getUint16(start + IDENTIFICATION);
  into.dontFragment = (fragment & DONT_FRAGMENT) !== 0;
  into.moreFragments = (fragment & MORE_FRAGMENTS) !== 0;
  into.fragmentOffset = (fragment & 0x1fff) << 3;
  into.hopLimit = view.getUint8(start + TTL);
  into.protocol = view.getUint8(start + PROTOCOL);
  into.protocolOffset = PROTOCOL;
  into.source.setV4(view, start + SOURCE);
  into.destination.setV4(view, start + DESTINATION);
  into.headerStart = start;
  into.headerLength = headerLength;
  into.hasOptions = headerLength > IPV4_HEADER;

  const payload = totalLength - headerLength;
  if (into.moreFragments && (payload & 7) !== 0) return "bad-fragment";
  if (into.fragmentOffset + payload > MAX_DATAGRAM) return "bad-fragment"; // The "ping of death".
  if (into.hasOptions) {
    const reason = walkOptions(view, start, headerLength, into);
    if (reason !== undefined) return reason;
  }
  // Ethernet pads short frames to 60 bytes: the length field, not the frame, ends the datagram.
  if (!quoted) trim(p, totalLength);
  p.start = start + headerLength;
  return undefined;
}

/** Looks at each option only as far as our safety asks: none of them changes what an end host does. */
function walkOptions(
  view: DataView,
  start: number,
  headerLength: number,
  into: IpHeader,
): Malformed | undefined {
  const end = start + headerLength;
  for (let at = start + IPV4_HEADER; at < end;) {
    const kind = view.getUint8(at);
    if (kind === OPTION_END) return undefined;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    // RFC 7126 sections 4.3.5 and 4.4.5: drop; with it anybody could speak in the name of the last hop.
    if (kind === OPTION_LSRR || kind === OPTION_SSRR) return "source-route";
    const length = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > end) {
      into.parameterProblem.code = 0;
      into.parameterProblem.pointer = at - start;
      into.parameterProblem.evenIfMulticast = false;
      return "bad-option";
    }
    at += length;
  }
  return undefined;
}

/**
 * Prepends the header with its checksum.
 *
 * @param payloadLength bytes behind the header, at most 65515
 */
export function emitIpv4(p: PacketBuffer, h: IpFields, payloadLength: number = p.totalLength): void {
  const at = p.prepend(IPV4_HEADER);
  const { view } = p;
  const source = h.source.d;
  const destination = h.destination.d;
  const first = 0x4500 | h.trafficClass;
  const totalLength = payloadLength + IPV4_HEADER;
  const identification = (h.identification ?? 0) & 0xffff;
  const fragment = (h.dontFragment === true ? DONT_FRAGMENT : 0) |
    (h.moreFragments === true ? MORE_FRAGMENTS : 0) | ((h.fragmentOffset ?? 0) >>> 3);
  const hop = (h.hopLimit << 8) | h.protocol;
  // Every term has 16 bits and there are nine: the sum cannot overflow, two folds bring it back to 16 bits.
  let sum = first + totalLength + identification + fragment + hop + (source >>> 16) + (source & 0xffff) +
    (destination >>> 16) + (destination & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at, first);
  view.setUint16(at + TOTAL_LENGTH, totalLength);
  view.setUint16(at + IDENTIFICATION, identification);
  view.setUint16(at + FRAGMENT, fragment);
  view.setUint16(at + TTL, hop);
  view.setUint16(at + CHECKSUM, ~sum);
  view.setInt32(at + SOURCE, source);
  view.setInt32(at + DESTINATION, destination);
}
