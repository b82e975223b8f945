/**
 * UDP: ports, datagrams in and out, and errors about them (RFC 768, RFC 1122 section 4.1, RFC 8085).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { Counter, Counters } from "../counters.ts";
import type { IcmpErrorKind, IcmpReport } from "../ip/icmp_kind.ts";
import type { Delivery } from "../ip/input.ts";
import type { IpOutput } from "../ip/output.ts";
import type { IpPath, NoPath, PathResolver } from "../ip/path.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { startChecksum, verifyTransport } from "../wire/checksum.ts";
import { IpHeader, IpProtocol } from "../wire/ip.ts";
import { emitIpv4 } from "../wire/ipv4.ts";
import { emitIpv6 } from "../wire/ipv6.ts";
import { MALFORMED, type Malformed } from "../wire/malformed.ts";
import { emitUdp, parseUdp, UDP_CHECKSUM, UDP_HEADER, UdpHeader } from "../wire/udp.ts";
import { UdpDemux } from "./demux.ts";
import { type UdpBindRequest, type UdpContext, UdpEndpoint, type UdpSendError } from "./endpoint.ts";

/** Where a datagram goes for which there is no endpoint. Called from ingress; all arguments are scratch. */
export type UdpForwarder = (
  packet: PacketBuffer,
  ip: IpHeader,
  udp: UdpHeader,
  nic: Nic,
  now: Instant,
) => void;

/** Why a port could not be bound. */
export type UdpBindError =
  | NoPath
  | "address-in-use"
  | "address-not-available"
  | "no-ports"
  | "too-many-endpoints";

/** Linux' `ip_local_port_range`. */
const FIRST_EPHEMERAL = 32_768;
const LAST_EPHEMERAL = 60_999;
/** How often a random port is tried before the range is walked (RFC 6056 section 3.3.1). */
const RANDOM_TRIES = 16;

/** What UDP needs of the stack. */
export interface UdpSurroundings {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly paths: PathResolver;
  readonly output: IpOutput;
  readonly limits: { readonly udpEndpoints: number };
  random(): number;
  owns(address: IpAddress): boolean;
  icmpError(kind: IcmpErrorKind, ip: IpHeader, packet: PacketBuffer, nic: Nic, now: Instant): boolean;
}

/** The UDP of one stack. */
export class Udp implements UdpContext {
  forwarder: UdpForwarder | undefined = undefined;
  readonly demux: UdpDemux = new UdpDemux();
  readonly #surroundings: UdpSurroundings;
  readonly #malformed: Readonly<Record<Malformed, Counter>>;
  readonly #header = new UdpHeader();
  readonly #quote = new IpHeader();

  constructor(surroundings: UdpSurroundings) {
    this.#surroundings = surroundings;
    this.#malformed = surroundings.counters.slots("udp", MALFORMED);
  }

  /** Binds a port. Addresses in the request are kept, not copied. */
  bind(request: UdpBindRequest, now: Instant): UdpEndpoint | UdpBindError {
    const { counters, owns, paths, limits } = this.#surroundings;
    if (this.demux.size >= limits.udpEndpoints) {
      counters.bump("udp.too-many-endpoints");
      return "too-many-endpoints";
    }
    let { localAddress } = request;
    const { remoteAddress, nic } = request;
    const remotePort = request.remotePort ?? 0;
    const group = localAddress !== undefined &&
      (localAddress.isMulticast() || localAddress.isLimitedBroadcast());
    if (
      localAddress !== undefined && !localAddress.isUnspecified() && !group &&
      !owns.call(this.#surroundings, localAddress) && nic?.spoofing !== true &&
      nic?.isBroadcast(localAddress) !== true
    ) return "address-not-available";
    if (remoteAddress !== undefined) {
      if (remotePort === 0) return "address-not-available";
      if (localAddress === undefined || localAddress.isUnspecified()) {
        const path = paths.resolve(remoteAddress, now, undefined, nic);
        if (typeof path === "string") return path;
        localAddress = path.source;
      }
    }
    const named = localAddress === undefined || localAddress.isUnspecified() ? undefined : localAddress;
    const localPort = request.localPort || this.#ephemeral(named, remoteAddress, remotePort, nic);
    if (localPort === undefined) return "no-ports";
    if (request.share !== true && this.demux.taken(named, localPort, remoteAddress, remotePort, nic)) {
      return "address-in-use";
    }
    const endpoint = new UdpEndpoint({ ...request, ...(localAddress && { localAddress }), localPort }, this);
    this.demux.add(endpoint);
    return endpoint;
  }

  /** The endpoint that a datagram from `remote` to our address `local` would reach. */
  endpointFor(
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
  ): UdpEndpoint | undefined {
    return this.demux.lookup(local, localPort, remote, remotePort, undefined, false);
  }

  /** A datagram, cursor at the UDP header. Does not own it. */
  input(nic: Nic, packet: PacketBuffer, ip: IpHeader, delivery: Delivery, now: Instant): void {
    const { counters } = this.#surroundings;
    if (!verifyTransport(packet, ip)) {
      counters.count(this.#malformed["bad-checksum"]);
      return;
    }
    const udp = this.#header;
    const reason = parseUdp(packet, udp);
    if (reason !== undefined) {
      counters.count(this.#malformed[reason]);
      return;
    }
    if (delivery === "group") return this.#inputGroup(nic, packet, ip, udp, now);
    const { source, destination } = ip;
    const { sourcePort, destinationPort } = udp;
    const foreign = delivery === "foreign";
    const endpoint = this.demux.lookup(destination, destinationPort, source, sourcePort, nic, foreign);
    if (endpoint !== undefined) return endpoint.deliver(packet, ip, udp, nic, now);
    if (this.forwarder !== undefined && nic.kind !== "loopback") {
      this.forwarder(packet, ip, udp, nic, now);
      // A forwarder that bound an endpoint for this flow may have to refuse this very datagram later.
      if (this.demux.size > 0) {
        this.demux.connected(destination, destinationPort, source, sourcePort)?.note(ip, udp, nic);
      }
      return;
    }
    counters.bump("udp.no-endpoint");
    if (!foreign) this.#surroundings.icmpError("port-unreachable", ip, packet, nic, now);
  }

  /** An ICMP error about a datagram from `local`. Returns whether there is an endpoint that sent it. */
  error(
    kind: IcmpErrorKind,
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
    mtu: number,
    nic: Nic,
    now: Instant,
    report?: IcmpReport,
  ): boolean {
    const endpoint = this.demux.lookup(local, localPort, remote, remotePort, nic, false);
    if (endpoint === undefined) return false;
    endpoint.observer?.onUdpError?.(endpoint, kind, remote, remotePort, now, mtu, report);
    return true;
  }

  resolve(
    endpoint: UdpEndpoint,
    destination: IpAddress,
    now: Instant,
    from?: IpAddress,
    nic: Nic | undefined = endpoint.nic,
  ): IpPath | NoPath {
    // A kept path keeps its destination: copy what may be a header's scratch.
    const { localAddress } = endpoint;
    // Nobody sends from the group that it listens to.
    const source = from !== undefined
      ? from
      : localAddress?.isMulticast() === true || localAddress?.isLimitedBroadcast() === true
      ? undefined
      : localAddress;
    return this.#surroundings.paths.resolve(destination.clone(), now, source, nic);
  }

  output(
    endpoint: UdpEndpoint,
    path: IpPath,
    payload: PacketBuffer,
    remotePort: number,
    now: Instant,
  ): UdpSendError | undefined {
    if (payload.totalLength > 0xffff - UDP_HEADER - (path.destination.family === 4 ? 20 : 0)) {
      payload.release();
      return "message-size";
    }
    emitUdp(payload, endpoint.localPort, remotePort);
    startChecksum(payload, path.source, path.destination, IpProtocol.udp, UDP_CHECKSUM);
    return this.#surroundings.output.send(
      path,
      payload,
      IpProtocol.udp,
      endpoint.hopLimit,
      endpoint.trafficClass,
      endpoint.dontFragment,
      now,
    );
  }

  /** Writes the headers of the last datagram again: RFC 792 asks for the IP header and eight bytes, which is all we have. */
  refuse(endpoint: UdpEndpoint, kind: IcmpErrorKind, now: Instant): boolean {
    const { last } = endpoint;
    const { source, destination, nic } = last;
    if (source === undefined || destination === undefined || nic === undefined) return false;
    const quote = this.#surroundings.pool.take(0);
    emitUdp(quote, last.sourcePort, last.destinationPort);
    quote.view.setUint16(quote.start + 4, last.length);
    const fields = {
      source,
      destination,
      protocol: IpProtocol.udp,
      hopLimit: last.hopLimit,
      trafficClass: 0,
      identification: last.identification,
    };
    const transport = quote.start;
    if (source.family === 4) emitIpv4(quote, fields, last.length);
    else emitIpv6(quote, fields, last.length);
    const ip = this.#quote;
    Object.assign(ip.source, source);
    Object.assign(ip.destination, destination);
    ip.family = source.family;
    ip.protocol = IpProtocol.udp;
    ip.fragmentOffset = 0;
    ip.headerStart = quote.start;
    ip.headerLength = transport - quote.start;
    const sent = this.#surroundings.icmpError(kind, ip, quote, nic, now);
    quote.release();
    return sent;
  }

  closed(endpoint: UdpEndpoint): void {
    this.demux.delete(endpoint);
  }

  /** RFC 1122 section 4.1.3.3: to every endpoint that is bound to the port, and never an error. */
  #inputGroup(nic: Nic, packet: PacketBuffer, ip: IpHeader, udp: UdpHeader, now: Instant): void {
    const { start, end } = packet;
    const port = udp.destinationPort;
    let endpoint = this.demux.nextGroup(undefined, ip.destination, port, nic);
    if (endpoint === undefined) this.#surroundings.counters.bump("udp.no-group-endpoint");
    while (endpoint !== undefined) {
      // The observer may close the endpoint: look for the next one first.
      const next = this.demux.nextGroup(endpoint, ip.destination, port, nic);
      endpoint.deliver(packet, ip, udp, nic, now);
      packet.start = start;
      packet.end = end;
      endpoint = next;
    }
  }

  #ephemeral(
    local: IpAddress | undefined,
    remote: IpAddress | undefined,
    remotePort: number,
    nic: Nic | undefined,
  ): number | undefined {
    const range = LAST_EPHEMERAL - FIRST_EPHEMERAL + 1;
    let port = 0;
    for (let i = 0; i < RANDOM_TRIES + range; i++) {
      port = i < RANDOM_TRIES
        ? FIRST_EPHEMERAL + (this.#surroundings.random() >>> 0) % range
        : FIRST_EPHEMERAL + (port - FIRST_EPHEMERAL + 1) % range;
      if (!this.demux.taken(local, port, remote, remotePort, nic)) return port;
    }
    this.#surroundings.counters.bump("udp.no-ports");
    return undefined;
  }
}
