/**
 * ICMP echo: answering it for ourselves, handing it on for others, and asking (RFC 792, RFC 4443 section 4).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { Counters } from "../counters.ts";
import type { IcmpErrorKind, IcmpReport } from "../ip/icmp_kind.ts";
import type { Delivery } from "../ip/input.ts";
import { DEFAULT_HOP_LIMIT, type IpOutput } from "../ip/output.ts";
import type { NoPath, PathResolver } from "../ip/path.ts";
import { FairRate, type Tenants } from "../ip/fair_rate.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import { IpAddress } from "../wire/address.ts";
import { emitIcmpv4 } from "../wire/icmpv4.ts";
import { emitIcmpv6 } from "../wire/icmpv6.ts";
import { type IpHeader, IpProtocol } from "../wire/ip.ts";

/** An echo request to an address that is not ours. Valid during the call to the forwarder only. */
export interface EchoRequest {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly identifier: number;
  readonly sequence: number;
  readonly hopLimit: number;
  /** Cursor at the data. The stack's: `retain()` it to keep it. */
  readonly payload: PacketBuffer;
  readonly nic: Nic;
  /** Answers with an ICMP error instead. */
  reject(kind: IcmpErrorKind, now: Instant): void;
}

/** Takes echo requests to addresses that are not ours; false: not interested, they are dropped. */
export type EchoForwarder = (request: EchoRequest, now: Instant) => boolean;

/** A reply to be sent for somebody else. */
export interface EchoReply {
  /** The address that was asked. */
  readonly source: IpAddress;
  /** Who asked. */
  readonly destination: IpAddress;
  readonly identifier: number;
  readonly sequence: number;
  /** Owned by the stack from then on; needs `HEADROOM`. */
  readonly payload: PacketBuffer;
  /** The interface on which it was asked; absent: by the routes. */
  readonly nic?: Nic;
}

/** The user of an {@linkcode EchoEndpoint}. */
export interface EchoObserver {
  /** A reply came. `payload` is the stack's: `retain()` it to keep it. `source` is scratch. */
  onEchoReply(
    endpoint: EchoEndpoint,
    source: IpAddress,
    sequence: number,
    hopLimit: number,
    payload: PacketBuffer,
    now: Instant,
  ): void;
  /** An ICMP error came back for request `sequence` to `destination` (scratch). */
  onEchoError?(
    endpoint: EchoEndpoint,
    kind: IcmpErrorKind,
    destination: IpAddress,
    sequence: number,
    now: Instant,
    /** The message itself; absent when it was this stack that gave up. */
    report?: IcmpReport,
  ): void;
}

/** What echo needs of the stack. */
export interface EchoSurroundings {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly paths: PathResolver;
  readonly output: IpOutput;
  /** Absent: there is one guest. */
  readonly tenants?: Tenants;
  readonly limits: { readonly echoEndpoints: number; readonly echoRepliesPerSecond: number };
  random(): number;
  icmpError(kind: IcmpErrorKind, ip: IpHeader, packet: PacketBuffer, nic: Nic, now: Instant): boolean;
  /** The stack to which forwarded replies that name no interface belong. */
  spoofingNic(destination: IpAddress): Nic | undefined;
}

/** Asks others for an echo, under an identifier of its own. Made by {@linkcode Stack.echoOpen}. */
export class EchoEndpoint {
  readonly identifier: number;
  observer: EchoObserver | undefined;
  hopLimit: number = DEFAULT_HOP_LIMIT;
  readonly #echo: Echo;

  constructor(echo: Echo, identifier: number, observer: EchoObserver) {
    this.#echo = echo;
    this.identifier = identifier;
    this.observer = observer;
  }

  /** Sends a request. Takes ownership of `payload`. Undefined when it is on its way, or why it is not. */
  send(
    destination: IpAddress,
    sequence: number,
    payload: PacketBuffer,
    now: Instant,
    source?: IpAddress,
  ): NoPath | "message-size" | "no-buffer-space" | undefined {
    return this.#echo.request(this, destination, sequence, payload, now, source);
  }

  /** Frees the identifier. Idempotent. */
  close(): void {
    this.observer = undefined;
    this.#echo.close(this);
  }
}

class ForwardedRequest implements EchoRequest {
  readonly source = IpAddress.v4(0);
  readonly destination = IpAddress.v4(0);
  identifier = 0;
  sequence = 0;
  hopLimit = 0;
  payload!: PacketBuffer;
  nic!: Nic;
  ip!: IpHeader;
  readonly #surroundings: EchoSurroundings;

  constructor(surroundings: EchoSurroundings) {
    this.#surroundings = surroundings;
  }

  reject(kind: IcmpErrorKind, now: Instant): void {
    this.#surroundings.icmpError(kind, this.ip, this.payload, this.nic, now);
  }
}

/** Echo of one stack. */
export class Echo {
  forwarder: EchoForwarder | undefined = undefined;
  readonly #surroundings: EchoSurroundings;
  readonly #endpoints = new Map<number, EchoEndpoint>();
  readonly #request: ForwardedRequest;
  readonly #replies: FairRate;

  constructor(surroundings: EchoSurroundings) {
    this.#surroundings = surroundings;
    this.#request = new ForwardedRequest(surroundings);
    const rate = surroundings.limits.echoRepliesPerSecond;
    this.#replies = new FairRate(rate, rate, surroundings.tenants);
  }

  /** Opens an endpoint. Undefined: every identifier that the limit allows is taken, or the one asked for. */
  open(observer: EchoObserver, identifier?: number): EchoEndpoint | undefined {
    const { limits, counters } = this.#surroundings;
    if (this.#endpoints.size >= limits.echoEndpoints) {
      counters.bump("icmp.too-many-endpoints");
      return undefined;
    }
    let chosen = identifier ?? this.#surroundings.random() & 0xffff;
    if (identifier === undefined) { while (this.#endpoints.has(chosen)) chosen = (chosen + 1) & 0xffff; }
    else if (this.#endpoints.has(identifier)) return undefined;
    const endpoint = new EchoEndpoint(this, chosen, observer);
    this.#endpoints.set(chosen, endpoint);
    return endpoint;
  }

  close(endpoint: EchoEndpoint): void {
    if (this.#endpoints.get(endpoint.identifier) === endpoint) this.#endpoints.delete(endpoint.identifier);
  }

  get endpoints(): Iterable<EchoEndpoint> {
    return this.#endpoints.values();
  }

  /** A request, cursor at its data. Does not own the packet. */
  requested(
    nic: Nic,
    packet: PacketBuffer,
    ip: IpHeader,
    delivery: Delivery,
    identifier: number,
    sequence: number,
    now: Instant,
  ): void {
    const { counters, pool } = this.#surroundings;
    // RFC 1122 section 3.2.2.6 allows to ignore them, and an amplifier is what it would be otherwise.
    if (delivery === "group") {
      counters.bump("icmp.echo-to-group");
      return;
    }
    if (delivery === "foreign") {
      const request = this.#request;
      Object.assign(request.source, ip.source);
      Object.assign(request.destination, ip.destination);
      request.identifier = identifier;
      request.sequence = sequence;
      request.hopLimit = ip.hopLimit;
      request.payload = packet;
      request.nic = nic;
      request.ip = ip;
      if (this.forwarder?.(request, now) !== true) counters.bump("icmp.echo-not-forwarded");
      return;
    }
    if (!this.#replies.take(ip.source, now)) {
      counters.bump("icmp.echo-replies-rate-limited");
      return;
    }
    const payload = pool.take(packet.totalLength);
    payload.end = payload.start + packet.copyTo(payload.bytes, payload.start);
    counters.bump("icmp.echo-replies-sent");
    this.reply({
      source: ip.destination.clone(),
      destination: ip.source.clone(),
      identifier,
      sequence,
      payload,
      nic,
    }, now);
  }

  /** A reply, cursor at its data. Does not own the packet. */
  replied(packet: PacketBuffer, ip: IpHeader, identifier: number, sequence: number, now: Instant): void {
    const endpoint = this.#endpoints.get(identifier);
    if (endpoint === undefined) {
      this.#surroundings.counters.bump("icmp.echo-reply-unexpected");
      return;
    }
    endpoint.observer?.onEchoReply(endpoint, ip.source, sequence, ip.hopLimit, packet, now);
  }

  /** An ICMP error about a request of ours. */
  failed(
    kind: IcmpErrorKind,
    destination: IpAddress,
    identifier: number,
    sequence: number,
    now: Instant,
    report?: IcmpReport,
  ): boolean {
    const endpoint = this.#endpoints.get(identifier);
    endpoint?.observer?.onEchoError?.(endpoint, kind, destination, sequence, now, report);
    return endpoint !== undefined;
  }

  /** Sends a reply in the name of `source`. False: there is no way, or no room. */
  reply(reply: EchoReply, now: Instant): boolean {
    const { paths } = this.#surroundings;
    const { destination, source, payload } = reply;
    const nic = reply.nic ?? this.#surroundings.spoofingNic(destination);
    const path = paths.resolve(destination, now, source, nic?.kind === "loopback" ? undefined : nic);
    if (typeof path === "string") {
      this.#surroundings.counters.bump("ip.no-route");
      payload.release();
      return false;
    }
    return this.#send(
      "echo-reply",
      path,
      payload,
      reply.identifier,
      reply.sequence,
      DEFAULT_HOP_LIMIT,
      now,
    ) ===
      undefined;
  }

  request(
    endpoint: EchoEndpoint,
    destination: IpAddress,
    sequence: number,
    payload: PacketBuffer,
    now: Instant,
    source: IpAddress | undefined,
  ): NoPath | "message-size" | "no-buffer-space" | undefined {
    const path = this.#surroundings.paths.resolve(destination.clone(), now, source);
    if (typeof path === "string") {
      payload.release();
      return path;
    }
    return this.#send("echo-request", path, payload, endpoint.identifier, sequence, endpoint.hopLimit, now);
  }

  #send(
    kind: "echo-request" | "echo-reply",
    path: Exclude<ReturnType<PathResolver["resolve"]>, string>,
    payload: PacketBuffer,
    identifier: number,
    sequence: number,
    hopLimit: number,
    now: Instant,
  ): "message-size" | "no-buffer-space" | undefined {
    const repr = { kind, identifier, sequence } as const;
    const v4 = path.destination.family === 4;
    if (v4) emitIcmpv4(payload, repr);
    else emitIcmpv6(payload, repr, path.source, path.destination);
    const protocol = v4 ? IpProtocol.icmp : IpProtocol.icmpv6;
    return this.#surroundings.output.send(path, payload, protocol, hopLimit, 0, false, now);
  }
}
