/**
 * A raw endpoint: copies of all packets of one IP protocol, and packets of that protocol with a header that we write.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { SocketFacts } from "../facts.ts";
import type { IcmpErrorKind, IcmpReport } from "../ip/icmp_kind.ts";
import { DEFAULT_HOP_LIMIT, type IpOutput, type OutputError } from "../ip/output.ts";
import type { NoPath, PathResolver } from "../ip/path.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import { ANY4, ANY6, type IpAddress, type IpFamily } from "../wire/address.ts";
import { fold, onesComplementSum, packetSum, pseudoHeaderSum } from "../wire/checksum.ts";
import { type IpHeader, IpProtocol } from "../wire/ip.ts";
import { IPV4_HEADER } from "../wire/ipv4.ts";

/** Where ICMPv6 has its checksum. */
const ICMPV6_CHECKSUM = 2;

/** The user of a raw endpoint. */
export interface RawObserver {
  /** A packet, cursor at its transport header; the stack's. Moving the cursor does no harm. `ip` is scratch. */
  onRawPacket(endpoint: RawEndpoint, packet: PacketBuffer, ip: IpHeader, now: Instant): void;
  /** An ICMP error about a packet of ours to `destination`; `mtu` is 0 unless it says one. All are scratch. */
  onRawError?(
    endpoint: RawEndpoint,
    kind: IcmpErrorKind,
    destination: IpAddress,
    mtu: number,
    report: IcmpReport,
    now: Instant,
  ): void;
}

/** Sees every packet of one protocol. Made by {@linkcode Stack.rawOpen}. */
export class RawEndpoint {
  readonly family: IpFamily;
  readonly protocol: number;
  observer: RawObserver | undefined;
  hopLimit: number = DEFAULT_HOP_LIMIT;
  /** DSCP << 2 | ECN. */
  trafficClass = 0;
  dontFragment = false;
  /**
   * Offset into what is sent of a checksum over it and the pseudo header of IPv6, to be filled in; −1: none. ICMPv6 has one
   * in any case (RFC 3542 section 3.1).
   */
  checksumOffset = -1;
  /** What the packet that the observer is shown came by. */
  lastNic: Nic | undefined;
  readonly #table: RawTable;

  constructor(table: RawTable, family: IpFamily, protocol: number, observer: RawObserver) {
    this.#table = table;
    this.family = family;
    this.protocol = protocol;
    this.observer = observer;
  }

  /** Sends a packet with the cursor at its transport header. Takes ownership. */
  send(
    packet: PacketBuffer,
    destination: IpAddress,
    now: Instant,
    source?: IpAddress,
    nic?: Nic,
  ): NoPath | OutputError | undefined {
    return this.#table.send(this, packet, destination, source, nic, now);
  }

  /**
   * Sends an IPv4 packet with the cursor at its header, which is the caller's but for what Linux fills in (raw(7)): length
   * and checksum always, source and identification where they are 0. Takes ownership.
   *
   * @returns as {@linkcode send}; `malformed` for a header longer than the packet
   */
  sendWithHeader(
    packet: PacketBuffer,
    destination: IpAddress,
    now: Instant,
    nic?: Nic,
  ): NoPath | OutputError | "malformed" | undefined {
    return this.#table.sendWithHeader(packet, destination, nic, now);
  }

  /** Idempotent. */
  close(): void {
    this.observer = undefined;
    this.#table.delete(this);
  }

  facts(): SocketFacts {
    const any = (this.family === 4 ? ANY4 : ANY6).toString();
    const { family, protocol } = this;
    return {
      protocol: "raw",
      state: "UNCONN",
      family,
      local: any,
      localPort: protocol,
      remote: any,
      remotePort: 0,
      receiveQueue: 0,
      sendQueue: 0,
    };
  }
}

/** All raw endpoints of a stack. */
export class RawTable {
  readonly #endpoints: RawEndpoint[] = [];
  readonly #paths: PathResolver;
  readonly #output: IpOutput;
  readonly #limit: number;

  constructor(paths: PathResolver, output: IpOutput, limit: number) {
    this.#paths = paths;
    this.#output = output;
    this.#limit = limit;
  }

  all(): readonly RawEndpoint[] {
    return this.#endpoints;
  }

  /** Undefined: there are too many. */
  open(family: IpFamily, protocol: number, observer: RawObserver): RawEndpoint | undefined {
    if (this.#endpoints.length >= this.#limit) return undefined;
    const endpoint = new RawEndpoint(this, family, protocol, observer);
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  delete(endpoint: RawEndpoint): void {
    const at = this.#endpoints.indexOf(endpoint);
    if (at >= 0) this.#endpoints.splice(at, 1);
  }

  /** A packet that was accepted, before its transport sees it. True: somebody wanted it. */
  input(nic: Nic, packet: PacketBuffer, ip: IpHeader, now: Instant): boolean {
    if (this.#endpoints.length === 0) return false;
    let taken = false;
    const { start, end } = packet;
    // A copy of the list: an observer may close its endpoint.
    for (const endpoint of [...this.#endpoints]) {
      if (endpoint.protocol !== ip.protocol || endpoint.family !== ip.family) continue;
      taken = true;
      endpoint.lastNic = nic;
      endpoint.observer?.onRawPacket(endpoint, packet, ip, now);
      packet.start = start;
      packet.end = end;
    }
    return taken;
  }

  /** An error that came back for a packet of that protocol. True: somebody may have sent it. */
  failed(
    kind: IcmpErrorKind,
    protocol: number,
    destination: IpAddress,
    mtu: number,
    report: IcmpReport,
    now: Instant,
  ): boolean {
    if (this.#endpoints.length === 0) return false;
    let known = false;
    for (const endpoint of [...this.#endpoints]) {
      if (endpoint.protocol !== protocol || endpoint.family !== destination.family) continue;
      known = true;
      endpoint.observer?.onRawError?.(endpoint, kind, destination, mtu, report, now);
    }
    return known;
  }

  send(
    endpoint: RawEndpoint,
    packet: PacketBuffer,
    destination: IpAddress,
    source: IpAddress | undefined,
    nic: Nic | undefined,
    now: Instant,
  ): NoPath | OutputError | undefined {
    const path = this.#paths.resolve(destination.clone(), now, source, nic);
    if (typeof path === "string") {
      packet.release();
      return path;
    }
    const { protocol, hopLimit, trafficClass, dontFragment } = endpoint;
    const at = endpoint.family === 4
      ? -1
      : protocol === IpProtocol.icmpv6
      ? ICMPV6_CHECKSUM
      : endpoint.checksumOffset;
    if (at >= 0 && at + 2 <= packet.length) {
      packet.view.setUint16(packet.start + at, 0);
      const initial = pseudoHeaderSum(path.source, path.destination, protocol, packet.totalLength);
      packet.view.setUint16(packet.start + at, ~packetSum(packet, packet.start, initial));
    }
    return this.#output.send(path, packet, protocol, hopLimit, trafficClass, dontFragment, now);
  }

  sendWithHeader(
    packet: PacketBuffer,
    destination: IpAddress,
    nic: Nic | undefined,
    now: Instant,
  ): NoPath | OutputError | "malformed" | undefined {
    const path = this.#paths.resolve(destination.clone(), now, undefined, nic);
    const { view, start, length } = packet;
    const header = length < IPV4_HEADER ? 0 : (view.getUint8(start) & 15) * 4;
    if (typeof path === "string" || header < IPV4_HEADER || header > length) {
      packet.release();
      return typeof path === "string" ? path : "malformed";
    }
    view.setUint16(start + 2, packet.totalLength);
    if (view.getUint16(start + 4) === 0) {
      path.identification = (path.identification + 1) & 0xffff;
      view.setUint16(start + 4, path.identification);
    }
    if (view.getInt32(start + 12) === 0) view.setInt32(start + 12, path.source.d);
    view.setUint16(start + 10, 0);
    view.setUint16(start + 10, ~fold(onesComplementSum(view, start, start + header, 0)));
    return this.#output.sendComplete(path, packet, now);
  }
}
