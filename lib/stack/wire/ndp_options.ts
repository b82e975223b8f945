/**
 * Options of neighbour discovery messages (RFC 4861 section 4.6, RFC 8106 for DNS servers and search domains, RFC 4191 for
 * routes).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { IpAddress } from "./address.ts";
import { domainNameBytes, parseDomainNames } from "./domain_name.ts";
import { MacAddress } from "./mac_address.ts";
import type { Malformed } from "./malformed.ts";

/** Options of one kind (and servers of one) taken from one message; more are ignored, they cannot be good news. */
export const MAX_NDP_LIST = 8;

/** A prefix that a router announces. Lifetimes are seconds, 0xffffffff for ever. */
export interface PrefixInformation {
  readonly prefix: IpAddress;
  readonly prefixLength: number;
  readonly onLink: boolean;
  /** May be used for SLAAC (RFC 4862). */
  readonly autonomous: boolean;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
}

/** DNS servers that a router announces. */
export interface RecursiveDnsServers {
  /** Seconds. */
  readonly lifetime: number;
  readonly servers: readonly IpAddress[];
}

/** Domains to search that a router announces. */
export interface DnsSearchList {
  /** Seconds. */
  readonly lifetime: number;
  readonly domains: readonly string[];
}

/** How much a router, or a route by it, is to be preferred (RFC 4191 section 2.1). */
export type RouterPreference = "low" | "medium" | "high";

/** A route by the router that announces it (RFC 4191). */
export interface RouteInformation {
  readonly prefix: IpAddress;
  readonly prefixLength: number;
  readonly preference: RouterPreference;
  /** Seconds, 0xffffffff for ever. */
  readonly lifetime: number;
}

/** The options that we know. */
export interface NdpOptions {
  readonly sourceLinkLayer?: MacAddress;
  readonly targetLinkLayer?: MacAddress;
  readonly mtu?: number;
  readonly prefixes?: readonly PrefixInformation[];
  readonly dns?: readonly RecursiveDnsServers[];
  readonly search?: readonly DnsSearchList[];
  readonly routes?: readonly RouteInformation[];
}

const Kind = {
  sourceLinkLayer: 1,
  targetLinkLayer: 2,
  prefix: 3,
  mtu: 5,
  route: 24,
  dns: 25,
  search: 31,
} as const;

const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

/** By the two bits of RFC 4191 section 2.1, which are a signed number; the reserved one has to be taken as medium. */
const PREFERENCES = ["medium", "high", "medium", "low"] as const;

/** The preference in bits 3 and 4 of a byte. */
export function readPreference(byte: number): RouterPreference {
  return PREFERENCES[(byte >>> 3) & 3]!;
}

/** Bits 3 and 4 of a byte. */
export function preferenceBits(preference: RouterPreference): number {
  return PREFERENCES.indexOf(preference) << 3;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads all options from the cursor to the end of the packet. Unknown ones are passed over (section 4.6). */
export function parseNdpOptions(p: PacketBuffer): NdpOptions | Malformed {
  const { view } = p;
  const options: Mutable<NdpOptions> = {};
  const prefixes: PrefixInformation[] = [];
  const dns: RecursiveDnsServers[] = [];
  const search: DnsSearchList[] = [];
  const routes: RouteInformation[] = [];
  while (p.start < p.end) {
    const at = p.start;
    if (p.end - at < 8) return "truncated";
    const length = view.getUint8(at + 1) << 3;
    // Section 4.6: "Nodes MUST silently discard an ND packet that contains an option with length zero."
    if (length === 0) return "bad-neighbour-discovery";
    if (length > p.end - at) return "truncated";
    p.start = at + length;
    switch (view.getUint8(at)) {
      case Kind.sourceLinkLayer:
        if (length === 8) options.sourceLinkLayer = MacAddress.read(view, at + 2);
        break;
      case Kind.targetLinkLayer:
        if (length === 8) options.targetLinkLayer = MacAddress.read(view, at + 2);
        break;
      case Kind.mtu:
        if (length === 8) options.mtu = view.getUint32(at + 4);
        break;
      case Kind.prefix:
        if (length === 32 && view.getUint8(at + 2) <= 128 && prefixes.length < MAX_NDP_LIST) {
          prefixes.push(readPrefix(view, at));
        }
        break;
      case Kind.dns:
        // RFC 8106 section 5.1: a minimum length of 3, and an address is two units.
        if (length >= 24 && (length & 15) === 8 && dns.length < MAX_NDP_LIST) {
          dns.push(readDns(view, at, length));
        }
        break;
      case Kind.search:
        if (length >= 16 && search.length < MAX_NDP_LIST) {
          const domains = parseDomainNames(p.bytes.subarray(at + 8, at + length));
          if (domains.length > 0) search.push({ lifetime: view.getUint32(at + 4), domains });
        }
        break;
      case Kind.route:
        if (view.getUint8(at + 2) <= 8 * Math.min(16, length - 8) && routes.length < MAX_NDP_LIST) {
          routes.push(readRoute(view, at, length));
        }
        break;
    }
  }
  if (prefixes.length > 0) options.prefixes = prefixes;
  if (dns.length > 0) options.dns = dns;
  if (search.length > 0) options.search = search;
  if (routes.length > 0) options.routes = routes;
  return options;
}

function readPrefix(view: DataView, at: number): PrefixInformation {
  const flags = view.getUint8(at + 3);
  return {
    prefix: IpAddress.readV6(view, at + 16),
    prefixLength: view.getUint8(at + 2),
    onLink: (flags & ON_LINK) !== 0,
    autonomous: (flags & AUTONOMOUS) !== 0,
    validLifetime: view.getUint32(at + 4),
    preferredLifetime: view.getUint32(at + 8),
  };
}

function readDns(view: DataView, at: number, length: number): RecursiveDnsServers {
  const servers: IpAddress[] = [];
  for (let i = at + 8; i < at + length && servers.length < MAX_NDP_LIST; i += 16) {
    servers.push(IpAddress.readV6(view, i));
  }
  return { lifetime: view.getUint32(at + 4), servers };
}

/** The prefix is cut after 0, 8 or 16 bytes. */
function readRoute(view: DataView, at: number, length: number): RouteInformation {
  const word = (i: number) => 8 + 4 * i < length ? view.getInt32(at + 8 + 4 * i) : 0;
  return {
    prefix: new IpAddress(6, word(0), word(1), word(2), word(3)),
    prefixLength: view.getUint8(at + 2),
    preference: readPreference(view.getUint8(at + 3)),
    lifetime: view.getUint32(at + 4),
  };
}

/** Bytes of a search list: zeros fill it up to a multiple of eight. */
function searchLength(bytes: Uint8Array): number {
  return 8 + (bytes.length + 7 & ~7);
}

/** Bytes that {@linkcode emitNdpOptions} will write. */
export function ndpOptionsLength(options: NdpOptions): number {
  let length = 0;
  if (options.sourceLinkLayer !== undefined) length += 8;
  if (options.targetLinkLayer !== undefined) length += 8;
  if (options.mtu !== undefined) length += 8;
  length += 32 * (options.prefixes?.length ?? 0);
  for (const { servers } of options.dns ?? []) length += 8 + 16 * servers.length;
  for (const { domains } of options.search ?? []) length += searchLength(domainNameBytes(domains));
  length += 24 * (options.routes?.length ?? 0);
  return length;
}

/** Writes all options at `at`. */
export function emitNdpOptions(view: DataView, at: number, options: NdpOptions): void {
  const header = (kind: number, length: number): number => {
    for (let i = at; i < at + length; i += 4) view.setInt32(i, 0);
    view.setUint8(at, kind);
    view.setUint8(at + 1, length >>> 3);
    const begin = at;
    at += length;
    return begin;
  };
  if (options.sourceLinkLayer !== undefined) {
    options.sourceLinkLayer.write(view, header(Kind.sourceLinkLayer, 8) + 2);
  }
  if (options.targetLinkLayer !== undefined) {
    options.targetLinkLayer.write(view, header(Kind.targetLinkLayer, 8) + 2);
  }
  if (options.mtu !== undefined) view.setUint32(header(Kind.mtu, 8) + 4, options.mtu);
  for (const prefix of options.prefixes ?? []) {
    const begin = header(Kind.prefix, 32);
    view.setUint8(begin + 2, prefix.prefixLength);
    view.setUint8(begin + 3, (prefix.onLink ? ON_LINK : 0) | (prefix.autonomous ? AUTONOMOUS : 0));
    view.setUint32(begin + 4, prefix.validLifetime);
    view.setUint32(begin + 8, prefix.preferredLifetime);
    prefix.prefix.write(view, begin + 16);
  }
  for (const { lifetime, servers } of options.dns ?? []) {
    const begin = header(Kind.dns, 8 + 16 * servers.length);
    view.setUint32(begin + 4, lifetime);
    for (const [i, server] of servers.entries()) server.write(view, begin + 8 + 16 * i);
  }
  for (const { lifetime, domains } of options.search ?? []) {
    const bytes = domainNameBytes(domains);
    const begin = header(Kind.search, searchLength(bytes));
    view.setUint32(begin + 4, lifetime);
    for (let i = 0; i < bytes.length; i++) view.setUint8(begin + 8 + i, bytes[i]!);
  }
  for (const { prefix, prefixLength, preference, lifetime } of options.routes ?? []) {
    const begin = header(Kind.route, 24);
    view.setUint8(begin + 2, prefixLength);
    view.setUint8(begin + 3, preferenceBits(preference));
    view.setUint32(begin + 4, lifetime);
    prefix.write(view, begin + 8);
  }
}
