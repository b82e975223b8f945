/**
 * The guest's UDP, outwards: a table of flows, each with a connected socket of its own on the host.
 *
 * A flow is one guest address and port with one destination. The first datagram makes it: a socket of the host that is
 * connected to the destination (so that the kernel keeps strangers out and tells of ICMP errors), and an endpoint of
 * the stack that stands in the destination's place, so that every later datagram finds its flow in the stack's own table.
 *
 * ```text
 *                      lifetime   starts again with every datagram, either way
 *   to port 53           10 s     RFC 4787 section 4.3 allows less for well-known ports; a resolver answers or does not
 *   unanswered           30 s
 *   answered            180 s     REQ-5: not less than two minutes
 * ```
 *
 * At the limit the least recently used flow goes, unanswered ones before answered ones: a guest that sprays datagrams
 * cannot push its own conversations out.
 *
 * Datagrams are not sent one by one: they wait until the turn of the loop ends ({@linkcode UdpFlows.flush}), so that a
 * burst is one system call. {@linkcode BATCH} of them are never waited with.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { connectTo, receiveErrors } from "../../host/inet.ts";
import type { Reactor, Work } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { Nic } from "../../stack/nic.ts";
import type { Stack } from "../../stack/stack.ts";
import type { UdpEndpoint } from "../../stack/udp/endpoint.ts";
import { earlier, type Instant, SECOND } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import type { IpHeader } from "../../stack/wire/ip.ts";
import type { UdpHeader } from "../../stack/wire/udp.ts";
import type { GatewayConfig, GatewayLimits } from "./config.ts";
import { cannotSegment, DatagramReceiver, DatagramSender, runLength, SLOTS } from "./datagram_io.ts";
import { ErrorRelay } from "./error_relay.ts";
import { FairShare, oldestOf } from "../../stack/fair_share.ts";
import type { FlowRegistry } from "./flows.ts";
import { openDatagram } from "./host_socket.ts";
import { LruList } from "./lru_list.ts";
import { DNS_PORT, isMartian, route } from "./policy.ts";
import { unreachable } from "./unreachable.ts";
import { ARRIVALS, UdpFlow } from "./udp_flow.ts";

/** Datagrams that wait for the end of the turn at most. */
const BATCH = 64;

/** The tenant of a gateway that has only one. */
const NOBODY = -2;

/** IPv6 and UDP, the longer case. */
const HEADERS = 48;

const DNS_LIFETIME = 10 * SECOND;
const ONE_WAY_LIFETIME = 30 * SECOND;
const TWO_WAY_LIFETIME = 180 * SECOND;

/** What the table needs of the gateway. */
export interface UdpSurroundings {
  readonly stack: Stack;
  readonly nic: Nic;
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly config: GatewayConfig;
  readonly limits: GatewayLimits;
  readonly registry: FlowRegistry;
  readonly receiver: DatagramReceiver;
}

/** The table of UDP flows. */
export class UdpFlows implements Work {
  readonly reactor: Reactor;
  readonly receiver: DatagramReceiver;
  readonly pool: BufferPool;
  readonly errors: ErrorRelay;
  readonly #stack: Stack;
  readonly #nic: Nic;
  readonly #config: GatewayConfig;
  readonly #limits: GatewayLimits;
  readonly #registry: FlowRegistry;
  readonly #sender = new DatagramSender();
  /** In the order in which they are evicted. */
  readonly #oneWay = new LruList<UdpFlow>(ONE_WAY_LIFETIME);
  readonly #dns = new LruList<UdpFlow>(DNS_LIFETIME);
  readonly #twoWay = new LruList<UdpFlow>(TWO_WAY_LIFETIME);
  readonly #share: FairShare;
  readonly #waitingFlows: UdpFlow[] = [];
  readonly #waiting: PacketBuffer[] = [];

  constructor(surroundings: UdpSurroundings) {
    this.reactor = surroundings.reactor;
    this.receiver = surroundings.receiver;
    this.errors = new ErrorRelay(surroundings);
    this.#stack = surroundings.stack;
    this.#nic = surroundings.nic;
    this.pool = surroundings.pool;
    this.#config = surroundings.config;
    this.#limits = surroundings.limits;
    this.#share = new FairShare(surroundings.limits.udpFlows);
    this.#registry = surroundings.registry;
  }

  get size(): number {
    return this.#oneWay.length + this.#dns.length + this.#twoWay.length;
  }

  now(): Instant {
    return this.reactor.now() as Instant;
  }

  count(name: string): void {
    this.#registry.counters.bump(name);
  }

  /** The stack's forwarder: a datagram that belongs to no flow yet. */
  handle(packet: PacketBuffer, ip: IpHeader, udp: UdpHeader, nic: Nic, now: Instant): void {
    if (isMartian(ip.source)) {
      this.count("gateway.policy.martian-source");
      return;
    }
    const verdict = route(ip.destination, udp.destinationPort, this.#config);
    switch (verdict.do) {
      case "dial":
        // RFC 1812 section 5.3.1: we are the router whose hop this one does not survive.
        if (ip.hopLimit <= 1) return this.#stack.sendIcmpError("time-exceeded", ip, packet, nic, now);
        return this.#open(verdict.address, packet, ip, udp, nic, now);
      case "dns": // somebody else's endpoint; here only if that could not be bound
      case "refuse":
        this.count("gateway.policy.closed-port");
        return this.#stack.sendIcmpError("port-unreachable", ip, packet, nic, now);
      case "unreachable":
        this.count(`gateway.policy.${verdict.why}`);
        return this.#stack.sendIcmpError("host-unreachable", ip, packet, nic, now);
      case "drop":
        this.count(`gateway.policy.${verdict.why}`);
    }
  }

  /** The guest's datagram does not survive the hop that we are (RFC 1812 section 5.3.1). */
  hopLimitReached(packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    this.#stack.sendIcmpError("time-exceeded", ip, packet, this.#nic, now);
  }

  /** Sends a datagram of the guest, at the end of the turn at the latest. The caller keeps its hold on `packet`. */
  send(flow: UdpFlow, packet: PacketBuffer): void {
    if (this.#waiting.length === 0) this.reactor.defer(this);
    this.#waitingFlows.push(flow);
    this.#waiting.push(this.#plain(packet));
    if (this.#waiting.length >= BATCH) this.flush(this.now());
  }

  /**
   * Whether datagrams of `size` bytes may share a frame, which the guest's kernel cuts. Not behind a shaper, to which every
   * header counts.
   */
  mayJoin(size: number): boolean {
    const { capabilities, mtu, qdisc } = this.#nic;
    return capabilities.datagrams === true && qdisc.kind !== "tbf" && size <= mtu - HEADERS;
  }

  /** The guest's own endpoint of a flow, where it is in this program. */
  guestEndpoint(
    { localAddress, localPort, remoteAddress, remotePort }: UdpEndpoint,
  ): UdpEndpoint | undefined {
    return this.#config.guestEndpoint?.(remoteAddress!, remotePort, localAddress!, localPort);
  }

  /** The far end of `flow` has sent something. */
  heard(flow: UdpFlow, now: Instant): void {
    flow.answered = true;
    if (flow.list !== undefined) (flow.list === this.#dns ? this.#dns : this.#twoWay).touch(flow, now);
  }

  pollAt(): Instant {
    return earlier(this.#oneWay.expiresAt(), earlier(this.#dns.expiresAt(), this.#twoWay.expiresAt()));
  }

  /** Forgets what has expired. */
  poll(now: Instant): void {
    this.#expire(this.#oneWay, now);
    this.#expire(this.#dns, now);
    this.#expire(this.#twoWay, now);
  }

  /** Work list entry: all frames of this turn have been read. */
  run(): void {
    this.flush(this.now());
  }

  /** Sends what waits. */
  flush(now: Instant): void {
    const packets = this.#waiting;
    const flows = this.#waitingFlows;
    for (let at = 0; at < packets.length;) {
      const flow = flows[at]!;
      let end = at + 1;
      while (end < packets.length && flows[end] === flow) end++;
      if (!flow.closed) this.#sendRun(flow, at, end, now);
      at = end;
    }
    for (let i = 0; i < packets.length; i++) packets[i]!.release();
    packets.length = 0;
    flows.length = 0;
  }

  stop(now: Instant): void {
    this.flush(now);
    for (const list of [this.#oneWay, this.#dns, this.#twoWay]) {
      for (let flow = list.oldest; flow !== undefined; flow = list.oldest) this.#close(flow);
    }
  }

  #open(
    host: IpAddress,
    packet: PacketBuffer,
    ip: IpHeader,
    udp: UdpHeader,
    nic: Nic,
    now: Instant,
  ): void {
    if (this.size >= this.#limits.udpFlows) {
      this.count("gateway.udp.flow-limit");
      this.#close((this.#oneWay.oldest ?? this.#dns.oldest ?? this.#twoWay.oldest)!);
    }
    const tenant = this.#config.tenantOf?.(ip.source) ?? NOBODY;
    if (tenant !== NOBODY && !this.#share.admits(tenant)) {
      this.count("gateway.udp.guest-limit");
      const own = oldestOf(this.#oneWay.oldest, tenant) ?? oldestOf(this.#dns.oldest, tenant) ??
        oldestOf(this.#twoWay.oldest, tenant);
      if (own === undefined) return;
      this.#close(own);
    }
    const fd = openDatagram(host.family);
    if (fd < 0) {
      this.count("gateway.udp.no-descriptor");
      return;
    }
    const result = connectTo(fd, host, udp.destinationPort);
    if (result < 0) {
      close(fd);
      this.count("gateway.udp.host-error");
      this.#stack.sendIcmpError(unreachable(-result), ip, packet, nic, now);
      return;
    }
    receiveErrors(fd, host.family);
    const flow = new UdpFlow(this, fd, host, udp.destinationPort, tenant, now);
    const endpoint = this.#stack.udpBind({
      localAddress: ip.destination.clone(),
      localPort: udp.destinationPort,
      remoteAddress: ip.source.clone(),
      remotePort: udp.sourcePort,
      nic: this.#nic,
      observer: flow,
    }, now);
    if (typeof endpoint === "string") {
      close(fd);
      this.count("gateway.udp.no-endpoint");
      return;
    }
    flow.join(endpoint);
    this.#share.add(tenant);
    this.#registry.add(flow);
    this.reactor.add(fd, ARRIVALS, flow);
    (udp.destinationPort === DNS_PORT ? this.#dns : this.#oneWay).touch(flow, now);
    endpoint.deliver(packet, ip, udp, nic, now);
  }

  #sendRun(flow: UdpFlow, from: number, to: number, now: Instant): void {
    flow.list?.touch(flow, now);
    for (let at = from; at < to && !flow.closed;) {
      const left = Math.min(to - at, SLOTS);
      const run = left === 1 || flow.unsegmented ? 1 : runLength(this.#waiting, at, at + left);
      let sent: number;
      if (run > 1) {
        const result = this.#sender.segmented(flow.fd, this.#waiting, at, at + run);
        if (cannotSegment(result)) {
          flow.unsegmented = true;
          continue;
        }
        sent = result < 0 ? result : run;
      } else if (left === 1) {
        const result = this.#sender.one(flow.fd, this.#waiting[at]!);
        sent = result < 0 ? result : 1;
      } else {
        sent = this.#sender.many(flow.fd, this.#waiting, at, at + left);
      }
      if (sent === -Errno.ENOBUFS) {
        // The device's queue dropped them, all of a run; IP_RECVERR makes the kernel say so.
        flow.failed(Errno.ENOBUFS, now);
        at += run;
        continue;
      }
      if (sent < 0) {
        // An error that came from outside is about an earlier datagram: this one has not been tried.
        if (sent !== -Errno.EAGAIN && this.errors.drain(flow, now) > 0) {
          sent = this.#sender.one(flow.fd, this.#waiting[at]!);
        }
        if (sent < 0) flow.failed(-sent, now);
        else flow.bytesOut += this.#waiting[at]!.length;
        at++;
        continue;
      }
      for (let i = 0; i < sent; i++) flow.bytesOut += this.#waiting[at + i]!.length;
      at += sent;
    }
  }

  /** `packet` held once more, or a copy in one piece if it came in fragments or without an address. */
  #plain(packet: PacketBuffer): PacketBuffer {
    if (packet.fragments.length === 0 && packet.address !== 0) return packet.retain();
    const copy = this.pool.take(packet.totalLength);
    copy.end = copy.start + packet.copyTo(copy.bytes, copy.start);
    return copy;
  }

  #expire(list: LruList<UdpFlow>, now: Instant): void {
    for (let flow = list.expired(now); flow !== undefined; flow = list.expired(now)) this.#close(flow);
  }

  #close(flow: UdpFlow): void {
    flow.list?.remove(flow);
    this.#registry.delete(flow);
    this.#share.remove(flow.tenant);
    flow.close();
  }
}
