/**
 * Datagrams of a DHCPv6 client: from its link-local address to the group of all servers and relays, whatever they say
 * (RFC 8415 section 14), and the question whether somebody has an address already.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { Nic } from "../nic.ts";
import type { Stack } from "../stack.ts";
import type { Instant } from "../time.ts";
import type { UdpEndpoint } from "../udp/endpoint.ts";
import { ANY6, type IpAddress } from "../wire/address.ts";
import { startChecksum } from "../wire/checksum.ts";
import {
  ALL_DHCP_SERVERS,
  DHCPV6_CLIENT_PORT,
  DHCPV6_SERVER_PORT,
  type Dhcpv6Message,
  emitDhcpv6,
  parseDhcpv6,
} from "../wire/dhcpv6.ts";
import { IpProtocol } from "../wire/ip.ts";
import { emitIpv6 } from "../wire/ipv6.ts";
import { MacAddress } from "../wire/mac_address.ts";
import { emitNdp, NDP_HOP_LIMIT, solicitedNode } from "../wire/ndp.ts";
import { emitUdp, UDP_CHECKSUM } from "../wire/udp.ts";

/** Section 14 leaves it open; one hop is all that it has to go. */
const HOP_LIMIT = 1;
/** Room for the longest message that we write. */
const ROOM = 512;

/** Sends and receives for one client on one interface. */
export class Dhcpv6Transport {
  readonly #stack: Stack;
  readonly #nic: Nic;
  readonly #onMessage: (message: Dhcpv6Message, now: Instant) => void;
  #endpoint: UdpEndpoint | undefined;

  constructor(stack: Stack, nic: Nic, onMessage: (message: Dhcpv6Message, now: Instant) => void) {
    this.#stack = stack;
    this.#nic = nic;
    this.#onMessage = onMessage;
  }

  /** Binds port 546 of the interface. False: it is taken. */
  open(now: Instant): boolean {
    if (this.#endpoint !== undefined) return true;
    const endpoint = this.#stack.udpBind({
      localAddress: ANY6,
      localPort: DHCPV6_CLIENT_PORT,
      nic: this.#nic,
      share: true,
      observer: {
        onUdpDatagram: (_endpoint, packet, _ip, udp, now) => {
          if (udp.sourcePort === DHCPV6_SERVER_PORT) this.#receive(packet, now);
        },
      },
    }, now);
    if (typeof endpoint === "string") return false;
    this.#endpoint = endpoint;
    return true;
  }

  close(): void {
    this.#endpoint?.close();
    this.#endpoint = undefined;
  }

  /** To all servers. Nothing happens while there is no address to speak from. */
  send(message: Dhcpv6Message, now: Instant): void {
    const source = this.#nic.linkLocal;
    if (source === undefined) return this.#stack.counters.bump("dhcpv6.no-link-local");
    const packet = this.#stack.pool.take(ROOM);
    emitDhcpv6(packet, message);
    emitUdp(packet, DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT);
    startChecksum(packet, source, ALL_DHCP_SERVERS, IpProtocol.udp, UDP_CHECKSUM);
    this.#emit(packet, source, ALL_DHCP_SERVERS, IpProtocol.udp, HOP_LIMIT, now);
  }

  /** RFC 4862 section 5.4.2: from nobody, to the group of whoever might have it. */
  detect(target: IpAddress, now: Instant): void {
    const packet = this.#stack.pool.take(0);
    const group = solicitedNode(target);
    emitNdp(packet, { kind: "neighbour-solicitation", target, options: {} }, ANY6, group);
    this.#emit(packet, ANY6, group, IpProtocol.icmpv6, NDP_HOP_LIMIT, now);
  }

  #emit(
    packet: PacketBuffer,
    source: IpAddress,
    destination: IpAddress,
    protocol: number,
    hopLimit: number,
    now: Instant,
  ): void {
    emitIpv6(packet, { source, destination, protocol, hopLimit, trafficClass: 0 });
    this.#nic.transmit(packet, MacAddress.multicast6(destination), 6, now);
  }

  #receive(packet: PacketBuffer, now: Instant): void {
    // A datagram of the guest's own loopback may be in pieces; one off the wire is not.
    if (packet.fragments.length > 0) return;
    const message = parseDhcpv6(packet);
    if (typeof message === "string") this.#stack.counters.bump(`dhcpv6.${message}`);
    else this.#onMessage(message, now);
  }
}
