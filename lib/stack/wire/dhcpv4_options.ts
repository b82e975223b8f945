/**
 * Options of DHCP for IPv4 (RFC 2132, and those named below): one codec each, in a table.
 *
 * An option may come in pieces, which are joined first (RFC 3396). One whose length does not fit what it is to hold is
 * ignored, as if it had not come; lists are cut at a limit. Text is taken only if it could stand in a configuration file.
 *
 * @module
 */

import { IpAddress } from "./address.ts";
import { domainNameBytes, isDomainName, parseDomainNames } from "./domain_name.ts";

/** Addresses taken from one option, and classless routes. */
export const MAX_DHCP_ADDRESSES = 16;
export const MAX_DHCP_ROUTES = 64;

/** Values of option 53, from 1 on. */
const TYPES = ["discover", "offer", "request", "decline", "ack", "nak", "release", "inform"] as const;

/** What a message is for. */
export type Dhcpv4Type = typeof TYPES[number];

/** A classless static route (RFC 3442). A `gateway` of 0.0.0.0: the destination is on the link. */
export interface Dhcpv4Route {
  readonly destination: IpAddress;
  readonly prefixLength: number;
  readonly gateway: IpAddress;
}

/** The options that we know; times are seconds, 0xffffffff for ever. */
export interface Dhcpv4Options {
  /** 53. */
  readonly type?: Dhcpv4Type;
  /** 54: which server speaks, or is meant. */
  readonly serverId?: IpAddress;
  /** 51. */
  readonly leaseTime?: number;
  /** 58 and 59: T1 and T2. */
  readonly renewalTime?: number;
  readonly rebindingTime?: number;
  /** 1, as the length of the prefix; a mask with holes is ignored. */
  readonly prefixLength?: number;
  /** 3, most preferred first; ignored where there is `routes`. */
  readonly routers?: readonly IpAddress[];
  /** 121. */
  readonly routes?: readonly Dhcpv4Route[];
  /** 6. */
  readonly dns?: readonly IpAddress[];
  /** 26. */
  readonly mtu?: number;
  /** 119 (RFC 3397). */
  readonly searchDomains?: readonly string[];
  /** 15. */
  readonly domainName?: string;
  /** 12. */
  readonly hostName?: string;
  /** 42. */
  readonly timeServers?: readonly IpAddress[];
  /** 50. */
  readonly requestedAddress?: IpAddress;
  /** 55: the codes of the options that the client would like. */
  readonly parameters?: readonly number[];
  /** 57: longest IP packet with a message that the sender takes, at least 576. */
  readonly maxMessageSize?: number;
  /** 61, with its type byte. */
  readonly clientId?: Uint8Array;
  /** 60. */
  readonly vendorClass?: Uint8Array;
  /** 43. */
  readonly vendorSpecific?: Uint8Array;
  /** 56: why not. Printable ASCII. */
  readonly message?: string;
  /** 81 (RFC 4702), as it came. */
  readonly fqdn?: Uint8Array;
  /** 80 (RFC 4039): an ACK will do for an OFFER. */
  readonly rapidCommit?: true;
}

interface Codec<T> {
  readonly code: number;
  /** Undefined: it cannot mean that. */
  read(bytes: Uint8Array): T | undefined;
  write(value: T): Uint8Array;
}

type Codecs = { readonly [K in keyof Dhcpv4Options]-?: Codec<NonNullable<Dhcpv4Options[K]>> };

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** An option of one value. One that comes twice is joined to twice its length: the first value counts. */
function fixed<T>(
  code: number,
  size: number,
  read: (view: DataView) => T | undefined,
  write: (view: DataView, value: T) => void,
): Codec<T> {
  return {
    code,
    read: (bytes) => bytes.length === 0 || bytes.length % size !== 0 ? undefined : read(viewOf(bytes)),
    write: (value) => {
      const bytes = new Uint8Array(size);
      write(viewOf(bytes), value);
      return bytes;
    },
  };
}

const u16 = (code: number) =>
  fixed(code, 2, (view) => view.getUint16(0), (view, value) => view.setUint16(0, value));
const u32 = (code: number) =>
  fixed(code, 4, (view) => view.getUint32(0), (view, value) => view.setUint32(0, value));
const address = (code: number) =>
  fixed(code, 4, (view) => IpAddress.readV4(view, 0), (view, value) => value.write(view, 0));

const addresses = (code: number): Codec<readonly IpAddress[]> => ({
  code,
  read: (bytes) => {
    if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
    const view = viewOf(bytes);
    const list: IpAddress[] = [];
    for (let i = 0; i < bytes.length && list.length < MAX_DHCP_ADDRESSES; i += 4) {
      list.push(IpAddress.readV4(view, i));
    }
    return list;
  },
  write: (list) => {
    const bytes = new Uint8Array(4 * list.length);
    const view = viewOf(bytes);
    for (const [i, one] of list.entries()) one.write(view, 4 * i);
    return bytes;
  },
});

const blob = (code: number): Codec<Uint8Array> => ({
  code,
  read: (bytes) => bytes.length === 0 ? undefined : bytes.slice(),
  write: (bytes) => bytes,
});

/** Text; some senders end it with a NUL. */
const text = (code: number, accept: (text: string) => boolean): Codec<string> => ({
  code,
  read: (bytes) => {
    const value = String.fromCharCode(...bytes.subarray(0, 255)).replace(/\0+$/, "");
    return accept(value) ? value : undefined;
  },
  write: (value) => Uint8Array.from(value, (char) => char.charCodeAt(0)),
});

function readPrefixLength(view: DataView): number | undefined {
  const mask = view.getInt32(0);
  const length = Math.clz32(~mask);
  return length === 32 || mask << length === 0 ? length : undefined;
}

function readRoutes(bytes: Uint8Array): readonly Dhcpv4Route[] | undefined {
  const routes: Dhcpv4Route[] = [];
  for (let at = 0; at < bytes.length && routes.length < MAX_DHCP_ROUTES;) {
    const prefixLength = bytes[at++]!;
    const significant = (prefixLength + 7) >>> 3;
    if (prefixLength > 32 || at + significant + 4 > bytes.length) return undefined;
    let word = 0;
    for (let i = 0; i < significant; i++) word |= bytes[at + i]! << (24 - 8 * i);
    // RFC 3442: bits behind the prefix are to be ignored.
    if (prefixLength < 32) word &= ~(-1 >>> prefixLength);
    at += significant;
    routes.push({
      destination: IpAddress.v4(word),
      prefixLength,
      gateway: IpAddress.readV4(viewOf(bytes), at),
    });
    at += 4;
  }
  return routes.length === 0 ? undefined : routes;
}

function writeRoutes(routes: readonly Dhcpv4Route[]): Uint8Array {
  const bytes: number[] = [];
  const word = ({ d }: IpAddress) => [d >>> 24, (d >>> 16) & 255, (d >>> 8) & 255, d & 255];
  for (const { destination, prefixLength, gateway } of routes) {
    bytes.push(prefixLength, ...word(destination).slice(0, (prefixLength + 7) >>> 3), ...word(gateway));
  }
  return Uint8Array.from(bytes);
}

/** In the order in which they are written: what matters most first, should there be no room for all. */
const CODECS: Codecs = {
  type: fixed(
    53,
    1,
    (view) => TYPES[view.getUint8(0) - 1],
    (view, value) => view.setUint8(0, TYPES.indexOf(value) + 1),
  ),
  serverId: address(54),
  clientId: blob(61),
  requestedAddress: address(50),
  leaseTime: u32(51),
  renewalTime: u32(58),
  rebindingTime: u32(59),
  rapidCommit: { code: 80, read: () => true, write: () => new Uint8Array(0) },
  maxMessageSize: u16(57),
  parameters: { code: 55, read: (bytes) => [...bytes], write: (codes) => Uint8Array.from(codes) },
  prefixLength: fixed(
    1,
    4,
    readPrefixLength,
    (view, length) => view.setInt32(0, length === 0 ? 0 : -1 << (32 - length)),
  ),
  // RFC 3442 wants classless routes in front of routers.
  routes: { code: 121, read: readRoutes, write: writeRoutes },
  routers: addresses(3),
  dns: addresses(6),
  mtu: u16(26),
  message: text(56, (value) => /^[\x20-\x7e]+$/.test(value)),
  hostName: text(12, isDomainName),
  domainName: text(15, isDomainName),
  searchDomains: {
    code: 119,
    read: (bytes) => {
      const names = parseDomainNames(bytes);
      return names.length === 0 ? undefined : names;
    },
    write: domainNameBytes,
  },
  timeServers: addresses(42),
  vendorClass: blob(60),
  vendorSpecific: blob(43),
  fqdn: blob(81),
};

const NAMES = Object.keys(CODECS) as (keyof Dhcpv4Options)[];
const BY_CODE = new Map(NAMES.map((name) => [CODECS[name].code, name]));

/** Codes for {@linkcode Dhcpv4Options.parameters}, by name. */
export function dhcpv4Code(name: keyof Dhcpv4Options): number {
  return CODECS[name].code;
}

/** Whether we know the option. */
export function isDhcpv4Code(code: number): boolean {
  return BY_CODE.has(code);
}

/** Makes sense of options whose pieces have been joined. */
export function readDhcpv4Options(joined: ReadonlyMap<number, Uint8Array>): Dhcpv4Options {
  const options: Record<string, unknown> = {};
  for (const [code, bytes] of joined) {
    const name = BY_CODE.get(code);
    if (name === undefined) continue;
    const value = CODECS[name].read(bytes);
    if (value !== undefined) options[name] = value;
  }
  return options;
}

/** The options as codes and bytes, in the order in which to write them. */
export function* dhcpv4OptionBytes(
  options: Dhcpv4Options,
): Generator<readonly [code: number, bytes: Uint8Array]> {
  for (const name of NAMES) {
    const value = options[name];
    if (value !== undefined) yield [CODECS[name].code, (CODECS[name] as Codec<unknown>).write(value)];
  }
}
