/**
 * Neighbour discovery (RFC 4861): answers for our own addresses only, asks for others, and tells guests of a gateway
 * about their router.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { Counters } from "../counters.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { MacAddress } from "../wire/ethernet.ts";
import { type IpHeader, IpProtocol } from "../wire/ip.ts";
import { emitIpv6 } from "../wire/ipv6.ts";
import {
  ALL_NODES,
  emitNdp,
  NDP_HOP_LIMIT,
  type NdpRepr,
  parseNdp,
  type RouterAdvertisementMessage,
  solicitedNode,
} from "../wire/ndp.ts";
import { AddressDefence } from "./address_defence.ts";
import type { Neighbour } from "./neighbours.ts";
import type { IpOutput } from "./output.ts";
import type { PathResolver } from "./path.ts";
import { routerAdvertisementRepr } from "./router.ts";
import { selectSource } from "./source_address.ts";
import { TokenBucket } from "./token_bucket.ts";

/** What NDP needs. */
export interface NdpContext {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly paths: PathResolver;
  readonly output: IpOutput;
}

/** RFC 4861 section 10: MIN_DELAY_BETWEEN_RAS is 3 s; we allow short bursts of guests that start at once. */
const ADVERTISEMENTS_PER_SECOND = 1;
const ADVERTISEMENT_BURST = 10;

/** NDP for all interfaces of a stack. */
export class Ndp {
  readonly #context: NdpContext;
  readonly #defence = new AddressDefence();
  readonly #advertisements = new TokenBucket(ADVERTISEMENTS_PER_SECOND, ADVERTISEMENT_BURST);

  constructor(context: NdpContext) {
    this.#context = context;
  }

  /** A message whose checksum is good, cursor at its type. Does not own the packet. */
  input(nic: Nic, packet: PacketBuffer, ip: IpHeader, hardware: MacAddress | undefined, now: Instant): void {
    const { counters } = this.#context;
    const message = parseNdp(packet, ip);
    if (typeof message === "string") {
      counters.bump(`ndp.${message}`);
      return;
    }
    switch (message.kind) {
      case "neighbour-solicitation":
        return this.#solicited(nic, ip, message.target, message.options.sourceLinkLayer ?? hardware, now);
      case "neighbour-advertisement": {
        // RFC 4861 section 7.2.5: "If no entry exists, the advertisement SHOULD be silently discarded."
        claim(nic, message.target, now);
        const entry = nic.neighbours.peek(message.target);
        const mac = message.options.targetLinkLayer ?? (message.solicited ? hardware : undefined);
        if (nic.owns(message.target)) return this.#conflict(nic, message.target, mac ?? hardware, now);
        if (entry === undefined || mac === undefined || mac.isMulticast()) return;
        entry.router = message.router;
        return nic.neighbours.update(entry, mac, message.solicited, message.override, now);
      }
      case "router-solicitation":
        return this.#routerSolicited(nic, ip, message.options.sourceLinkLayer ?? hardware, now);
      case "router-advertisement":
        return this.#routerAdvertised(nic, message, ip, hardware, now);
    }
  }

  #solicited(nic: Nic, ip: IpHeader, target: IpAddress, mac: MacAddress | undefined, now: Instant): void {
    if (ip.source.isUnspecified()) claim(nic, target, now);
    if (!nic.owns(target)) return;
    const probe = ip.source.isUnspecified();
    const asker = ip.source.clone();
    if (!probe) this.#note(nic, asker, mac, now);
    this.#context.counters.bump("ndp.advertisements-sent");
    // RFC 4861 section 7.2.4: to a prober, all nodes are told and the Solicited flag is clear.
    this.#send(
      nic,
      target,
      probe ? ALL_NODES : asker,
      {
        kind: "neighbour-advertisement",
        target,
        router: nic.routerAdvertisement !== undefined,
        solicited: !probe,
        override: true,
        options: { targetLinkLayer: nic.mac },
      },
      now,
      probe ? undefined : mac,
    );
  }

  /** Followed where the mode says so; a guest that plays router is not listened to. */
  #routerAdvertised(
    nic: Nic,
    message: RouterAdvertisementMessage,
    ip: IpHeader,
    hardware: MacAddress | undefined,
    now: Instant,
  ): void {
    const router = ip.source.clone();
    let followed = false;
    for (const watch of nic.watches) {
      if (watch.onRouterAdvertisement === undefined) continue;
      if (!followed) this.#note(nic, router, message.options.sourceLinkLayer ?? hardware, now);
      followed = true;
      watch.onRouterAdvertisement(message, router, now);
    }
    if (!followed) this.#context.counters.bump("ndp.router-advertisement-ignored");
  }

  /** Somebody else says that it has our address (RFC 4862 section 5.4.4, after the address is assigned). */
  #conflict(nic: Nic, target: IpAddress, mac: MacAddress | undefined, now: Instant): void {
    if (mac === undefined || mac.equals(nic.mac)) return;
    this.#context.counters.bump("ndp.conflict");
    if (!this.#defence.due(nic, target, now)) return;
    this.#context.counters.bump("ndp.advertisements-sent");
    this.#send(nic, target, ALL_NODES, {
      kind: "neighbour-advertisement",
      target,
      router: nic.routerAdvertisement !== undefined,
      solicited: false,
      override: true,
      options: { targetLinkLayer: nic.mac },
    }, now);
  }

  #routerSolicited(nic: Nic, ip: IpHeader, mac: MacAddress | undefined, now: Instant): void {
    const advertisement = nic.routerAdvertisement;
    const source = nic.addresses.find(({ address }) => address.family === 6 && address.isLinkLocal())
      ?.address;
    if (advertisement === undefined || source === undefined) return;
    if (!this.#advertisements.take(now)) {
      this.#context.counters.bump("ndp.router-advertisements-rate-limited");
      return;
    }
    const asker = ip.source.clone();
    if (!asker.isUnspecified()) this.#note(nic, asker, mac, now);
    this.#context.counters.bump("ndp.router-advertisements-sent");
    const to = asker.isUnspecified() ? ALL_NODES : asker;
    this.#send(nic, source, to, routerAdvertisementRepr(advertisement, nic.mac), now);
  }

  /**
   * Tells everybody on the link about their router, unasked (RFC 4861 section 6.2.4). A host solicits only when it starts:
   * without this a router's lifetime would run out, and one that has come back would not be noticed.
   */
  advertise(nic: Nic, now: Instant): void {
    const { routerAdvertisement, linkLocal } = nic;
    if (routerAdvertisement === undefined || linkLocal === undefined) return;
    this.#context.counters.bump("ndp.router-advertisements-sent");
    this.#send(nic, linkLocal, ALL_NODES, routerAdvertisementRepr(routerAdvertisement, nic.mac), now);
  }

  /** Asks who has the address of `entry`. */
  solicit(nic: Nic, entry: Neighbour, unicast: boolean, now: Instant): void {
    const source = selectSource(entry.address, nic.addresses);
    if (source === undefined) {
      this.#context.counters.bump("ndp.no-source");
      return;
    }
    this.#context.counters.bump("ndp.solicitations-sent");
    const target = entry.address;
    const repr: NdpRepr = { kind: "neighbour-solicitation", target, options: { sourceLinkLayer: nic.mac } };
    if (!unicast) return this.#send(nic, source, solicitedNode(target), repr, now);
    this.#send(nic, source, target, repr, now);
  }

  /** RFC 4861 section 7.2.3: who asks us tells us where it is; that makes it STALE, not REACHABLE. */
  #note(nic: Nic, address: IpAddress, mac: MacAddress | undefined, now: Instant): void {
    if (mac === undefined || mac.isMulticast() || !nic.onLink(address)) return;
    nic.neighbours.update(nic.neighbours.entry(address), mac, false, true, now);
  }

  /** @param mac where a destination is that no route leads to: whoever asks on the link is answered on the link */
  #send(
    nic: Nic,
    source: IpAddress,
    destination: IpAddress,
    repr: NdpRepr,
    now: Instant,
    mac?: MacAddress,
  ): void {
    const { pool, paths, output, counters } = this.#context;
    const path = paths.resolve(destination, now, source, nic);
    const routed = typeof path !== "string";
    if (!routed && (mac === undefined || mac.isMulticast())) {
      counters.bump("ip.no-route");
      return;
    }
    const packet = pool.take(0);
    // An advertisement with all its options is longer than the usual headroom: begin at the far end of the buffer.
    packet.start = packet.end = packet.bytes.length;
    emitNdp(packet, repr, routed ? path.source : source, destination);
    if (routed) {
      output.send(path, packet, IpProtocol.icmpv6, NDP_HOP_LIMIT, 0, true, now);
      return;
    }
    const header = { protocol: IpProtocol.icmpv6, hopLimit: NDP_HOP_LIMIT, trafficClass: 0 };
    emitIpv6(packet, { source, destination, ...header });
    nic.transmit(packet, mac!, 6, now);
  }
}

function claim(nic: Nic, target: IpAddress, now: Instant): void {
  for (const watch of nic.watches) watch.onClaim?.(target, now);
}
