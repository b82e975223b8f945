/**
 * Which frames from the wire our own clients wait for, when the guest has a kernel of its own.
 *
 * @module
 */

import type { Addressee } from "../../link/patch.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import { DHCPV4_CLIENT_PORT } from "../../stack/wire/dhcpv4.ts";
import { DHCPV6_CLIENT_PORT } from "../../stack/wire/dhcpv6.ts";
import { EtherType } from "../../stack/wire/ethernet.ts";
import { Icmpv6Type } from "../../stack/wire/icmpv6.ts";
import { IpProtocol } from "../../stack/wire/ip.ts";

const ETHERNET = 14, IPV6 = 40;

/**
 * DHCP's answers are ours alone, ARP and router advertisements concern both. Fragments and extension headers are passed
 * on: nobody sends those.
 */
export function addresseeWithClients(frame: PacketBuffer): Addressee {
  const { view, start, end } = frame;
  if (end - start < ETHERNET + 28) return "guest";
  const ip = start + ETHERNET;
  switch (view.getUint16(start + 12)) {
    case EtherType.arp:
      return "both";
    case EtherType.ipv4: {
      const udp = ip + ((view.getUint8(ip) & 15) << 2);
      if (view.getUint8(ip + 9) !== IpProtocol.udp || udp + 4 > end) return "guest";
      return view.getUint16(udp + 2) === DHCPV4_CLIENT_PORT ? "stack" : "guest";
    }
    case EtherType.ipv6: {
      if (end - ip < IPV6 + 4) return "guest";
      const protocol = view.getUint8(ip + 6);
      if (protocol === IpProtocol.udp) {
        return view.getUint16(ip + IPV6 + 2) === DHCPV6_CLIENT_PORT ? "stack" : "guest";
      }
      if (protocol !== IpProtocol.icmpv6) return "guest";
      return view.getUint8(ip + IPV6) === Icmpv6Type.routerAdvertisement ? "both" : "guest";
    }
    default:
      return "guest";
  }
}

/** For a network whose addresses are configured, or are none of our business. */
export function addresseeWithout(): Addressee {
  return "guest";
}
