/**
 * The guest's pings, outwards.
 *
 * A flow is one guest, one destination, one identifier: what a running `ping` uses. It has a ping socket of the host
 * (`SOCK_DGRAM` with `IPPROTO_ICMP`), which needs no privilege where `net.ipv4.ping_group_range` holds our group; the
 * kernel puts an identifier of its own on the request and gives the socket the replies to it. Where ping sockets are not
 * allowed, a raw socket does the same with more of our help; where that is not allowed either, it is said once in
 * the log, and the guest hears "administratively prohibited" (RFC 1122 section 3.2.2.1) instead of nothing.
 *
 * A low hop limit is a traceroute's: it goes out less the one hop that we are. Ordinary ones are left at the
 * host's default. What routers say of a request comes back by error_relay.ts, which quotes the guest's request if it is
 * one of the last {@linkcode REMEMBERED} of its flow.
 *
 * @module
 */

import { Errno, errnoText } from "../../host/errno.ts";
import { connectTo, receiveErrors, setHopLimit } from "../../host/inet.ts";
import { EpollEvents, type ReadyHandler } from "../../host/reactor.ts";
import { close } from "../../host/sys.ts";
import type { EchoRequest } from "../../stack/icmp/echo.ts";
import type { FlowFacts } from "../../stack/facts.ts";
import type { IcmpErrorKind } from "../../stack/ip/icmp_kind.ts";
import { type Instant, SECOND } from "../../stack/time.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { IpProtocol } from "../../stack/wire/ip.ts";
import type { Log } from "./config.ts";
import { DatagramSender, SLOTS } from "./datagram_io.ts";
import {
  ECHO_HEADER,
  type EchoMethod,
  emitEchoRequest,
  openEcho,
  parseEchoReply,
  quotedSequence,
} from "./echo_socket.ts";
import { ErrorRelay, type ErrorSubject, type Original } from "./error_relay.ts";
import { FairShare, oldestOf } from "../../stack/fair_share.ts";
import { age, type Flow } from "./flows.ts";
import { carriedHopLimit } from "./host_socket.ts";
import { type LruItem, LruList } from "./lru_list.ts";
import { isMartian, route } from "./policy.ts";
import type { UdpSurroundings } from "./udp.ts";
import { unreachable } from "./unreachable.ts";

/** How long a flow waits for a reply, or for the next request. */
const LIFETIME = 30 * SECOND;
/** Requests of a flow that an error may still be about: three seconds of `ping -i 0.025`, the patience of ARP. */
const REMEMBERED = 128;

/** The table of echo flows. */
export class EchoFlows {
  readonly surroundings: UdpSurroundings;
  readonly sender = new DatagramSender();
  readonly errors: ErrorRelay;
  readonly #log: Log;
  readonly #flows = new Map<string, EchoFlow>();
  readonly #share: FairShare;
  readonly #byUse = new LruList<EchoFlow>(LIFETIME);
  #nextIdentifier = 1;
  #complained = false;

  constructor(surroundings: UdpSurroundings, log: Log) {
    this.surroundings = surroundings;
    this.errors = new ErrorRelay(surroundings);
    this.#log = log;
    this.#share = new FairShare(surroundings.limits.icmpFlows);
  }

  get size(): number {
    return this.#flows.size;
  }

  /** The stack's forwarder: an echo request to an address that is not the gateway's own. True: it was dealt with. */
  handle(request: EchoRequest, now: Instant): boolean {
    if (isMartian(request.source)) {
      this.count("gateway.policy.martian-source");
      return true;
    }
    const verdict = route(request.destination, 0, this.surroundings.config);
    if (verdict.do !== "dial") {
      if (verdict.do !== "dns") this.count(`gateway.policy.${verdict.why}`);
      if (verdict.do === "unreachable") request.reject("host-unreachable", now);
      return true;
    }
    if (request.hopLimit <= 1) {
      request.reject("time-exceeded", now);
      return true;
    }
    const key = `${request.source} ${request.destination} ${request.identifier}`;
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = this.#open(key, verdict.address, request, now);
      if (flow === undefined) return true;
    }
    this.#byUse.touch(flow, now);
    flow.request(request, now);
    return true;
  }

  count(name: string): void {
    this.surroundings.registry.counters.bump(name);
  }

  pollAt(): Instant {
    return this.#byUse.expiresAt();
  }

  poll(now: Instant): void {
    for (let flow = this.#byUse.expired(now); flow !== undefined; flow = this.#byUse.expired(now)) {
      this.#close(flow);
    }
  }

  stop(): void {
    for (const flow of [...this.#flows.values()]) this.#close(flow);
  }

  #open(key: string, host: IpAddress, request: EchoRequest, now: Instant): EchoFlow | undefined {
    if (this.#flows.size >= this.surroundings.limits.icmpFlows) {
      this.count("gateway.icmp.flow-limit");
      this.#close(this.#byUse.oldest!);
    }
    const tenant = this.surroundings.config.tenantOf?.(request.source);
    if (tenant !== undefined && !this.#share.admits(tenant)) {
      this.count("gateway.icmp.guest-limit");
      const own = oldestOf(this.#byUse.oldest, tenant);
      if (own === undefined) return undefined;
      this.#close(own);
    }
    const { fd, method } = openEcho(host.family);
    if (fd < 0) {
      this.#refuse(-fd, request, now);
      return undefined;
    }
    const result = connectTo(fd, host, 0);
    if (result < 0) {
      close(fd);
      this.count("gateway.icmp.host-error");
      request.reject(unreachable(-result), now);
      return undefined;
    }
    receiveErrors(fd, host.family);
    const identifier = this.#nextIdentifier = (this.#nextIdentifier % 0xffff) + 1;
    const flow = new EchoFlow(this, key, fd, method, identifier, host, request, tenant ?? 0, now);
    this.#flows.set(key, flow);
    this.#share.add(flow.tenant);
    this.surroundings.registry.add(flow);
    this.surroundings.reactor.add(fd, EpollEvents.in, flow);
    return flow;
  }

  #refuse(errno: number, request: EchoRequest, now: Instant): void {
    this.count("gateway.icmp.not-permitted");
    request.reject("admin-prohibited", now);
    if (this.#complained) return;
    this.#complained = true;
    const remedy = errno === Errno.EACCES || errno === Errno.EPERM
      ? " (the group is not in net.ipv4.ping_group_range, and raw sockets are not permitted)"
      : "";
    this.#log("warn", `Cannot relay pings: ${errnoText(errno)}${remedy}`);
  }

  #close(flow: EchoFlow): void {
    this.#byUse.remove(flow);
    this.#flows.delete(flow.key);
    this.#share.remove(flow.tenant);
    this.surroundings.registry.delete(flow);
    flow.close();
  }
}

/** The echo requests of one identifier to one destination. */
class EchoFlow implements ReadyHandler, Flow, ErrorSubject, LruItem<EchoFlow> {
  newer: EchoFlow | undefined;
  older: EchoFlow | undefined;
  list: LruList<EchoFlow> | undefined;
  usedAt: Instant;

  readonly key: string;
  readonly fd: number;
  readonly host: IpAddress;
  readonly guest: IpAddress;
  readonly destination: IpAddress;
  /** Whose share of the flows it is part of. */
  readonly tenant: number;
  readonly #flows: EchoFlows;
  readonly #method: EchoMethod;
  /** On the host's side. */
  readonly #identifier: number;
  readonly #guestIdentifier: number;
  readonly #since: Instant;
  /** That of the socket; −1: the host's default. */
  #hopLimit = -1;
  /** The last requests: sequence << 8 | hop limit, and the length of the data; where nothing is yet, −1. */
  readonly #requests = new Int32Array(2 * REMEMBERED).fill(-1);
  #bytesOut = 0;
  #bytesIn = 0;

  constructor(
    flows: EchoFlows,
    key: string,
    fd: number,
    method: EchoMethod,
    identifier: number,
    host: IpAddress,
    request: EchoRequest,
    tenant: number,
    now: Instant,
  ) {
    this.tenant = tenant;
    this.#flows = flows;
    this.key = key;
    this.fd = fd;
    this.#method = method;
    this.#identifier = identifier;
    this.host = host;
    this.guest = request.source.clone();
    this.destination = request.destination.clone();
    this.#guestIdentifier = request.identifier;
    this.#since = now;
    this.usedAt = now;
  }

  /** Sends a request of the guest on its way. */
  request(request: EchoRequest, now: Instant): void {
    const { payload, sequence } = request;
    const hopLimit = carriedHopLimit(request.hopLimit);
    if (hopLimit !== this.#hopLimit) setHopLimit(this.fd, this.host.family, this.#hopLimit = hopLimit);
    const at = 2 * (sequence % REMEMBERED);
    this.#requests[at] = (sequence << 8) | request.hopLimit;
    this.#requests[at + 1] = payload.totalLength;
    const message = this.#flows.surroundings.pool.take(payload.totalLength);
    message.end = message.start + payload.copyTo(message.bytes, message.start);
    this.#bytesOut += message.length;
    emitEchoRequest(message, this.host.family, this.#identifier, sequence);
    const { sender, errors } = this.#flows;
    let result = sender.one(this.fd, message);
    // An error that came from outside is about an earlier request: this one has not been tried.
    if (result < 0 && errors.drain(this, now) > 0) result = sender.one(this.fd, message);
    message.release();
    if (result >= 0) return;
    this.#flows.count("gateway.icmp.host-error");
    if (result === -Errno.ENETUNREACH || result === -Errno.EHOSTUNREACH) {
      request.reject(unreachable(-result), now);
    }
  }

  onReady(events: number): void {
    const { receiver, stack, nic, reactor } = this.#flows.surroundings;
    const now = reactor.now() as Instant;
    // Those that are left come with the next turn: the reactor tells us again while there are any.
    if ((events & EpollEvents.err) !== 0) this.#flows.errors.drain(this, now);
    const count = receiver.receive(this.fd);
    if (count < 0) {
      // Being told clears it; the guest's ping counts the silence.
      if (count !== -Errno.EAGAIN) this.#flows.count("gateway.icmp.host-error");
      return;
    }
    for (let i = 0; i < Math.min(count, SLOTS); i++) {
      const reply = receiver.take(i);
      const expected = this.#method === "raw" ? this.#identifier : -1;
      const sequence = parseEchoReply(reply, this.host.family, this.#method, expected);
      if (sequence < 0) {
        reply.release();
        continue;
      }
      this.#bytesIn += reply.length;
      stack.sendEchoReply({
        source: this.destination,
        destination: this.guest,
        identifier: this.#guestIdentifier,
        sequence,
        payload: reply,
        nic,
      }, now);
    }
  }

  /** Puts the guest's identifier in the place of the host's. Nobody looks at a quoted checksum: it is left out. */
  restore(quote: PacketBuffer, into: Original): boolean {
    const { family } = this.host;
    const sequence = quotedSequence(quote, family, this.#method === "raw" ? this.#identifier : -1);
    if (sequence < 0) return false;
    const at = 2 * (sequence % REMEMBERED);
    const request = this.#requests[at]!;
    if (request < 0 || request >>> 8 !== sequence) return false;
    quote.view.setUint16(quote.start + 2, 0);
    quote.view.setUint16(quote.start + 4, this.#guestIdentifier);
    into.protocol = family === 4 ? IpProtocol.icmp : IpProtocol.icmpv6;
    into.hopLimit = request & 0xff;
    into.identification = 0;
    into.length = ECHO_HEADER + this.#requests[at + 1]!;
    return true;
  }

  onOutsideError(what: IcmpErrorKind | "odd"): void {
    this.#flows.count(what === "odd" ? "gateway.icmp.odd-error" : "gateway.icmp.host-error");
  }

  close(): void {
    this.#flows.surroundings.reactor.forget(this.fd);
    close(this.fd);
  }

  facts(now: Instant): FlowFacts {
    return {
      protocol: "icmp",
      direction: "out",
      guest: `${this.guest}`,
      destination: `${this.destination}`,
      host: `${this.host}`,
      state: "echo",
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
      age: age(this.#since, now),
    };
  }
}
