/**
 * DHCP on the gateway's interface: the server of lib/stack/dhcp, behind a UDP endpoint at port 67.
 *
 * @module
 */

import type { BufferPool } from "../../stack/buffer/pool.ts";
import { type DhcpReply, DhcpServer, type DhcpServerOptions } from "../../stack/dhcp/server.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { Nic } from "../../stack/nic.ts";
import type { Stack } from "../../stack/stack.ts";
import type { Instant } from "../../stack/time.ts";
import type { UdpEndpoint, UdpObserver } from "../../stack/udp/endpoint.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import {
  DHCPV4_CLIENT_PORT,
  DHCPV4_MESSAGE_MAX,
  DHCPV4_SERVER_PORT,
  emitDhcpv4,
  parseDhcpv4,
} from "../../stack/wire/dhcpv4.ts";

/** Everybody on the link. */
const BROADCAST4: IpAddress = IpAddress.v4(-1);

/** A server at work. */
export class DhcpService implements UdpObserver {
  readonly server: DhcpServer;
  readonly #pool: BufferPool;
  readonly #nic: Nic;
  readonly #options: DhcpServerOptions;
  readonly #endpoint: UdpEndpoint;

  /** @throws {Error} when the port is taken */
  constructor(stack: Stack, nic: Nic, options: DhcpServerOptions, now: Instant) {
    this.server = new DhcpServer(options);
    this.#pool = stack.pool;
    this.#nic = nic;
    this.#options = options;
    const endpoint = stack.udpBind({ localPort: DHCPV4_SERVER_PORT, nic, observer: this }, now);
    if (typeof endpoint === "string") throw new Error(`Cannot serve DHCP: ${endpoint}`);
    this.#endpoint = endpoint;
  }

  onUdpDatagram(
    _endpoint: UdpEndpoint,
    packet: PacketBuffer,
    _ip: unknown,
    _udp: unknown,
    now: Instant,
  ): void {
    const message = packet.fragments.length > 0 ? "fragmented" : parseDhcpv4(packet);
    if (typeof message === "string") {
      this.#options.counters.bump("dhcp.malformed");
      return;
    }
    const reply = this.server.handle(message, now);
    if (reply !== undefined) this.#send(reply, now);
  }

  onUdpError(): void {}

  close(): void {
    this.#endpoint.close();
  }

  #send({ message, to }: DhcpReply, now: Instant): void {
    const packet = this.#pool.take(DHCPV4_MESSAGE_MAX);
    if (emitDhcpv4(packet, message) > 0) this.#options.counters.bump("dhcp.options-omitted");
    const { yourAddress, hardware } = message;
    const reachable = to !== undefined && !to.isUnspecified();
    // The client does not answer ARP for an address that it has not taken yet (RFC 2131 section 4.1). Of one that it only
    // says that it has (INFORM) we know nothing: it might be another's.
    if (reachable && yourAddress?.equals(to) === true) this.#nic.neighbours.learn(to, hardware, now);
    const destination = reachable ? to : BROADCAST4;
    this.#endpoint.send(packet, now, destination, DHCPV4_CLIENT_PORT, this.#options.server);
  }
}
