/**
 * ICMP on the way in: echo, neighbour discovery, and errors, each to whom it concerns.
 *
 * Errors are advice from strangers (RFC 5927): one is acted upon only if the packet that it quotes is one that an
 * endpoint of ours could have sent, and a path MTU only ever goes down, to a floor.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { Checksum } from "../buffer/packet.ts";
import type { Counters } from "../counters.ts";
import { fromIcmpv4, fromIcmpv6, type IcmpErrorKind, type IcmpReport } from "../ip/icmp_kind.ts";
import type { Delivery } from "../ip/input.ts";
import type { Ndp } from "../ip/ndp.ts";
import type { PathMtuCache } from "../ip/path_mtu.ts";
import type { Nic } from "../nic.ts";
import type { RawTable } from "../raw/endpoint.ts";
import type { TcpDemux } from "../tcp/demux.ts";
import type { Instant } from "../time.ts";
import type { EthernetHeader } from "../wire/ethernet.ts";
import { parseIcmpv4 } from "../wire/icmpv4.ts";
import { isNdp, parseIcmpv6, verifyIcmpv6 } from "../wire/icmpv6.ts";
import { type IpHeader, IpProtocol } from "../wire/ip.ts";
import { parseQuote, Quote } from "../wire/quote.ts";
import type { Udp } from "../udp/udp.ts";
import type { Echo } from "./echo.ts";

/** Whom messages may concern. */
export interface IcmpInputContext {
  readonly counters: Counters;
  readonly ndp: Ndp;
  readonly echo: Echo;
  readonly udp: Udp;
  readonly tcp: TcpDemux;
  readonly raw: RawTable;
  readonly pathMtus: PathMtuCache;
}

/** The receiving half of ICMP, both families. */
export class IcmpInput {
  readonly #context: IcmpInputContext;
  readonly #quote = new Quote();

  constructor(context: IcmpInputContext) {
    this.#context = context;
  }

  /** A message, cursor at its type. Does not own the packet. */
  input(
    nic: Nic,
    packet: PacketBuffer,
    ip: IpHeader,
    delivery: Delivery,
    ethernet: EthernetHeader | undefined,
    now: Instant,
  ): void {
    if (ip.family === 4) this.#inputV4(nic, packet, ip, delivery, now);
    else this.#inputV6(nic, packet, ip, delivery, ethernet, now);
  }

  #inputV4(nic: Nic, packet: PacketBuffer, ip: IpHeader, delivery: Delivery, now: Instant): void {
    const { counters, echo } = this.#context;
    const at = packet.start;
    const repr = parseIcmpv4(packet, packet.checksum === Checksum.unknown);
    if (typeof repr === "string") {
      counters.bump(`icmp.${repr}`);
      return;
    }
    switch (repr.kind) {
      case "echo-request":
        return echo.requested(nic, packet, ip, delivery, repr.identifier, repr.sequence, now);
      case "echo-reply":
        if (delivery === "local") echo.replied(packet, ip, repr.identifier, repr.sequence, now);
        return;
      case "redirect":
        // Our routes come from the configuration (RFC 1122 section 3.2.2.2 lets a host ignore what it does not trust).
        counters.bump("icmp.redirect-ignored");
        return;
    }
    const kind = fromIcmpv4(repr);
    const mtu = repr.kind === "destination-unreachable" ? repr.mtu : 0;
    if (kind !== undefined && delivery !== "group") this.#error(kind, mtu, nic, packet, ip, at, now);
  }

  #inputV6(
    nic: Nic,
    packet: PacketBuffer,
    ip: IpHeader,
    delivery: Delivery,
    ethernet: EthernetHeader | undefined,
    now: Instant,
  ): void {
    const { counters, echo, ndp } = this.#context;
    if (packet.checksum === Checksum.unknown && !verifyIcmpv6(packet, ip.source, ip.destination)) {
      counters.bump("icmpv6.bad-checksum");
      return;
    }
    if (isNdp(packet)) return ndp.input(nic, packet, ip, ethernet?.source, now);
    const at = packet.start;
    const repr = parseIcmpv6(packet);
    if (typeof repr === "string") {
      counters.bump(`icmpv6.${repr}`);
      return;
    }
    switch (repr.kind) {
      case "echo-request":
        return echo.requested(nic, packet, ip, delivery, repr.identifier, repr.sequence, now);
      case "echo-reply":
        if (delivery === "local") echo.replied(packet, ip, repr.identifier, repr.sequence, now);
        return;
    }
    const kind = fromIcmpv6(repr);
    const mtu = repr.kind === "packet-too-big" ? repr.mtu : 0;
    if (kind !== undefined && delivery !== "group") this.#error(kind, mtu, nic, packet, ip, at, now);
  }

  /** @param at index of the message's type; the cursor of `packet` is behind its header */
  #error(
    kind: IcmpErrorKind,
    mtu: number,
    nic: Nic,
    packet: PacketBuffer,
    { source: reporter }: IpHeader,
    at: number,
    now: Instant,
  ): void {
    const { counters, echo, udp, tcp, raw } = this.#context;
    const quote = this.#quote;
    const reason = parseQuote(packet, quote);
    if (reason !== undefined) {
      counters.bump(`icmp.quote-${reason}`);
      return;
    }
    counters.bump("icmp.errors-received");
    const type = packet.view.getUint8(at), code = packet.view.getUint8(at + 1);
    const report: IcmpReport = { source: reporter, type, code, quoted: packet };
    const { ip, sourcePort, destinationPort } = quote;
    const { source, destination } = ip;
    let known = false;
    switch (ip.protocol) {
      case IpProtocol.tcp:
        known = tcp.lookup(source, sourcePort, destination, destinationPort) !== undefined;
        if (!known || kind === "reassembly-time-exceeded") break;
        if (kind === "packet-too-big") {
          mtu = this.#tooBig(mtu, quote, nic, now);
          if (mtu === 0) break;
        }
        tcp.handleIcmpError(source, sourcePort, destination, destinationPort, kind, mtu, quote.sequence, now);
        break;
      case IpProtocol.udp:
        known = udp.demux.lookup(source, sourcePort, destination, destinationPort, nic, false) !== undefined;
        if (!known) break;
        if (kind === "packet-too-big") mtu = this.#tooBig(mtu, quote, nic, now);
        udp.error(kind, source, sourcePort, destination, destinationPort, mtu, nic, now, report);
        break;
      case IpProtocol.icmp:
      case IpProtocol.icmpv6:
        known = echo.failed(kind, destination, sourcePort, destinationPort, now, report);
        if (known && kind === "packet-too-big") this.#tooBig(mtu, quote, nic, now);
        break;
    }
    if (raw.failed(kind, ip.protocol, destination, mtu, report, now)) known = true;
    if (!known) counters.bump("icmp.errors-unrelated");
  }

  /** Notes a smaller path MTU; 0 if the report is not believed. */
  #tooBig(reported: number, quote: Quote, nic: Nic, now: Instant): number {
    const { pathMtus, counters } = this.#context;
    const current = pathMtus.lookup(quote.ip.destination, now) || nic.mtu;
    const mtu = pathMtus.reduce(quote.ip.destination, reported, 0, current, now);
    counters.bump(mtu === 0 ? "ip.path-mtu-ignored" : "ip.path-mtu-reduced");
    return mtu;
  }
}
