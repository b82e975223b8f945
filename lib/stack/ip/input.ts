/**
 * IP on the way in: is it sound, is it allowed, is it for us, is it whole — and who gets it.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { Checksum } from "../buffer/packet.ts";
import type { Counter, Counters } from "../counters.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import type { IpAddress, IpFamily } from "../wire/address.ts";
import type { EthernetHeader } from "../wire/ethernet.ts";
import { IGMP, IGMP_QUERY, MLD_QUERY } from "../wire/group_report.ts";
import { IpHeader, IpProtocol } from "../wire/ip.ts";
import { parseIpv4 } from "../wire/ipv4.ts";
import { parseIpv6 } from "../wire/ipv6.ts";
import { MALFORMED, type Malformed } from "../wire/malformed.ts";
import type { IcmpErrorKind } from "./icmp_kind.ts";
import { martian } from "./martians.ts";
import type { Reassembler } from "./reassembly.ts";

/** How a packet came to be accepted. */
export type Delivery =
  /** To an address of ours. */
  | "local"
  /** To a group or to everybody. */
  | "group"
  /** To somebody else, on an interface that accepts that. */
  | "foreign";

/** Who gets packets, and whom else they concern. Cursor at the transport header; nobody owns the packet. */
export interface IpInputContext {
  readonly counters: Counters;
  owns(address: IpAddress): boolean;
  tcpInput(nic: Nic, packet: PacketBuffer, ip: IpHeader, now: Instant): void;
  udpInput(nic: Nic, packet: PacketBuffer, ip: IpHeader, delivery: Delivery, now: Instant): void;
  icmpInput(
    nic: Nic,
    packet: PacketBuffer,
    ip: IpHeader,
    delivery: Delivery,
    ethernet: EthernetHeader | undefined,
    now: Instant,
  ): void;
  /** A router asks which groups are heard on `nic`. */
  groupQuery(nic: Nic, family: IpFamily, now: Instant): void;
  /** True: somebody listens for that protocol. Called before the transports see the packet. */
  rawInput(nic: Nic, packet: PacketBuffer, ip: IpHeader, now: Instant): boolean;
  icmpError(
    kind: IcmpErrorKind,
    ip: IpHeader,
    packet: PacketBuffer,
    nic: Nic,
    now: Instant,
    value: number,
    code: number,
  ): void;
}

/** The receiving half of IP. */
export class IpInput {
  readonly #context: IpInputContext;
  readonly #reassembler: Reassembler;
  readonly #malformedV4: Readonly<Record<Malformed, Counter>>;
  readonly #malformedV6: Readonly<Record<Malformed, Counter>>;
  readonly #received: Counter;
  readonly #ip = new IpHeader();

  constructor(context: IpInputContext, reassembler: Reassembler) {
    this.#context = context;
    this.#reassembler = reassembler;
    this.#malformedV4 = context.counters.slots("ipv4", MALFORMED);
    this.#malformedV6 = context.counters.slots("ipv6", MALFORMED);
    this.#received = context.counters.slot("ip.received");
  }

  /** A packet, cursor at its IP header. Does not own it. `ethernet` is undefined for a reassembled one. */
  input(
    nic: Nic,
    packet: PacketBuffer,
    family: IpFamily,
    ethernet: EthernetHeader | undefined,
    now: Instant,
  ): void {
    const ip = this.#ip;
    this.#received.value++;
    const reason = family === 4
      ? parseIpv4(packet, ip, packet.checksum === Checksum.unknown)
      : parseIpv6(packet, ip);
    if (reason !== undefined) {
      nic.rx.errors++;
      const malformed = family === 4 ? this.#malformedV4 : this.#malformedV6;
      this.#context.counters.count(malformed[reason]);
      if (ip.parameterProblem.code >= 0) this.#parameterProblem(nic, packet, ip, now);
      return;
    }
    const delivery = this.#accept(nic, ip);
    if (delivery === undefined) {
      nic.rx.dropped++;
      return;
    }
    if (
      nic.learnNeighbours && ethernet !== undefined && nic.onLink(ip.source) && !ip.source.isUnspecified()
    ) {
      nic.neighbours.learn(ip.source, ethernet.source, now);
    }
    if (ip.isFragment) {
      this.#context.counters.bump("ip.fragments-received");
      const whole = this.#reassembler.add(packet, ip, nic, now);
      if (whole === undefined) return;
      this.input(nic, whole, family, undefined, now);
      whole.release();
      return;
    }
    this.#deliver(nic, packet, ip, delivery, ethernet, now);
  }

  #deliver(
    nic: Nic,
    packet: PacketBuffer,
    ip: IpHeader,
    delivery: Delivery,
    ethernet: EthernetHeader | undefined,
    now: Instant,
  ): void {
    const taken = this.#context.rawInput(nic, packet, ip, now);
    if (delivery === "group" && nic.reportGroups && isGroupQuery(packet, ip)) {
      return this.#context.groupQuery(nic, ip.family, now);
    }
    switch (ip.protocol) {
      case IpProtocol.tcp:
        // RFC 1122 section 4.2.3.10: a SYN to a group address is silently discarded; no other segment makes sense.
        if (delivery === "group") this.#context.counters.bump("tcp.to-group");
        else this.#context.tcpInput(nic, packet, ip, now);
        return;
      case IpProtocol.udp:
        this.#context.udpInput(nic, packet, ip, delivery, now);
        return;
      case IpProtocol.icmp:
        if (ip.family === 4) return this.#context.icmpInput(nic, packet, ip, delivery, ethernet, now);
        break;
      case IpProtocol.icmpv6:
        if (ip.family === 6) return this.#context.icmpInput(nic, packet, ip, delivery, ethernet, now);
        break;
      case IpProtocol.none:
        return;
    }
    if (taken || delivery === "group") return;
    this.#context.counters.bump("ip.unknown-protocol");
    this.#context.icmpError("protocol-unreachable", ip, packet, nic, now, ip.protocolOffset, 0);
  }

  /** Whether the packet is for us; undefined, with a counter bumped, if it is not. */
  #accept(nic: Nic, ip: IpHeader): Delivery | undefined {
    const { source, destination } = ip;
    const { counters } = this.#context;
    if (nic.kind !== "loopback") {
      const reason = martian(source, destination);
      if (reason !== undefined) {
        counters.bump(reason);
        return undefined;
      }
      if (nic.isBroadcast(source)) {
        counters.bump("ip.martian-source-broadcast");
        return undefined;
      }
      if (nic.owns(source)) {
        counters.bump("ip.martian-source-own");
        return undefined;
      }
    }
    if (!nic.linkBroadcast && nic.owns(destination)) return "local";
    if (destination.isMulticast() || destination.isLimitedBroadcast() || nic.isBroadcast(destination)) {
      return "group";
    }
    if (nic.linkBroadcast) {
      // RFC 1122 section 3.3.6: a link-layer broadcast must carry an IP broadcast or group address.
      counters.bump("ip.unicast-in-broadcast");
      return undefined;
    }
    // The weak host model, as Linux has it.
    if (this.#context.owns(destination)) return "local";
    if (nic.promiscuous) return "foreign";
    if (nic.unaddressed && ip.protocol === IpProtocol.udp) return "group";
    counters.bump("ip.not-for-us");
    return undefined;
  }

  #parameterProblem(nic: Nic, packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    if (martian(ip.source, ip.destination) !== undefined) return;
    const { code, pointer } = ip.parameterProblem;
    this.#context.icmpError("parameter-problem", ip, packet, nic, now, pointer, code);
  }
}

/** Queries come from the link itself: RFC 3810 section 5.1.14, and RFC 3376 section 4 for its IPv4 sister. */
function isGroupQuery(packet: PacketBuffer, { family, protocol, hopLimit }: IpHeader): boolean {
  if (packet.length < 8 || hopLimit !== 1) return false;
  const type = packet.view.getUint8(packet.start);
  return family === 4
    ? protocol === IGMP && type === IGMP_QUERY
    : protocol === IpProtocol.icmpv6 && type === MLD_QUERY;
}
