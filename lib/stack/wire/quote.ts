/**
 * The datagram that an ICMP error quotes: whom the error concerns.
 *
 * A quotation is cut off anywhere behind the IP header. RFC 792 promises 8 bytes of the transport header, which is as far
 * as the TCP sequence number; that is enough to find the connection and to see that the sender of the error has seen the
 * segment (RFC 5927 section 4.1).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { IpHeader, IpProtocol } from "./ip.ts";
import { parseIpv4 } from "./ipv4.ts";
import { parseIpv6 } from "./ipv6.ts";
import type { Malformed } from "./malformed.ts";

/** What a quotation tells, for reuse. */
export class Quote {
  readonly ip: IpHeader = new IpHeader();
  /** TCP and UDP: our port, since we sent the datagram. For ICMP echo: the identifier. Else 0. */
  sourcePort = 0;
  /** TCP and UDP. For ICMP echo: the sequence number. Else 0. */
  destinationPort = 0;
  /** TCP only, an int32. */
  sequence = 0;
}

const ECHO_REQUEST_V4 = 8;
const ECHO_REQUEST_V6 = 128;

/** Reads at the cursor; on success the cursor is at the quoted transport header. */
export function parseQuote(p: PacketBuffer, into: Quote): Malformed | undefined {
  if (p.length < 1) return "truncated";
  const { view } = p;
  const { ip } = into;
  const isV4 = view.getUint8(p.start) >>> 4 === 4;
  // Routers have changed the TTL, and some leave the quoted header checksum stale: it is not worth a look.
  const reason = isV4 ? parseIpv4(p, ip, false, true) : parseIpv6(p, ip, true);
  if (reason !== undefined) return reason;
  into.sourcePort = 0;
  into.destinationPort = 0;
  into.sequence = 0;
  // Only the first part of a datagram has a transport header.
  if (ip.fragmentOffset !== 0) return undefined;
  if (p.length < 8) return "truncated";
  const { start } = p;
  if (ip.protocol === IpProtocol.tcp || ip.protocol === IpProtocol.udp) {
    into.sourcePort = view.getUint16(start);
    into.destinationPort = view.getUint16(start + 2);
    if (ip.protocol === IpProtocol.tcp) into.sequence = view.getInt32(start + 4);
  } else if (ip.protocol === (isV4 ? IpProtocol.icmp : IpProtocol.icmpv6)) {
    if (view.getUint8(start) !== (isV4 ? ECHO_REQUEST_V4 : ECHO_REQUEST_V6)) return undefined;
    into.sourcePort = view.getUint16(start + 4);
    into.destinationPort = view.getUint16(start + 6);
  }
  return undefined;
}
