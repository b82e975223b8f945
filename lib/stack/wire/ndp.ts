/**
 * Neighbour discovery for IPv6 (RFC 4861): who is where on the link, and who is a router.
 *
 * Every message must come with hop limit 255, which proves that no router forwarded it: the sender is on the link. That is
 * the whole protection this protocol has, so the parser insists on the header too.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { IpAddress } from "./address.ts";
import { finishIcmpv6, Icmpv6Type } from "./icmpv6.ts";
import type { IpHeader } from "./ip.ts";
import type { Malformed } from "./malformed.ts";
import {
  emitNdpOptions,
  type NdpOptions,
  ndpOptionsLength,
  parseNdpOptions,
  preferenceBits,
  readPreference,
  type RouterPreference,
} from "./ndp_options.ts";

export type {
  DnsSearchList,
  NdpOptions,
  PrefixInformation,
  RecursiveDnsServers,
  RouteInformation,
  RouterPreference,
} from "./ndp_options.ts";

/** The hop limit of all messages. */
export const NDP_HOP_LIMIT = 255;

/** ff02::1. */
export const ALL_NODES: IpAddress = new IpAddress(6, 0xff020000 | 0, 0, 0, 1);
/** ff02::2. */
export const ALL_ROUTERS: IpAddress = new IpAddress(6, 0xff020000 | 0, 0, 0, 2);

/** ff02::1:ff00:0/104 with the last 24 bits of `target` (RFC 4291 section 2.7.1). */
export function solicitedNode(target: IpAddress): IpAddress {
  return new IpAddress(6, 0xff020000 | 0, 0, 1, 0xff000000 | (target.d & 0xffffff));
}

/** A message. */
export type NdpRepr =
  | { readonly kind: "router-solicitation"; readonly options: NdpOptions }
  | {
    readonly kind: "router-advertisement";
    /** 0: unspecified. */
    readonly hopLimit: number;
    /** Addresses by DHCPv6. */
    readonly managed: boolean;
    /** Other configuration by DHCPv6. */
    readonly otherConfig: boolean;
    /** As a default router (RFC 4191). */
    readonly preference: RouterPreference;
    /** Seconds; 0: not a default router. */
    readonly lifetime: number;
    /** Milliseconds; 0: unspecified. */
    readonly reachableTime: number;
    /** Milliseconds; 0: unspecified. */
    readonly retransTimer: number;
    readonly options: NdpOptions;
  }
  | { readonly kind: "neighbour-solicitation"; readonly target: IpAddress; readonly options: NdpOptions }
  | {
    readonly kind: "neighbour-advertisement";
    readonly target: IpAddress;
    readonly router: boolean;
    readonly solicited: boolean;
    readonly override: boolean;
    readonly options: NdpOptions;
  };

/** What a router says of itself and of the link. */
export type RouterAdvertisementMessage = Extract<NdpRepr, { readonly kind: "router-advertisement" }>;

/** Bytes in front of the options, by message type from 133 on. */
const FIXED = [8, 16, 24, 24] as const;

/** Flags of an advertisement: of a router (M, O), of a neighbour (R, S, O). */
const FIRST = 0x80;
const SECOND = 0x40;
const THIRD = 0x20;

/**
 * Reads at the cursor and applies the checks of RFC 4861 sections 6.1.1, 6.1.2, 7.1.1 and 7.1.2, but for the checksum. On
 * success the cursor is at the end. Redirects are of unknown type to us.
 */
export function parseNdp(p: PacketBuffer, ip: IpHeader): NdpRepr | Malformed {
  const { view, start } = p;
  if (p.length < 8) return "truncated";
  const type = view.getUint8(start);
  const fixed = FIXED[type - Icmpv6Type.routerSolicitation];
  if (fixed === undefined) return "unknown-type";
  if (p.length < fixed) return "truncated";
  if (ip.hopLimit !== NDP_HOP_LIMIT || view.getUint8(start + 1) !== 0) return "bad-neighbour-discovery";
  // RFC 6980: fragments would slip past what guards a link; an atomic fragment is rare enough to be let through.
  p.start = start + fixed;
  const options = parseNdpOptions(p);
  if (typeof options === "string") return options;
  return read(view, start, type, ip, options);
}

function read(
  view: DataView,
  start: number,
  type: number,
  ip: IpHeader,
  options: NdpOptions,
): NdpRepr | Malformed {
  switch (type) {
    case Icmpv6Type.routerSolicitation:
      // "If the IP source address is the unspecified address, there is no source link-layer address option."
      if (ip.source.isUnspecified() && options.sourceLinkLayer !== undefined) break;
      return { kind: "router-solicitation", options };
    case Icmpv6Type.routerAdvertisement:
      // "IP Source Address is a link-local address."
      if (!ip.source.isLinkLocal()) break;
      return readRouterAdvertisement(view, start, options);
    case Icmpv6Type.neighbourSolicitation: {
      const target = IpAddress.readV6(view, start + 8);
      if (target.isMulticast()) break;
      if (ip.source.isUnspecified()) {
        // Duplicate address detection: only to a solicited-node group, and without an address of the asker.
        if (options.sourceLinkLayer !== undefined || !isSolicitedNode(ip.destination)) break;
      }
      return { kind: "neighbour-solicitation", target, options };
    }
    case Icmpv6Type.neighbourAdvertisement: {
      const target = IpAddress.readV6(view, start + 8);
      const flags = view.getUint8(start + 4);
      const solicited = (flags & SECOND) !== 0;
      // "If the IP Destination Address is a multicast address the Solicited flag is zero."
      if (target.isMulticast() || (solicited && ip.destination.isMulticast())) break;
      const router = (flags & FIRST) !== 0;
      return {
        kind: "neighbour-advertisement",
        target,
        router,
        solicited,
        override: (flags & THIRD) !== 0,
        options,
      };
    }
  }
  return "bad-neighbour-discovery";
}

function readRouterAdvertisement(view: DataView, start: number, options: NdpOptions): NdpRepr {
  const flags = view.getUint8(start + 5);
  return {
    kind: "router-advertisement",
    hopLimit: view.getUint8(start + 4),
    managed: (flags & FIRST) !== 0,
    otherConfig: (flags & SECOND) !== 0,
    preference: readPreference(flags),
    lifetime: view.getUint16(start + 6),
    reachableTime: view.getUint32(start + 8),
    retransTimer: view.getUint32(start + 12),
    options,
  };
}

function isSolicitedNode(a: IpAddress): boolean {
  return a.a === (0xff020000 | 0) && a.b === 0 && a.c === 1 && a.d >>> 24 === 0xff;
}

/** Prepends the message to an empty packet, with its checksum. Send it with hop limit {@linkcode NDP_HOP_LIMIT}. */
export function emitNdp(p: PacketBuffer, repr: NdpRepr, source: IpAddress, destination: IpAddress): void {
  const type = TYPES[repr.kind];
  const fixed = FIXED[type - Icmpv6Type.routerSolicitation]!;
  const at = p.prepend(fixed + ndpOptionsLength(repr.options));
  const { view } = p;
  for (let i = at; i < at + fixed; i += 4) view.setInt32(i, 0);
  view.setUint8(at, type);
  switch (repr.kind) {
    case "router-solicitation":
      break;
    case "router-advertisement":
      view.setUint8(at + 4, repr.hopLimit);
      view.setUint8(
        at + 5,
        (repr.managed ? FIRST : 0) | (repr.otherConfig ? SECOND : 0) | preferenceBits(repr.preference),
      );
      view.setUint16(at + 6, repr.lifetime);
      view.setUint32(at + 8, repr.reachableTime);
      view.setUint32(at + 12, repr.retransTimer);
      break;
    case "neighbour-advertisement": {
      const flags = (repr.router ? FIRST : 0) | (repr.solicited ? SECOND : 0) | (repr.override ? THIRD : 0);
      view.setUint8(at + 4, flags);
      repr.target.write(view, at + 8);
      break;
    }
    case "neighbour-solicitation":
      repr.target.write(view, at + 8);
      break;
  }
  emitNdpOptions(view, at + fixed, repr.options);
  finishIcmpv6(p, source, destination);
}

const TYPES = {
  "router-solicitation": Icmpv6Type.routerSolicitation,
  "router-advertisement": Icmpv6Type.routerAdvertisement,
  "neighbour-solicitation": Icmpv6Type.neighbourSolicitation,
  "neighbour-advertisement": Icmpv6Type.neighbourAdvertisement,
} as const satisfies Record<NdpRepr["kind"], number>;
