/**
 * One UDP flow of the guest: an endpoint of the stack in the destination's place, and a connected socket of the host.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { setHopLimit } from "../../host/inet.ts";
import { EpollEvents, type ReadyHandler } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import { Gso, type PacketBuffer } from "../../stack/buffer/packet.ts";
import type { FlowFacts } from "../../stack/facts.ts";
import type { IcmpErrorKind } from "../../stack/ip/icmp_kind.ts";
import { type Instant, NEVER } from "../../stack/time.ts";
import type { RoomWaiter, UdpEndpoint, UdpObserver } from "../../stack/udp/endpoint.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { type IpHeader, IpProtocol } from "../../stack/wire/ip.ts";
import { emitUdp, type UdpHeader } from "../../stack/wire/udp.ts";
import { SLOTS } from "./datagram_io.ts";
import { ErrorRelay, type ErrorSubject, type Original } from "./error_relay.ts";
import { age, endpointText, type Flow } from "./flows.ts";
import { carriedHopLimit } from "./host_socket.ts";
import type { LruItem, LruList } from "./lru_list.ts";
import type { UdpFlows } from "./udp.ts";
import { unreachable } from "./unreachable.ts";

/** Batches of one flow in one turn. */
const TURN_BATCHES = 4;
/**
 * Kernel memory that the datagrams of one turn may take in the guest's socket, if it tells when that is full: it can tell only
 * when it has got them. Less than half of an ordinary buffer (`net.core.wmem_default`); reckoned high.
 */
const TURN_MEMORY = 98_304;
/** What a datagram takes of it beside its bytes, for which memory comes in powers of two. */
const OVERHEAD = 1_024;
/** What a flow watches its descriptor for, and what while the guest takes nothing. */
export const ARRIVALS = EpollEvents.in | EpollEvents.et;
const NOTHING = EpollEvents.et;

/** A UDP flow. Exists until {@linkcode UdpFlow.close}. */
export class UdpFlow implements UdpObserver, RoomWaiter, ReadyHandler, Flow, ErrorSubject, LruItem<UdpFlow> {
  newer: UdpFlow | undefined;
  older: UdpFlow | undefined;
  list: LruList<UdpFlow> | undefined;
  usedAt: Instant;

  readonly fd: number;
  /** The far end as the host dials it. */
  readonly host: IpAddress;
  readonly port: number;
  /** Whose share of the flows it is part of. */
  readonly tenant: number;
  /** The host cannot cut super-datagrams on this route. */
  unsegmented = false;
  /** The far end has answered. */
  answered = false;
  bytesOut = 0;
  readonly #flows: UdpFlows;
  readonly #since: Instant;
  #endpoint: UdpEndpoint | undefined;
  #bytesIn = 0;
  #deferred = false;
  /** The turn in which datagrams were read last, and what they take of {@linkcode TURN_MEMORY}. */
  #turn = NEVER;
  #taken = 0;
  /** The guest's endpoint, while it is full and we leave what comes on the host. */
  #full: UdpEndpoint | undefined;
  /** Something may wait in the socket's error queue. */
  #troubled = false;
  /** That of the socket; −1: the host's default. */
  #hopLimit = -1;

  constructor(flows: UdpFlows, fd: number, host: IpAddress, port: number, tenant: number, now: Instant) {
    this.tenant = tenant;
    this.#flows = flows;
    this.fd = fd;
    this.host = host;
    this.port = port;
    this.#since = now;
    this.usedAt = now;
  }

  get closed(): boolean {
    return this.#endpoint === undefined;
  }

  /** Takes the endpoint whose observer this is. Call once. */
  join(endpoint: UdpEndpoint): void {
    this.#endpoint = endpoint;
  }

  /** A datagram of the guest. */
  onUdpDatagram(
    _endpoint: UdpEndpoint,
    packet: PacketBuffer,
    ip: IpHeader,
    _udp: UdpHeader,
    now: Instant,
  ): void {
    if (ip.hopLimit <= 1) return this.#flows.hopLimitReached(packet, ip, now);
    const hopLimit = carriedHopLimit(ip.hopLimit);
    if (hopLimit !== this.#hopLimit) {
      // It is the socket's, so those that wait for the end of the turn go with their own.
      this.#flows.flush(now);
      this.#hopLimit = hopLimit;
      setHopLimit(this.fd, this.host.family, hopLimit);
    }
    this.#flows.send(this, packet);
  }

  /** The guest does not want what came. The far end's kernel would hear of it; ours has no way to say so. */
  onUdpError(): void {
    this.#flows.count("gateway.udp.guest-unreachable");
  }

  onReady(events: number): void {
    if ((events & EpollEvents.err) !== 0) this.#troubled = true;
    if ((events & (EpollEvents.in | EpollEvents.err | EpollEvents.hup)) !== 0) this.run();
  }

  /** Receives what waits; the rest of a long queue is left to the work list. */
  run(): void {
    this.#deferred = false;
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    const { receiver, reactor, errors } = this.#flows;
    const now = this.#flows.now();
    // First: what waits there would be told again by the call that receives.
    if (this.#troubled) this.#troubled = errors.drain(this, now) === ErrorRelay.batch;
    const guest = this.#flows.guestEndpoint(endpoint);
    if (guest?.full === true) this.#waitFor(guest);
    if (now !== this.#turn) this.#taken = 0;
    this.#turn = now;
    for (let batch = 0; batch < TURN_BATCHES && this.#full === undefined; batch++) {
      if (guest !== undefined && this.#taken >= TURN_MEMORY) break;
      const count = receiver.receive(this.fd);
      if (count < 0) {
        if (count === -Errno.EAGAIN) {
          if (!this.#troubled) return;
          break;
        }
        // The error is cleared by being told; datagrams may wait behind it.
        if (errors.drain(this, now) === 0) this.failed(-count, now);
        continue;
      }
      for (let i = 0; i < count;) i += this.#toGuest(endpoint, i, count, now);
      if (count > 0) this.#flows.heard(this, now);
      if (count < SLOTS && !this.#troubled) return;
    }
    // A descriptor that is watched again is reported again.
    if (this.#full !== undefined && !this.#troubled) return;
    if (!this.#deferred) {
      this.#deferred = true;
      reactor.defer(this);
    }
  }

  /** What comes waits on the host until the guest has room: the bound of that queue is the kernel's, as are its drops. */
  #waitFor(guest: UdpEndpoint): void {
    if (this.#full === guest) return;
    this.#full?.forget(this);
    this.#full = guest;
    guest.whenRoom(this);
    this.#flows.count("gateway.udp.guest-waits");
    this.#flows.reactor.modify(this.fd, NOTHING);
  }

  onRoom(): void {
    this.#full = undefined;
    if (this.#endpoint !== undefined) this.#flows.reactor.modify(this.fd, ARRIVALS);
  }

  get guest(): IpAddress {
    return this.#endpoint!.remoteAddress!;
  }

  get destination(): IpAddress {
    return this.#endpoint!.localAddress!;
  }

  /** Ports are the flow's own; for the rest it is the last datagram's, as nobody counts them. */
  restore(quote: PacketBuffer, into: Original): boolean {
    const { last } = this.#endpoint!;
    emitUdp(quote, last.sourcePort, last.destinationPort);
    quote.view.setUint16(quote.start + 4, last.length);
    into.protocol = IpProtocol.udp;
    into.hopLimit = last.hopLimit;
    into.identification = last.identification;
    into.length = last.length;
    return true;
  }

  onOutsideError(what: IcmpErrorKind | "odd"): void {
    this.#flows.count(
      what === "odd"
        ? "gateway.udp.odd-error"
        : what === "port-unreachable"
        ? "gateway.udp.host-refused"
        : "gateway.udp.host-error",
    );
  }

  /**
   * Sends slot `from`, and with it what follows and fits one frame; returns how many. One system call for many
   * datagrams: measured under load, half as much again arrived in the guest.
   */
  #toGuest(endpoint: UdpEndpoint, from: number, to: number, now: Instant): number {
    const { receiver, pool } = this.#flows;
    const size = receiver.length(from);
    const run = this.#flows.mayJoin(size) ? receiver.runLength(from, to) : 1;
    let frame: PacketBuffer;
    if (run === 1) frame = receiver.take(from);
    else {
      frame = pool.take(0);
      frame.gso = Gso.datagrams;
      frame.gsoSize = size;
      for (let i = from; i < from + run; i++) {
        const payload = receiver.take(i);
        frame.attach(payload, payload.start, payload.end);
        payload.release();
      }
    }
    this.#bytesIn += frame.totalLength;
    this.#taken += 2 * frame.totalLength + run * OVERHEAD;
    if (!endpoint.send(frame, now)) this.#flows.count("gateway.udp.guest-full");
    return run;
  }

  /** The host's kernel knows something of the far end: the guest hears it as the ICMP error that it was. */
  failed(errno: number, now: Instant): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    switch (errno) {
      case Errno.ECONNREFUSED:
        this.#flows.count("gateway.udp.host-refused");
        endpoint.sendPortUnreachable(now);
        return;
      case Errno.EAGAIN:
      case Errno.ENOBUFS:
        this.#flows.count("gateway.udp.host-full");
        return;
      case Errno.EMSGSIZE:
        this.#flows.count("gateway.udp.too-long");
        return;
      default:
        this.#flows.count("gateway.udp.host-error");
        endpoint.sendPortUnreachable(now, unreachable(errno));
    }
  }

  close(): void {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    this.#endpoint = undefined;
    this.#full?.forget(this);
    endpoint.close();
    this.#flows.reactor.forget(this.fd);
    close(this.fd);
  }

  facts(now: Instant): FlowFacts {
    const endpoint = this.#endpoint!;
    return {
      protocol: "udp",
      direction: "out",
      guest: endpointText(endpoint.remoteAddress!, endpoint.remotePort),
      destination: endpointText(endpoint.localAddress!, endpoint.localPort),
      host: endpointText(this.host, this.port),
      state: this.answered ? "two-way" : "one-way",
      bytesOut: this.bytesOut,
      bytesIn: this.#bytesIn,
      age: age(this.#since, now),
    };
  }
}
