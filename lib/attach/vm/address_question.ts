/**
 * The question whether a guest still has an address: what a host sends that wants it for itself (RFC 5227 section 2.1.1,
 * RFC 4862 section 5.4.2), but to that guest alone. Every kernel answers that.
 *
 * @module
 */

import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import { ANY4, ANY6, type IpAddress } from "../../stack/wire/address.ts";
import { ARP_PACKET, ArpOperation, emitArp } from "../../stack/wire/arp.ts";
import { emitEthernet, EtherType, MAC_ZERO, type MacAddress } from "../../stack/wire/ethernet.ts";
import { IpProtocol } from "../../stack/wire/ip.ts";
import { emitIpv6 } from "../../stack/wire/ipv6.ts";
import { emitNdp, NDP_HOP_LIMIT, solicitedNode } from "../../stack/wire/ndp.ts";

/** A frame from the gateway to the guest at `mac`. */
export function addressQuestion(
  pool: BufferPool,
  address: IpAddress,
  gateway: MacAddress,
  mac: MacAddress,
): PacketBuffer {
  if (address.family === 4) {
    const packet = pool.take(ARP_PACKET);
    const sender = { senderMac: gateway, senderIp: ANY4 };
    emitArp(packet, { operation: ArpOperation.request, ...sender, targetMac: MAC_ZERO, targetIp: address });
    emitEthernet(packet, mac, gateway, EtherType.arp);
    return packet;
  }
  const packet = pool.take(0);
  const group = solicitedNode(address);
  emitNdp(packet, { kind: "neighbour-solicitation", target: address, options: {} }, ANY6, group);
  const header = { protocol: IpProtocol.icmpv6, hopLimit: NDP_HOP_LIMIT, trafficClass: 0 };
  emitIpv6(packet, { source: ANY6, destination: group, ...header });
  emitEthernet(packet, mac, gateway, EtherType.ipv6);
  return packet;
}
