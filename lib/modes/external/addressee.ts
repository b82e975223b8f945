/**
 * Which frames from the wire our own clients wait for, when the guest has a kernel of its own.
 *
 * @module
 */

import type { Addressee } from "../../link/patch.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { Counters } from "../../stack/counters.ts";
import { TokenBucket } from "../../stack/ip/token_bucket.ts";
import type { Instant } from "../../stack/time.ts";
import { DHCPV4_CLIENT_PORT } from "../../stack/wire/dhcpv4.ts";
import { DHCPV6_CLIENT_PORT } from "../../stack/wire/dhcpv6.ts";
import { EtherType } from "../../stack/wire/ethernet.ts";
import { Icmpv6Type } from "../../stack/wire/icmpv6.ts";
import { IpProtocol } from "../../stack/wire/ip.ts";

const ETHERNET = 14, IPV6 = 40;

/**
 * Router advertisements a second, and at once, that are listened to. A router says one in three seconds (RFC 4861 section
 * 10), and a kernel that is told of thousands of routers takes a millisecond for each.
 */
const ADVERTISEMENTS = 10, ADVERTISEMENT_BURST = 30;

/**
 * DHCP's answers are ours alone; ARP, router advertisements and claims of IPv6 addresses (RFC 4862 section 5.4: an
 * advertisement, or a solicitation by nobody) concern both. Fragments and extension headers are passed on: nobody sends
 * those.
 */
export function addresseeWithClients(counters: Counters): (frame: PacketBuffer, now: Instant) => Addressee {
  const advertisements = new TokenBucket(ADVERTISEMENTS, ADVERTISEMENT_BURST);
  return (frame, now) => {
    const whom = addresseeOf(frame);
    if (whom !== "router" || advertisements.take(now)) return whom === "router" ? "both" : whom;
    counters.bump("ndp.router-advertisements-too-many");
    return "nobody";
  };
}

function addresseeOf(frame: PacketBuffer): Addressee | "router" {
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
      switch (view.getUint8(ip + IPV6)) {
        case Icmpv6Type.routerAdvertisement:
          return "router";
        case Icmpv6Type.neighbourAdvertisement:
          return "both";
        case Icmpv6Type.neighbourSolicitation:
          return isZero(frame, ip + 8) ? "both" : "guest";
      }
      return "guest";
    }
    default:
      return "guest";
  }
}

/** Whether an IPv6 address is the unspecified one. */
function isZero({ view }: PacketBuffer, at: number): boolean {
  return view.getInt32(at) === 0 && view.getInt32(at + 4) === 0 && view.getInt32(at + 8) === 0 &&
    view.getInt32(at + 12) === 0;
}

/** For a network whose addresses are configured, or are none of our business. */
export function addresseeWithout(): Addressee {
  return "guest";
}
