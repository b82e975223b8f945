/**
 * What may come from the other end of a wire to a provider: frames that say anything at all.
 *
 * @module
 */

import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { ANY4, ANY6, IpAddress } from "../../lib/stack/wire/address.ts";
import { emitArp } from "../../lib/stack/wire/arp.ts";
import { completeChecksum, startChecksum } from "../../lib/stack/wire/checksum.ts";
import {
  type Dhcpv4Message,
  type Dhcpv4Options,
  type Dhcpv4Type,
  emitDhcpv4,
} from "../../lib/stack/wire/dhcpv4.ts";
import { type Dhcpv6Message, emitDhcpv6 } from "../../lib/stack/wire/dhcpv6.ts";
import { emitEthernet, EtherType, MAC_BROADCAST, MacAddress } from "../../lib/stack/wire/ethernet.ts";
import { IpProtocol } from "../../lib/stack/wire/ip.ts";
import { emitIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { emitIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { ALL_NODES, emitNdp, type NdpRepr } from "../../lib/stack/wire/ndp.ts";
import { emitUdp, UDP_CHECKSUM } from "../../lib/stack/wire/udp.ts";
import { roomy } from "./bytes.ts";
import { ip, mac } from "./two_stacks.ts";

/** Whoever speaks. */
export const PROVIDER_MAC: MacAddress = mac("02:00:00:00:00:02");
export const PROVIDER6: IpAddress = ip("fe80::2");
const PROVIDER4 = ip("10.66.0.1");
const EVERYBODY = IpAddress.v4(-1);

/** DHCP's answer to a request; `fields` overrule what a server would say. */
export function dhcpAnswer(
  request: Pick<Dhcpv4Message, "transaction" | "hardware">,
  type: Dhcpv4Type,
  options: Dhcpv4Options,
  fields: Partial<Dhcpv4Message>,
): PacketBuffer {
  const p = roomy("", 128, 1_400, 0);
  const { transaction, hardware } = request;
  const message = { reply: true, transaction, hardware, ...fields };
  emitDhcpv4(p, { ...message, options: { type, serverId: PROVIDER4, ...options } }, 1_400);
  emitUdp(p, 67, 68);
  startChecksum(p, PROVIDER4, EVERYBODY, IpProtocol.udp, UDP_CHECKSUM);
  completeChecksum(p);
  const header = { source: PROVIDER4, destination: EVERYBODY, protocol: IpProtocol.udp };
  emitIpv4(p, { ...header, hopLimit: 64, trafficClass: 0 });
  emitEthernet(p, MAC_BROADCAST, PROVIDER_MAC, EtherType.ipv4);
  return p;
}

/** A message of a DHCPv6 server to a link-local address. */
export function dhcp6Answer(message: Dhcpv6Message, to: IpAddress, at: MacAddress): PacketBuffer {
  const p = roomy("", 128, 1_400, 0);
  emitDhcpv6(p, message);
  emitUdp(p, 547, 546);
  startChecksum(p, PROVIDER6, to, IpProtocol.udp, UDP_CHECKSUM);
  completeChecksum(p);
  const header = { source: PROVIDER6, destination: to, protocol: IpProtocol.udp };
  emitIpv6(p, { ...header, hopLimit: 64, trafficClass: 0 });
  emitEthernet(p, at, PROVIDER_MAC, EtherType.ipv6);
  return p;
}

/** Neighbour discovery, to everybody. */
export function ndpFrame(repr: NdpRepr, source = PROVIDER6, destination = ALL_NODES): PacketBuffer {
  const p = roomy("", 1_024);
  p.start = p.end = p.bytes.length;
  emitNdp(p, repr, source, destination);
  emitIpv6(p, { source, destination, protocol: IpProtocol.icmpv6, hopLimit: 255, trafficClass: 0 });
  emitEthernet(p, MacAddress.multicast6(destination), PROVIDER_MAC, EtherType.ipv6);
  return p;
}

/** "`address` is mine", or (`source` unspecified) "may I have it?": RFC 4862 section 5.4. */
export function claim6(address: IpAddress, source = PROVIDER6): PacketBuffer {
  if (source.isUnspecified()) {
    const group = new IpAddress(6, 0xff020000 | 0, 0, 1, address.d | 0xff000000);
    return ndpFrame({ kind: "neighbour-solicitation", target: address, options: {} }, ANY6, group);
  }
  const flags = { router: false, solicited: false, override: true };
  return ndpFrame({ kind: "neighbour-advertisement", target: address, ...flags, options: {} }, source);
}

/** An ARP reply to everybody: `address` is the provider's. */
export function claim4(address: IpAddress): PacketBuffer {
  const p = roomy("", 128);
  const sender = { senderMac: PROVIDER_MAC, senderIp: address };
  emitArp(p, { operation: 2, ...sender, targetMac: MAC_BROADCAST, targetIp: ANY4 });
  emitEthernet(p, MAC_BROADCAST, PROVIDER_MAC, EtherType.arp);
  return p;
}
