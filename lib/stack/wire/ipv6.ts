/**
 * IPv6 and its extension headers (RFC 8200, RFC 5095 for routing headers, RFC 6946 for atomic fragments).
 *
 * Theory of operation. The fixed header is followed by a chain of headers, each naming the next, that a hostile sender
 * can make as long and as strange as the packet allows. The walk is bounded twice: {@linkcode MAX_EXTENSION_HEADERS} in a
 * packet and {@linkcode MAX_OPTIONS} in a header (RFC 8504 sections 5.3 and 5.4 allow both limits and Linux has them:
 * `max_dst_opts_number`). It stops at the first header that is not an extension; that protocol is the caller's business.
 *
 * A part of a fragmented datagram ends the walk at its fragment header, because what follows is the datagram's business
 * and may lie in another part. Reassembly makes a datagram without fragment header of them, to be parsed anew.
 *
 * What the standard asks us to report to the sender is left in `IpHeader.parameterProblem`; the parser sends nothing.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { trim } from "../buffer/trim.ts";
import { type IpFields, type IpHeader, IpProtocol } from "./ip.ts";
import type { Malformed } from "./malformed.ts";

/** Bytes of the fixed header. */
export const IPV6_HEADER = 40;
/** Bytes of a fragment header. */
export const IPV6_FRAGMENT_HEADER = 8;
/** Every IPv6 link carries packets of this size (RFC 8200 section 5). */
export const IPV6_MINIMUM_MTU = 1_280;
/** Extension headers walked in one packet. The recommended order of RFC 8200 section 4.1 has seven at most. */
export const MAX_EXTENSION_HEADERS = 8;
/** Options, other than padding, walked in one extension header. */
export const MAX_OPTIONS = 8;

const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;

const MAX_DATAGRAM = 0xffff;

const OPTION_PAD1 = 0;
const OPTION_PADN = 1;

/** ICMPv6 codes of "parameter problem" (RFC 4443 section 3.4). */
export const ParameterProblemCode = { erroneousHeader: 0, unknownNextHeader: 1, unknownOption: 2 } as const;

/**
 * Reads at the cursor; on success the cursor is at the payload behind all extension headers, or behind the fragment
 * header of a part, and the packet ends where the payload length says.
 *
 * @param quoted the header is a quotation in an ICMP error: the datagram may be cut off behind it
 */
export function parseIpv6(p: PacketBuffer, into: IpHeader, quoted = false): Malformed | undefined {
  const { view, start } = p;
  const available = p.end - start;
  into.parameterProblem.code = -1;
  if (available < IPV6_HEADER) return "truncated";
  const first = view.getInt32(start);
  if (first >>> 28 !== 6) return "bad-version";
  const payloadLength = view.getUint16(start + PAYLOAD_LENGTH);
  const totalLength = payloadLength + IPV6_HEADER;
  if (!quoted && totalLength > (p.fragments.length === 0 ? available : p.totalLength)) return "truncated";

  into.family = 6;
  into.trafficClass = (first >>> 20) & 0xff;
  into.flowLabel = first & 0xfffff;
  into.identification = 0;
  into.dontFragment = true;
  into.moreFragments = false;
  into.fragmentOffset = 0;
  into.hopLimit = view.getUint8(start + HOP_LIMIT);
  into.protocol = view.getUint8(start + NEXT_HEADER);
  into.protocolOffset = NEXT_HEADER;
  into.source.setV6(view, start + SOURCE);
  into.destination.setV6(view, start + DESTINATION);
  into.headerStart = start;
  into.headerLength = IPV6_HEADER;
  into.hasOptions = false;

  if (!quoted) trim(p, totalLength);
  p.start = start + IPV6_HEADER;
  // The fast path: nearly every packet has none.
  return isExtension(into.protocol) ? walk(p, into, quoted) : undefined;
}

function isExtension(protocol: number): boolean {
  return protocol === IpProtocol.hopByHop || protocol === IpProtocol.ipv6Routing ||
    protocol === IpProtocol.ipv6Fragment || protocol === IpProtocol.destinationOptions;
}

/** Walks the extension headers from the cursor on, `into.protocol` being the first. */
function walk(p: PacketBuffer, into: IpHeader, quoted: boolean): Malformed | undefined {
  let fragmentSeen = false;
  const { view } = p;
  for (let walked = 0; isExtension(into.protocol); walked++) {
    if (walked === MAX_EXTENSION_HEADERS) return "too-many-extension-headers";
    const { start } = p;
    if (p.end - start < 8) return "truncated";
    const protocol = into.protocol;
    if (protocol === IpProtocol.ipv6Fragment) {
      // Fragments of fragments: no sender makes them, and reassembly could be made to run in circles.
      if (fragmentSeen) return "bad-extension-header";
      fragmentSeen = true;
      const reason = parseFragment(p, into, quoted);
      if (reason !== undefined || into.isFragment) return reason;
      continue;
    }
    // RFC 8200 section 4.1: hop-by-hop options come "immediately after the IPv6 header", else the next header value 0 is
    // unrecognized.
    if (protocol === IpProtocol.hopByHop && into.protocolOffset !== NEXT_HEADER) {
      report(into, ParameterProblemCode.unknownNextHeader, into.protocolOffset);
      return "bad-extension-header";
    }
    const length = (view.getUint8(start + 1) + 1) << 3;
    if (length > p.end - start) return "truncated";
    const reason = protocol === IpProtocol.ipv6Routing
      ? walkRouting(view, start, into)
      : walkOptions(view, start, length, into);
    if (reason !== undefined) return reason;
    into.hasOptions = true;
    step(p, into, length);
  }
  return undefined;
}

/** Passes over one header: its first byte names the next one. */
function step(p: PacketBuffer, into: IpHeader, length: number): void {
  into.protocol = p.view.getUint8(p.start);
  into.protocolOffset = p.start - into.headerStart;
  p.start += length;
  into.headerLength += length;
}

function report(into: IpHeader, code: number, pointer: number, evenIfMulticast = false): void {
  into.parameterProblem.code = code;
  into.parameterProblem.pointer = pointer;
  into.parameterProblem.evenIfMulticast = evenIfMulticast;
}

function parseFragment(p: PacketBuffer, into: IpHeader, quoted: boolean): Malformed | undefined {
  const { view, start } = p;
  const field = view.getUint16(start + 2);
  const payload = (p.fragments.length === 0 ? p.end - start : p.totalLength) - IPV6_FRAGMENT_HEADER;
  into.fragmentOffset = field & 0xfff8;
  into.moreFragments = (field & 1) !== 0;
  into.identification = view.getUint32(start + 4);
  // RFC 8200 section 4.5: "If the length of a fragment … is not a multiple of 8 octets and the M flag is 1, … discarded
  // and an ICMP Parameter Problem, Code 0, … pointing to the Payload Length field".
  if (!quoted && into.moreFragments && (payload & 7) !== 0) {
    report(into, ParameterProblemCode.erroneousHeader, PAYLOAD_LENGTH);
    return "bad-fragment";
  }
  // "If the length and offset of a fragment are such that the Payload Length … would exceed 65,535 octets, … pointing to
  // the Fragment Offset field."
  if (into.fragmentOffset + payload > MAX_DATAGRAM) {
    report(into, ParameterProblemCode.erroneousHeader, start + 2 - into.headerStart);
    return "bad-fragment";
  }
  step(p, into, IPV6_FRAGMENT_HEADER);
  return undefined;
}

/** We are no router: with segments left the packet is refused, whatever the type (RFC 8200 section 4.4, RFC 5095). */
function walkRouting(view: DataView, start: number, into: IpHeader): Malformed | undefined {
  if (view.getUint8(start + 3) === 0) return undefined;
  report(into, ParameterProblemCode.erroneousHeader, start + 2 - into.headerStart);
  return "routing-header";
}

/** Options of a hop-by-hop or destination options header. We know none but padding: the type says what to do with it. */
function walkOptions(view: DataView, start: number, length: number, into: IpHeader): Malformed | undefined {
  const end = start + length;
  let walked = 0;
  for (let at = start + 2; at < end;) {
    const kind = view.getUint8(at);
    if (kind === OPTION_PAD1) {
      at++;
      continue;
    }
    const next = at + 1 < end ? at + 2 + view.getUint8(at + 1) : Infinity;
    if (next > end) {
      report(into, ParameterProblemCode.erroneousHeader, at - into.headerStart);
      return "bad-option";
    }
    if (kind !== OPTION_PADN) {
      if (++walked > MAX_OPTIONS) return "too-many-options";
      // RFC 8200 section 4.2: 00 skip over, 01 discard, 10 discard and report, 11 the same unless sent to a group.
      const action = kind >>> 6;
      if (action !== 0) {
        if (action !== 1) {
          report(into, ParameterProblemCode.unknownOption, at - into.headerStart, action === 2);
        }
        return "bad-option";
      }
    }
    at = next;
  }
  return undefined;
}

/**
 * Prepends the fixed header.
 *
 * @param payloadLength bytes behind the header, extension headers included, at most 65535
 */
export function emitIpv6(p: PacketBuffer, h: IpFields, payloadLength: number = p.totalLength): void {
  const at = p.prepend(IPV6_HEADER);
  const { view } = p;
  view.setInt32(at, 0x60000000 | (h.trafficClass << 20) | ((h.flowLabel ?? 0) & 0xfffff));
  view.setUint16(at + PAYLOAD_LENGTH, payloadLength);
  view.setUint8(at + NEXT_HEADER, h.protocol);
  view.setUint8(at + HOP_LIMIT, h.hopLimit);
  h.source.write(view, at + SOURCE);
  h.destination.write(view, at + DESTINATION);
}

/**
 * Prepends a fragment header; the fixed header goes in front of it with `protocol: IpProtocol.ipv6Fragment`.
 *
 * @param protocol of the fragmented payload
 * @param offset bytes, a multiple of 8
 */
export function emitIpv6Fragment(
  p: PacketBuffer,
  protocol: number,
  offset: number,
  moreFragments: boolean,
  identification: number,
): void {
  const at = p.prepend(IPV6_FRAGMENT_HEADER);
  p.view.setUint16(at, protocol << 8);
  p.view.setUint16(at + 2, offset | (moreFragments ? 1 : 0));
  p.view.setUint32(at + 4, identification);
}
