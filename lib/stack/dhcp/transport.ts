/**
 * Datagrams of a DHCP client: from 0.0.0.0 to everybody while it has no address, between two hosts afterwards.
 *
 * Requests set the broadcast flag, so that servers answer to everybody; those that do not care (passt) answer to an address
 * that is not ours yet, which the interface takes while `unaddressed`.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { Counters } from "../counters.ts";
import type { Nic } from "../nic.ts";
import type { Stack } from "../stack.ts";
import type { Instant } from "../time.ts";
import type { UdpEndpoint } from "../udp/endpoint.ts";
import { ANY4, IpAddress } from "../wire/address.ts";
import { ARP_PACKET, ArpOperation, emitArp } from "../wire/arp.ts";
import { startChecksum } from "../wire/checksum.ts";
import {
  DHCPV4_CLIENT_PORT,
  DHCPV4_SERVER_PORT,
  type Dhcpv4Fields,
  type Dhcpv4Message,
  emitDhcpv4,
  parseDhcpv4,
} from "../wire/dhcpv4.ts";
import { EtherType, MAC_BROADCAST, MAC_ZERO, type MacAddress } from "../wire/ethernet.ts";
import { IpProtocol } from "../wire/ip.ts";
import { emitIpv4 } from "../wire/ipv4.ts";
import { emitUdp, UDP_CHECKSUM } from "../wire/udp.ts";

const EVERYBODY: IpAddress = IpAddress.v4(-1);
const HOP_LIMIT = 64;
/** Room for the longest message that we write. */
const ROOM = 1_000;

/** Sends and receives for one client on one interface. */
export class Dhcpv4Transport {
  readonly #stack: Stack;
  readonly #nic: Nic;
  readonly #pool: BufferPool;
  readonly #counters: Counters;
  readonly #onMessage: (message: Dhcpv4Message, from: IpAddress, now: Instant) => void;
  #endpoint: UdpEndpoint | undefined;

  constructor(
    stack: Stack,
    nic: Nic,
    onMessage: (message: Dhcpv4Message, from: IpAddress, now: Instant) => void,
  ) {
    this.#stack = stack;
    this.#nic = nic;
    this.#pool = stack.pool;
    this.#counters = stack.counters;
    this.#onMessage = onMessage;
  }

  /** Binds port 68 of the interface. False: it is taken. */
  open(now: Instant): boolean {
    if (this.#endpoint !== undefined) return true;
    const endpoint = this.#stack.udpBind({
      localAddress: ANY4,
      localPort: DHCPV4_CLIENT_PORT,
      nic: this.#nic,
      share: true,
      observer: {
        onUdpDatagram: (_endpoint, packet, ip, udp, now) => {
          if (udp.sourcePort === DHCPV4_SERVER_PORT) this.#receive(packet, ip.source.clone(), now);
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

  /** To everybody, from nobody (RFC 2131 section 4.1). */
  broadcast(message: Dhcpv4Fields, now: Instant): void {
    this.#transmit(message, ANY4, EVERYBODY, MAC_BROADCAST, now);
  }

  /** To a server, at once: there is no time to ask where it is. Who does not know tells everybody. */
  farewell(message: Dhcpv4Fields, server: IpAddress, source: IpAddress, now: Instant): void {
    const mac = this.#nic.neighbours.peek(server)?.mac;
    this.#transmit(message, source, server, mac === undefined || mac.isZero() ? MAC_BROADCAST : mac, now);
  }

  #transmit(
    message: Dhcpv4Fields,
    source: IpAddress,
    destination: IpAddress,
    hardware: MacAddress,
    now: Instant,
  ): void {
    const packet = this.#write(message);
    emitUdp(packet, DHCPV4_CLIENT_PORT, DHCPV4_SERVER_PORT);
    startChecksum(packet, source, destination, IpProtocol.udp, UDP_CHECKSUM);
    const fields = { source, destination, protocol: IpProtocol.udp, hopLimit: HOP_LIMIT, trafficClass: 0 };
    emitIpv4(packet, fields);
    this.#nic.transmit(packet, hardware, 4, now);
  }

  /** To a server that we know, from the address that we have. */
  unicast(message: Dhcpv4Fields, server: IpAddress, source: IpAddress, now: Instant): void {
    this.#endpoint?.send(this.#write(message), now, server, DHCPV4_SERVER_PORT, source, this.#nic);
  }

  /** Asks whether anybody has `address` (RFC 5227 section 2.1.1). */
  probe(address: IpAddress, now: Instant): void {
    this.#arp(ANY4, address, now);
  }

  /** Tells everybody that we have `address` (RFC 5227 section 2.3). */
  announce(address: IpAddress, now: Instant): void {
    this.#arp(address, address, now);
  }

  #arp(senderIp: IpAddress, targetIp: IpAddress, now: Instant): void {
    const packet = this.#pool.take(ARP_PACKET);
    emitArp(packet, {
      operation: ArpOperation.request,
      senderMac: this.#nic.mac,
      senderIp,
      targetMac: MAC_ZERO,
      targetIp,
    });
    this.#nic.transmitFrame(packet, MAC_BROADCAST, EtherType.arp, now);
  }

  #write(message: Dhcpv4Fields): PacketBuffer {
    const packet = this.#pool.take(ROOM);
    emitDhcpv4(packet, message);
    return packet;
  }

  #receive(packet: PacketBuffer, from: IpAddress, now: Instant): void {
    // A datagram of the guest's own loopback may be in pieces; one off the wire is not.
    if (packet.fragments.length > 0) return;
    const message = parseDhcpv4(packet);
    if (typeof message === "string") this.#counters.bump(`dhcp.${message}`);
    else this.#onMessage(message, from, now);
  }
}
