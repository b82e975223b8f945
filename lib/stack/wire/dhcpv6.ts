/**
 * Messages between clients and servers of DHCP for IPv6 (RFC 8415 section 8): the payload of a UDP datagram.
 *
 * ```text
 *   0  type(8) transaction(24) | options: code(16) length(16) value …
 *
 *   IA_NA(3):  IAID(32) T1(32) T2(32) options        IAADDR(5): address(128) preferred(32) valid(32) options
 * ```
 *
 * Only what a client of one address needs is understood; what else there is, is passed over.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { IpAddress } from "./address.ts";
import { domainNameBytes, parseDomainNames } from "./domain_name.ts";
import type { Malformed } from "./malformed.ts";

/** UDP ports. */
export const DHCPV6_CLIENT_PORT = 546;
export const DHCPV6_SERVER_PORT = 547;
/** ff02::1:2, where servers and relays listen. */
export const ALL_DHCP_SERVERS: IpAddress = new IpAddress(6, 0xff020000 | 0, 0, 0, 0x00010002);
/** A time that never ends. */
export const DHCPV6_INFINITE = 0xffffffff;

/** Section 7.3. */
export const DHCPV6_TYPES = {
  solicit: 1,
  advertise: 2,
  request: 3,
  confirm: 4,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  decline: 9,
  "information-request": 11,
} as const;
/** What a message is for. */
export type Dhcpv6Type = keyof typeof DHCPV6_TYPES;

/** Section 21.13; those that a client must tell apart. */
export const Dhcpv6Status = { success: 0, noAddresses: 2, noBinding: 3, notOnLink: 4 } as const;

const CLIENT_ID = 1, SERVER_ID = 2, IA_NA = 3, IA_ADDRESS = 5, OPTION_REQUEST = 6, PREFERENCE = 7;
const ELAPSED_TIME = 8, STATUS_CODE = 13, RAPID_COMMIT = 14, DNS_SERVERS = 23, DOMAIN_LIST = 24, REFRESH = 32;
const HEADER = 4, OPTION = 4, IA_HEADER = 12, IA_ADDRESS_HEADER = 24;
/** RFC 8415 section 11.1: 1 to 128 bytes and the type. */
const DUID_MIN = 3, DUID_MAX = 130;
/** Bounds of what is believed to be worth keeping of one message. */
const MAX_ADDRESSES = 8, MAX_SERVERS = 8;

const BY_NUMBER: ReadonlyMap<number, Dhcpv6Type> = new Map(
  (Object.keys(DHCPV6_TYPES) as Dhcpv6Type[]).map((type) => [DHCPV6_TYPES[type], type]),
);

/** An address and for how long, seconds. */
export interface Dhcpv6Address {
  readonly address: IpAddress;
  readonly preferred: number;
  readonly valid: number;
}

/** What belongs together of one interface (IA_NA). */
export interface Dhcpv6Association {
  readonly id: number;
  /** When to renew with this server, and with any; 0: the client decides. Seconds. */
  readonly t1: number;
  readonly t2: number;
  readonly addresses: readonly Dhcpv6Address[];
  readonly status?: number;
}

/** A message. */
export interface Dhcpv6Message {
  readonly type: Dhcpv6Type;
  /** 24 bits. */
  readonly transaction: number;
  readonly clientId?: Uint8Array;
  readonly serverId?: Uint8Array;
  readonly association?: Dhcpv6Association;
  readonly preference?: number;
  /** Hundredths of a second since the client began. */
  readonly elapsed?: number;
  readonly rapidCommit?: boolean;
  readonly status?: number;
  /** Codes of options that the client would like to have. */
  readonly wanted?: readonly number[];
  readonly dns?: readonly IpAddress[];
  readonly searchDomains?: readonly string[];
  /** Seconds after which to ask for information again. */
  readonly refresh?: number;
}

/** What a client asks for: resolvers, domains, and when to ask again. */
export const DHCPV6_WANTED: readonly number[] = [DNS_SERVERS, DOMAIN_LIST, REFRESH];

type Draft = { -readonly [Key in keyof Dhcpv6Message]: Dhcpv6Message[Key] };

/** Reads a message; consumes it. */
export function parseDhcpv6(p: PacketBuffer): Dhcpv6Message | Malformed {
  const { view, bytes, start, end } = p;
  if (p.length < HEADER) return "truncated";
  const type = BY_NUMBER.get(view.getUint8(start));
  if (type === undefined) return "unknown-type";
  const draft: Draft = { type, transaction: view.getUint32(start) & 0xffffff };
  const whole = eachOption(view, start + HEADER, end, (code, at, length) => {
    switch (code) {
      case CLIENT_ID:
        if (isDuid(length)) draft.clientId ??= bytes.slice(at, at + length);
        break;
      case SERVER_ID:
        if (isDuid(length)) draft.serverId ??= bytes.slice(at, at + length);
        break;
      case IA_NA:
        readAssociation(draft, view, at, at + length);
        break;
      case PREFERENCE:
        if (length === 1) draft.preference = view.getUint8(at);
        break;
      case ELAPSED_TIME:
        if (length === 2) draft.elapsed = view.getUint16(at);
        break;
      case STATUS_CODE:
        if (length >= 2) draft.status = view.getUint16(at);
        break;
      case RAPID_COMMIT:
        draft.rapidCommit = true;
        break;
      case OPTION_REQUEST:
        draft.wanted = Array.from(
          { length: Math.min(length >> 1, 64) },
          (_, i) => view.getUint16(at + 2 * i),
        );
        break;
      case DNS_SERVERS:
        draft.dns = Array.from(
          { length: Math.min(length >> 4, MAX_SERVERS) },
          (_, i) => IpAddress.readV6(view, at + 16 * i),
        );
        break;
      case DOMAIN_LIST:
        draft.searchDomains = parseDomainNames(bytes.subarray(at, at + length));
        break;
      case REFRESH:
        if (length === 4) draft.refresh = view.getUint32(at);
    }
  });
  if (!whole) return "bad-option";
  p.start = end;
  return draft;
}

function isDuid(length: number): boolean {
  return length >= DUID_MIN && length <= DUID_MAX;
}

/** False: one reaches beyond the end. */
function eachOption(
  view: DataView,
  from: number,
  end: number,
  take: (code: number, at: number, length: number) => void,
): boolean {
  let at = from;
  while (at + OPTION <= end) {
    const length = view.getUint16(at + 2);
    if (at + OPTION + length > end) return false;
    take(view.getUint16(at), at + OPTION, length);
    at += OPTION + length;
  }
  return at === end;
}

/** The first that can be read; one that cannot is as if it were not there. */
function readAssociation(draft: Draft, view: DataView, at: number, end: number): void {
  if (draft.association !== undefined || end - at < IA_HEADER) return;
  const addresses: Dhcpv6Address[] = [];
  let status: number | undefined;
  const whole = eachOption(view, at + IA_HEADER, end, (code, at, length) => {
    if (code === STATUS_CODE && length >= 2) status = view.getUint16(at);
    if (code !== IA_ADDRESS || length < IA_ADDRESS_HEADER || addresses.length >= MAX_ADDRESSES) return;
    addresses.push({
      address: IpAddress.readV6(view, at),
      preferred: view.getUint32(at + 16),
      valid: view.getUint32(at + 20),
    });
  });
  if (!whole) return;
  const times = { id: view.getUint32(at), t1: view.getUint32(at + 4), t2: view.getUint32(at + 8) };
  draft.association = { ...times, addresses, ...(status === undefined ? {} : { status }) };
}

/** Appends the message to a packet, which must have room behind for all of it. */
export function emitDhcpv6(p: PacketBuffer, message: Dhcpv6Message): void {
  const { view, bytes } = p;
  let at = p.end;
  const begin = (code: number) => {
    view.setUint16(at, code);
    at += OPTION;
    return at;
  };
  const finish = (from: number) => view.setUint16(from - 2, at - from);
  const put = (code: number, value: Uint8Array | undefined) => {
    if (value === undefined) return;
    const from = begin(code);
    bytes.set(value, at);
    at += value.length;
    finish(from);
  };
  const number = (code: number, size: 1 | 2 | 4, value: number | undefined) => {
    if (value === undefined) return;
    const from = begin(code);
    if (size === 1) view.setUint8(at, value);
    else if (size === 2) view.setUint16(at, value);
    else view.setUint32(at, value);
    at += size;
    finish(from);
  };
  view.setUint32(at, DHCPV6_TYPES[message.type] << 24 | message.transaction & 0xffffff);
  at += HEADER;
  put(CLIENT_ID, message.clientId);
  put(SERVER_ID, message.serverId);
  const { association } = message;
  if (association !== undefined) {
    const from = begin(IA_NA);
    view.setUint32(at, association.id);
    view.setUint32(at + 4, association.t1);
    view.setUint32(at + 8, association.t2);
    at += IA_HEADER;
    for (const { address, preferred, valid } of association.addresses) {
      const one = begin(IA_ADDRESS);
      address.write(view, at);
      view.setUint32(at + 16, preferred);
      view.setUint32(at + 20, valid);
      at += IA_ADDRESS_HEADER;
      finish(one);
    }
    number(STATUS_CODE, 2, association.status);
    finish(from);
  }
  number(PREFERENCE, 1, message.preference);
  number(ELAPSED_TIME, 2, message.elapsed);
  number(STATUS_CODE, 2, message.status);
  if (message.rapidCommit === true) put(RAPID_COMMIT, new Uint8Array());
  if (message.wanted !== undefined) {
    const from = begin(OPTION_REQUEST);
    for (const code of message.wanted) {
      view.setUint16(at, code);
      at += 2;
    }
    finish(from);
  }
  if (message.dns !== undefined) {
    const from = begin(DNS_SERVERS);
    for (const address of message.dns) {
      address.write(view, at);
      at += 16;
    }
    finish(from);
  }
  if (message.searchDomains !== undefined) put(DOMAIN_LIST, domainNameBytes(message.searchDomains));
  number(REFRESH, 4, message.refresh);
  p.end = at;
}
