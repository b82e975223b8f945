/**
 * Reports of group membership: IGMPv3 (RFC 3376 section 4.2) and MLDv2 (RFC 3810 section 5.2), which say the same.
 *
 * ```text
 *   IPv4, TTL 1, option router alert │ 0x22 0 checksum 0(16) records(16) │ type 0 sources(16) group(32)  …
 *   IPv6, hop limit 1, hop-by-hop    │ 143  0 checksum 0(16) records(16) │ type 0 sources(16) group(128) …
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { IpAddress } from "./address.ts";
import { onesComplementSum, pseudoHeaderSum } from "./checksum.ts";
import { IpProtocol } from "./ip.ts";

/** Where reports go: 224.0.0.22, ff02::16. */
export const REPORTS4: IpAddress = IpAddress.v4(0xe0000016 | 0);
export const REPORTS6: IpAddress = new IpAddress(6, 0xff020000 | 0, 0, 0, 0x16);

/** What a record says of its group: that it is heard, from anybody; or, asked to be told, no longer. */
export const GroupRecord = { isExclude: 2, toInclude: 3, toExclude: 4 } as const;
/** One of the values of {@linkcode GroupRecord}. */
export type GroupRecord = typeof GroupRecord[keyof typeof GroupRecord];

/** Groups of one report, so that it fits any link. */
export const MAX_RECORDS = 48;

const IGMP_REPORT = 0x22, MLD_REPORT = 143;
/** Types of queries: whoever hears one is to report. */
export const IGMP_QUERY = 0x11, MLD_QUERY = 130;
export const IGMP = 2;
const IPV4_HEADER = 24, IPV6_HEADERS = 48, HEADER = 8;

/** Bytes of a report about `groups` groups. */
export function groupReportLength(family: 4 | 6, groups: number): number {
  return family === 4 ? IPV4_HEADER + HEADER + 8 * groups : IPV6_HEADERS + HEADER + 20 * groups;
}

/** Writes a whole IP packet at the end of `packet`, which has room for it. */
export function emitGroupReport(
  packet: PacketBuffer,
  source: IpAddress,
  groups: readonly IpAddress[],
  record: GroupRecord,
): void {
  const { family } = source;
  const length = groupReportLength(family, groups.length);
  const { view } = packet;
  const at = packet.end;
  packet.end = at + length;
  packet.bytes.fill(0, at, packet.end);
  const message = at + (family === 4 ? IPV4_HEADER : IPV6_HEADERS);
  view.setUint8(message, family === 4 ? IGMP_REPORT : MLD_REPORT);
  view.setUint16(message + 6, groups.length);
  const size = family === 4 ? 8 : 20;
  groups.forEach((group, i) => {
    view.setUint8(message + HEADER + i * size, record);
    group.write(view, message + HEADER + i * size + 4);
  });
  if (family === 4) {
    view.setUint32(at, 0x46c00000 | length);
    view.setUint16(at + 8, 0x0100 | IGMP);
    source.write(view, at + 12);
    REPORTS4.write(view, at + 16);
    // Router alert (RFC 2113).
    view.setUint32(at + 20, 0x94040000);
    view.setUint16(at + 10, ~onesComplementSum(view, at, message, 0));
    view.setUint16(message + 2, ~onesComplementSum(view, message, packet.end, 0));
    return;
  }
  view.setUint32(at, 0x60000000);
  view.setUint16(at + 4, length - 40);
  // Next header hop-by-hop options; hop limit 1.
  view.setUint16(at + 6, 0x0001);
  source.write(view, at + 8);
  REPORTS6.write(view, at + 24);
  // Router alert (RFC 2711) and two bytes of padding.
  view.setUint8(at + 40, IpProtocol.icmpv6);
  view.setUint32(at + 42, 0x05020000);
  view.setUint16(at + 46, 0x0100);
  const pseudo = pseudoHeaderSum(source, REPORTS6, IpProtocol.icmpv6, packet.end - message);
  view.setUint16(message + 2, ~onesComplementSum(view, message, packet.end, pseudo));
}
