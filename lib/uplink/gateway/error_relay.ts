/**
 * ICMP errors of the outside, told to the guest as if no gateway were in between.
 *
 * Theory of operation
 *
 * A socket of the host with `IP_RECVERR` keeps every ICMP error about what it sent in a queue of its own, with the
 * router that complained and the head of the packet as the router saw it. That packet was the host's: the guest's was
 * another one, with its own addresses, ports or identifier. So the error is made anew, quoting what the *guest* sent:
 *
 * ```text
 *   router ─▶ host's kernel ─▶ error queue ─▶ drain() ─▶ IP(router → guest) ICMP(what it said)
 *             finds the socket by the        │             quote: IP(guest → destination), 8 bytes of transport
 *             ports or identifier quoted     │                    as the guest wrote them, then what was quoted
 *                                            └▶ errno ≠ ICMP: send() has said so already
 * ```
 *
 * The speaker is the router itself, which is what makes `traceroute` useful. One that would mean something else in the
 * guest's network (the host's loopback, an address on the guest's link) is the gateway, to the guest; and the
 * destination itself is whatever the guest calls it.
 *
 * An error is advice from strangers (RFC 5927). The kernel has matched it with a socket; we drop, and count, what is
 * about another destination or says nothing that can be passed on. The stack limits the rate.
 *
 * While errors wait, `recv` and `send` of the socket fail once with the first one's errno; {@linkcode ErrorRelay.drain}
 * clears that. A send that failed is worth repeating when something was drained: it has not been tried.
 *
 * @module
 */

import { QueuedError, receiveError } from "../../host/datagrams.ts";
import { alloc, type NativeMemory } from "../../host/memory.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { IcmpErrorKind } from "../../stack/ip/icmp_kind.ts";
import type { Instant } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { IpHeader } from "../../stack/wire/ip.ts";
import { emitIpv4 } from "../../stack/wire/ipv4.ts";
import { emitIpv6 } from "../../stack/wire/ipv6.ts";
import type { UdpSurroundings } from "./udp.ts";
import { Origin, outsideError } from "./outside_error.ts";
import { isMartian } from "./policy.ts";
import { ipAddressOf } from "./spoof.ts";

/** Errors taken from one socket at a time. */
const BATCH = 16;
/** Bytes that are quoted of what followed the IP header; more than any ICMP error carries. */
const QUOTE = 1_280;
/** Of an IPv6 header: which of its fields an "unrecognized next header" points to (RFC 4443 section 3.4). */
const NEXT_HEADER = 6;

/** The guest's packet that an error is about, as far as it is known. */
export interface Original {
  protocol: number;
  hopLimit: number;
  identification: number;
  /** Of the transport header and what follows. */
  length: number;
}

/** Who sends for the guest, and can say what the guest sent. */
export interface ErrorSubject {
  readonly fd: number;
  /** The far end as the host knows it, and as the guest does. */
  readonly host: IpAddress;
  readonly destination: IpAddress;
  readonly guest: IpAddress;
  /**
   * Makes of what a router quoted (`quote`, cursor at what the socket sent) what the guest sent, from its transport
   * header on. False: this is nothing that it sent.
   */
  restore(quote: PacketBuffer, into: Original): boolean;
  /** For the counters: an error is passed on (its kind), or dropped. */
  onOutsideError(what: IcmpErrorKind | "odd"): void;
}

/** Drains error queues. One per table of flows. */
export class ErrorRelay {
  readonly #surroundings: UdpSurroundings;
  readonly #error = new QueuedError();
  readonly #memory: NativeMemory = alloc(QUOTE);
  readonly #original: Original = { protocol: 0, hopLimit: 0, identification: 0, length: 0 };
  readonly #ip = new IpHeader();

  constructor(surroundings: UdpSurroundings) {
    this.#surroundings = surroundings;
  }

  /** Most that {@linkcode drain} returns: then more may wait. */
  static readonly batch = BATCH;

  /** Tells the guest what waits in the socket's error queue; returns how many errors were taken. */
  drain(subject: ErrorSubject, now: Instant): number {
    for (let taken = 0; taken < BATCH; taken++) {
      const length = receiveError(subject.fd, this.#memory.address, QUOTE, this.#error);
      if (length < 0) return taken;
      if (this.#error.origin === Origin.local) continue;
      const kind = outsideError(this.#error);
      const passed = kind !== undefined && subject.host.equals(this.#error.destination) &&
        this.#pass(kind, subject, length, now);
      subject.onOutsideError(passed ? kind : "odd");
    }
    return BATCH;
  }

  #pass(kind: IcmpErrorKind, subject: ErrorSubject, length: number, now: Instant): boolean {
    const { stack, nic, pool } = this.#surroundings;
    const quote = pool.take(length);
    quote.bytes.set(this.#memory.bytes.subarray(0, length), quote.start);
    quote.end = quote.start + length;
    const original = this.#original;
    const known = subject.restore(quote, original);
    if (known) {
      const { guest, destination } = subject;
      const transport = quote.start;
      const fields = {
        source: guest,
        destination,
        protocol: original.protocol,
        // Where the hops are used up there is one left; elsewhere it is not known how many.
        hopLimit: kind === "time-exceeded" ? 1 : original.hopLimit,
        trafficClass: 0,
        identification: original.identification,
        dontFragment: kind === "packet-too-big",
      };
      if (guest.family === 4) emitIpv4(quote, fields, original.length);
      else emitIpv6(quote, fields, original.length);
      const ip = this.#ip;
      Object.assign(ip.source, guest);
      Object.assign(ip.destination, destination);
      ip.family = guest.family;
      ip.protocol = original.protocol;
      ip.fragmentOffset = 0;
      ip.headerStart = quote.start;
      ip.headerLength = transport - quote.start;
      const value = kind === "packet-too-big"
        ? this.#error.info
        : kind === "protocol-unreachable"
        ? NEXT_HEADER
        : 0;
      stack.sendIcmpError(kind, ip, quote, nic, now, value, this.#speaker(subject));
    }
    quote.release();
    return known;
  }

  /** Who complains, as the guest may see it; undefined: the gateway, or the destination where only that can. */
  #speaker({ host, destination, guest }: ErrorSubject): IpAddress | undefined {
    if (!this.#error.hasOffender) return undefined;
    const offender = ipAddressOf(this.#error.offender);
    if (offender.equals(host)) return destination;
    if (offender.family !== guest.family || isMartian(offender) || offender.isLinkLocal()) return undefined;
    return this.#surroundings.nic.onLink(offender) ? undefined : offender;
  }
}
