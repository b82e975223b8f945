/**
 * Frames for the eyes: one line each, in the words of `tcpdump -n`.
 *
 * Nothing here may throw or read outside of the packet, whatever the bytes: what cannot be understood is said so. Sequence
 * numbers are absolute. A packet is left as it was found.
 *
 * @module
 */

import { PacketBuffer } from "../buffer/packet.ts";
import { ArpOperation, parseArp } from "./arp.ts";
import { EthernetHeader, EtherType, parseEthernet } from "./ethernet.ts";
import { formatTransport } from "./format_transport.ts";
import { IpHeader } from "./ip.ts";
import { parseIpv4 } from "./ipv4.ts";
import { parseIpv6 } from "./ipv6.ts";

/** One line about an Ethernet frame. Never throws. */
export function formatFrame(bytes: Uint8Array): string {
  return formatEthernet(new PacketBuffer(bytes));
}

function formatEthernet(p: PacketBuffer): string {
  const header = new EthernetHeader();
  const total = p.totalLength;
  const reason = parseEthernet(p, header);
  if (reason !== undefined) return `Ethernet [${reason}], length ${total}`;
  switch (header.etherType) {
    case EtherType.ipv4:
    case EtherType.ipv6:
      return formatIpAt(p);
    case EtherType.arp:
      return formatArp(p);
  }
  const type = header.etherType.toString(16).padStart(4, "0");
  return `${header.source} > ${header.destination}, ethertype 0x${type}, length ${total}`;
}

function formatArp(p: PacketBuffer): string {
  const length = p.length;
  const arp = parseArp(p);
  if (typeof arp === "string") return `ARP [${arp}], length ${length}`;
  if (arp.operation === ArpOperation.reply) {
    return `ARP, Reply ${arp.senderIp} is-at ${arp.senderMac}, length ${length}`;
  }
  const whom = arp.targetMac.isZero() ? "" : ` (${arp.targetMac})`;
  return `ARP, Request who-has ${arp.targetIp}${whom} tell ${arp.senderIp}, length ${length}`;
}

function formatIpAt(p: PacketBuffer): string {
  const ip = new IpHeader();
  const total = p.totalLength;
  const isV6 = p.length > 0 && p.view.getUint8(p.start) >>> 4 === 6;
  const name = isV6 ? "IP6" : "IP";
  const reason = isV6 ? parseIpv6(p, ip) : parseIpv4(p, ip);
  if (reason !== undefined) return `${name} [${reason}], length ${total}`;
  if (!ip.isFragment) return `${name} ${formatTransport(p, ip)}`;
  const id = ip.identification.toString(16);
  const part = `frag (0x${id}:${ip.fragmentOffset}|${p.totalLength}${ip.moreFragments ? "+" : ""})`;
  return `${name} ${ip.source} > ${ip.destination}: ${part} protocol ${ip.protocol}`;
}
