/**
 * A UDP endpoint (RFC 768, RFC 1122 section 4.1).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { SocketFacts } from "../facts.ts";
import type { IcmpErrorKind, IcmpReport } from "../ip/icmp_kind.ts";
import type { IpPath, NoPath } from "../ip/path.ts";
import type { OutputError } from "../ip/output.ts";
import { DEFAULT_HOP_LIMIT } from "../ip/output.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import { ANY4, ANY6, type IpAddress } from "../wire/address.ts";
import type { IpHeader } from "../wire/ip.ts";
import type { UdpHeader } from "../wire/udp.ts";

/** The user of an endpoint. Called from ingress: must not block, may send. */
export interface UdpObserver {
  /**
   * A datagram came. `packet` is at its payload and belongs to the stack: `retain()` it to keep it. `ip` and `udp` are
   * scratch: `clone()` addresses to keep them.
   */
  onUdpDatagram(
    endpoint: UdpEndpoint,
    packet: PacketBuffer,
    ip: IpHeader,
    udp: UdpHeader,
    now: Instant,
  ): void;
  /** An ICMP error came back for something that this endpoint sent to `remoteAddress`, `remotePort` (scratch). */
  onUdpError?(
    endpoint: UdpEndpoint,
    kind: IcmpErrorKind,
    remoteAddress: IpAddress,
    remotePort: number,
    now: Instant,
    /** MTU of `packet-too-big`; else 0. */
    mtu: number,
    /** The message itself; absent when it was this stack that gave up. */
    report?: IcmpReport,
  ): void;
}

/** Who has something for an endpoint that is {@linkcode UdpEndpoint.full}. */
export interface RoomWaiter {
  /** It has room now, or is closed. */
  onRoom(): void;
}

/** What {@linkcode Stack.udpBind} takes. */
export interface UdpBindRequest {
  /** Absent or unspecified: every address of ours, of both families if absent. */
  readonly localAddress?: IpAddress;
  /** 0 or absent: an ephemeral port. */
  readonly localPort?: number;
  /** With `remotePort`: only this peer is heard (a connected endpoint). */
  readonly remoteAddress?: IpAddress;
  readonly remotePort?: number;
  /** Only this interface; needed to bind an address that is not ours. */
  readonly nic?: Nic;
  readonly observer: UdpObserver;
  /** Others may be bound to the same: who binds decides (SO_REUSEADDR). The latest hears what only one may hear. */
  readonly share?: boolean;
}

/** Why a datagram was not sent. */
export type UdpSendError = OutputError | NoPath | "not-connected" | "closed";

/** What an endpoint needs from the table that made it. */
export interface UdpContext {
  resolve(
    endpoint: UdpEndpoint,
    destination: IpAddress,
    now: Instant,
    source?: IpAddress,
    nic?: Nic,
  ): IpPath | NoPath;
  output(
    endpoint: UdpEndpoint,
    path: IpPath,
    payload: PacketBuffer,
    remotePort: number,
    now: Instant,
  ): UdpSendError | undefined;
  /** Answers the last datagram that the endpoint heard with an ICMP error. */
  refuse(endpoint: UdpEndpoint, kind: IcmpErrorKind, now: Instant): boolean;
  closed(endpoint: UdpEndpoint): void;
}

/** Where the last datagram came from: enough to quote its headers in an ICMP error. */
export interface LastDatagram {
  source: IpAddress | undefined;
  destination: IpAddress | undefined;
  sourcePort: number;
  destinationPort: number;
  /** Of the UDP header and payload. */
  length: number;
  identification: number;
  hopLimit: number;
  nic: Nic | undefined;
}

/** A bound UDP port. Made by {@linkcode Stack.udpBind}. */
export class UdpEndpoint {
  /** Undefined: every address. */
  readonly localAddress: IpAddress | undefined;
  readonly localPort: number;
  readonly remoteAddress: IpAddress | undefined;
  readonly remotePort: number;
  readonly nic: Nic | undefined;
  observer: UdpObserver | undefined;
  hopLimit: number = DEFAULT_HOP_LIMIT;
  trafficClass = 0;
  /** Refuse datagrams that do not fit the path's MTU with `message-size` instead of cutting them (IP_PMTUDISC_DO). */
  dontFragment = false;
  /** Why the last {@linkcode send} returned false. */
  sendError: UdpSendError | undefined = undefined;
  received = 0;
  sent = 0;
  /** The table's links. */
  chain: UdpEndpoint | undefined = undefined;
  closed = false;
  /**
   * The user has hardly any room left: what comes will soon be lost. UDP cannot tell a sender, but one in this program may
   * look, and wait.
   */
  full = false;
  readonly #waiters = new Set<RoomWaiter>();
  readonly last: LastDatagram = {
    source: undefined,
    destination: undefined,
    sourcePort: 0,
    destinationPort: 0,
    length: 0,
    identification: 0,
    hopLimit: 0,
    nic: undefined,
  };
  readonly #context: UdpContext;
  #path: IpPath | undefined = undefined;

  constructor(request: UdpBindRequest & { readonly localPort: number }, context: UdpContext) {
    const { localAddress } = request;
    this.localAddress = localAddress === undefined || localAddress.isUnspecified() ? undefined : localAddress;
    this.localPort = request.localPort;
    this.remoteAddress = request.remoteAddress;
    this.remotePort = request.remotePort ?? 0;
    this.nic = request.nic;
    this.observer = request.observer;
    this.#context = context;
    this.#bothFamilies = localAddress === undefined;
    this.#family = localAddress?.family ?? 6;
  }

  readonly #bothFamilies: boolean;
  readonly #family: 4 | 6;

  /** Whether a datagram of that family to an address that was not named at bind is for this endpoint. */
  hears(family: 4 | 6): boolean {
    return this.#bothFamilies || this.#family === family;
  }

  /**
   * Sends a datagram. Takes ownership of `payload`, which needs `HEADROOM` in front, whatever it returns.
   *
   * @param source another address of ours to send from (IP_PKTINFO)
   * @param nic the only interface to use, for this datagram
   * @returns true when it is on its way; {@linkcode sendError} tells why it is not
   */
  send(
    payload: PacketBuffer,
    now: Instant,
    remoteAddress?: IpAddress,
    remotePort?: number,
    source?: IpAddress,
    nic?: Nic,
  ): boolean {
    const destination = remoteAddress ?? this.remoteAddress;
    const port = remotePort ?? this.remotePort;
    if (this.closed) return this.#refuse(payload, "closed");
    if (destination === undefined || port === 0) return this.#refuse(payload, "not-connected");
    const special = source !== undefined || nic !== undefined;
    let path = special ? undefined : this.#path;
    if (path === undefined || !path.destination.equals(destination)) {
      const fresh = this.#context.resolve(this, destination, now, source, nic);
      if (typeof fresh === "string") return this.#refuse(payload, fresh);
      // One path is remembered: a relay that answers many peers in turn resolves for each.
      path = fresh;
      if (!special) this.#path = fresh;
    }
    this.sendError = this.#context.output(this, path, payload, port, now);
    if (this.sendError !== undefined) return false;
    this.sent++;
    return true;
  }

  #refuse(payload: PacketBuffer, why: UdpSendError): false {
    payload.release();
    this.sendError = why;
    return false;
  }

  /** Hands a datagram to the observer. For the table, and for a forwarder that has just bound this endpoint. */
  deliver(packet: PacketBuffer, ip: IpHeader, udp: UdpHeader, nic: Nic, now: Instant): void {
    this.note(ip, udp, nic);
    this.received++;
    this.observer?.onUdpDatagram(this, packet, ip, udp, now);
  }

  /** Remembers a datagram as the last one heard, for {@linkcode sendPortUnreachable}. */
  note(ip: IpHeader, udp: UdpHeader, nic: Nic): void {
    const { last } = this;
    if (last.source === undefined || !last.source.equals(ip.source)) last.source = ip.source.clone();
    if (last.destination === undefined || !last.destination.equals(ip.destination)) {
      last.destination = ip.destination.clone();
    }
    last.sourcePort = udp.sourcePort;
    last.destinationPort = udp.destinationPort;
    last.length = udp.length;
    last.identification = ip.identification;
    last.hopLimit = ip.hopLimit;
    last.nic = nic;
  }

  /**
   * Tells the sender of the last datagram that nobody listens (or another reason), quoting that datagram's headers. For
   * relays whose far end said so. False: nothing was heard yet, or the rate limit forbids it.
   */
  sendPortUnreachable(now: Instant, kind: IcmpErrorKind = "port-unreachable"): boolean {
    return this.#context.refuse(this, kind, now);
  }

  /** Tells `waiter`, once, when the endpoint is not {@linkcode full} any more. */
  whenRoom(waiter: RoomWaiter): void {
    this.#waiters.add(waiter);
  }

  /** Takes {@linkcode whenRoom} back. */
  forget(waiter: RoomWaiter): void {
    this.#waiters.delete(waiter);
  }

  /** The user has room again. */
  relieve(): void {
    this.full = false;
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.onRoom();
  }

  /** Frees the port. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.observer = undefined;
    this.#context.closed(this);
    this.relieve();
  }

  /** What `ss -u` prints. */
  facts(): SocketFacts {
    const family = (this.localAddress ?? this.remoteAddress)?.family ?? this.#family;
    const any = family === 4 ? ANY4 : ANY6;
    return {
      protocol: "udp",
      state: this.remoteAddress === undefined ? "UNCONN" : "ESTAB",
      family,
      local: (this.localAddress ?? any).toString(),
      localPort: this.localPort,
      remote: (this.remoteAddress ?? any).toString(),
      remotePort: this.remotePort,
      receiveQueue: 0,
      sendQueue: 0,
    };
  }
}
