/**
 * Messages of DHCP for IPv4 (RFC 2131 section 2): the payload of a UDP datagram.
 *
 * ```text
 *     0  op(8) htype(8) hlen(8) hops(8) | xid(32) | secs(16) flags(16)
 *    12  ciaddr(32) | yiaddr(32) | siaddr(32) | giaddr(32)
 *    28  chaddr(16 bytes) | sname(64 bytes) | file(128 bytes)
 *   236  magic cookie(32), then options: code(8) length(8) value …; sname and file may hold more of them
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { ANY4, IpAddress } from "./address.ts";
import {
  dhcpv4OptionBytes,
  type Dhcpv4Options,
  type Dhcpv4Type,
  readDhcpv4Options,
} from "./dhcpv4_options.ts";
import { isDhcpv4Code } from "./dhcpv4_options.ts";
import { MacAddress } from "./mac_address.ts";
import type { Malformed } from "./malformed.ts";

export { dhcpv4Code } from "./dhcpv4_options.ts";
export type { Dhcpv4Options, Dhcpv4Route, Dhcpv4Type } from "./dhcpv4_options.ts";

/** UDP ports. */
export const DHCPV4_SERVER_PORT = 67;
export const DHCPV4_CLIENT_PORT = 68;

/** A time that never ends, of leases. */
export const DHCPV4_INFINITE = 0xffffffff;

/** Longest message that anybody must take (RFC 2131 section 2: an IP packet of 576 bytes). */
export const DHCPV4_MESSAGE_MAX = 548;
/** Shortest message that BOOTP relays pass on (RFC 951). */
const MESSAGE_MIN = 300;

const CHADDR = 28, SNAME = 44, FILE = 108, COOKIE = 236, OPTIONS = 240;
const MAGIC = 0x63825363;
const BROADCAST = 0x8000;
const PAD = 0, OVERLOAD = 52, END = 255;
const OPTION_MAX = 255;

/** A message. */
export interface Dhcpv4Message {
  /** Whether a server speaks (BOOTREPLY). */
  readonly reply: boolean;
  readonly transaction: number;
  /** Seconds since the client began. */
  readonly seconds: number;
  /** The client cannot be reached by its hardware address before it has been configured. */
  readonly broadcast: boolean;
  /** ciaddr: what the client has. */
  readonly clientAddress: IpAddress;
  /** yiaddr: what the client gets. */
  readonly yourAddress: IpAddress;
  /** siaddr: where the client would boot from. */
  readonly nextServer: IpAddress;
  /** giaddr: the relay in between. */
  readonly relay: IpAddress;
  readonly hardware: MacAddress;
  readonly options: Dhcpv4Options & { readonly type: Dhcpv4Type };
}

/** A message of which only this much is told: the rest is zero. */
export type Dhcpv4Fields =
  & Pick<Dhcpv4Message, "reply" | "transaction" | "hardware" | "options">
  & Partial<Dhcpv4Message>;

/** Reads at the cursor; on success the cursor is at the end. Only Ethernet, and only DHCP (option 53), not BOOTP. */
export function parseDhcpv4(p: PacketBuffer): Dhcpv4Message | Malformed {
  const { view, start } = p;
  if (p.length < OPTIONS) return "truncated";
  const op = view.getUint8(start);
  if (op !== 1 && op !== 2) return "unknown-type";
  if (view.getUint8(start + 1) !== 1 || view.getUint8(start + 2) !== 6) return "unsupported";
  if (view.getUint32(start + COOKIE) !== MAGIC) return "unsupported";
  const joined = joinOptions(p.bytes, start, p.end);
  if (joined === undefined) return "bad-option";
  const { type, ...rest } = readDhcpv4Options(joined);
  if (type === undefined) return "unknown-type";
  p.start = p.end;
  return {
    reply: op === 2,
    transaction: view.getUint32(start + 4),
    seconds: view.getUint16(start + 8),
    broadcast: (view.getUint16(start + 10) & BROADCAST) !== 0,
    clientAddress: IpAddress.readV4(view, start + 12),
    yourAddress: IpAddress.readV4(view, start + 16),
    nextServer: IpAddress.readV4(view, start + 20),
    relay: IpAddress.readV4(view, start + 24),
    hardware: MacAddress.read(view, start + CHADDR),
    options: { type, ...rest },
  };
}

/**
 * The options that we know, with the pieces of each joined in the order of RFC 3396 section 5: options, file, sname.
 * Undefined: one reaches beyond its field.
 */
function joinOptions(bytes: Uint8Array, start: number, end: number): Map<number, Uint8Array> | undefined {
  const joined = new Map<number, Uint8Array>();
  if (!gather(bytes.subarray(start + OPTIONS, end), joined)) return undefined;
  const overload = joined.get(OVERLOAD)?.[0] ?? 0;
  if ((overload & 1) !== 0 && !gather(bytes.subarray(start + FILE, start + COOKIE), joined)) return undefined;
  if ((overload & 2) !== 0 && !gather(bytes.subarray(start + SNAME, start + FILE), joined)) return undefined;
  return joined;
}

function gather(field: Uint8Array, joined: Map<number, Uint8Array>): boolean {
  for (let at = 0; at < field.length;) {
    const code = field[at++]!;
    if (code === PAD) continue;
    if (code === END) return true;
    // A field that ends without saying so is common enough.
    if (at >= field.length) return true;
    const length = field[at++]!;
    if (at + length > field.length) return false;
    const piece = field.subarray(at, at + length);
    at += length;
    if (code !== OVERLOAD && !isDhcpv4Code(code)) continue;
    const before = joined.get(code);
    if (before === undefined) joined.set(code, piece);
    // Each piece costs what it adds: an option is joined at most as often as a message has room for pieces.
    else if (before.length < JOINED_MAX) joined.set(code, join(before, piece));
  }
  return true;
}

/** An option longer than this grows no more: joining is quadratic in the number of its pieces. */
const JOINED_MAX = 2_048;

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/**
 * Appends the message to a packet with room behind. Options that would make it longer than `limit` are left out, those
 * that matter least first; long ones come in pieces (RFC 3396).
 *
 * @returns how many options were left out
 */
export function emitDhcpv4(
  p: PacketBuffer,
  message: Dhcpv4Fields,
  limit: number = DHCPV4_MESSAGE_MAX,
): number {
  const { view, bytes } = p;
  const start = p.end;
  const room = Math.min(limit, bytes.length - start);
  bytes.fill(0, start, start + Math.min(room, MESSAGE_MIN));
  view.setUint8(start, message.reply ? 2 : 1);
  view.setUint8(start + 1, 1);
  view.setUint8(start + 2, 6);
  view.setUint32(start + 4, message.transaction);
  view.setUint16(start + 8, message.seconds ?? 0);
  view.setUint16(start + 10, message.broadcast === true ? BROADCAST : 0);
  (message.clientAddress ?? ANY4).write(view, start + 12);
  (message.yourAddress ?? ANY4).write(view, start + 16);
  (message.nextServer ?? ANY4).write(view, start + 20);
  (message.relay ?? ANY4).write(view, start + 24);
  message.hardware.write(view, start + CHADDR);
  view.setUint32(start + COOKIE, MAGIC);
  let at = start + OPTIONS;
  let omitted = 0;
  for (const [code, value] of dhcpv4OptionBytes(message.options)) {
    const pieces = Math.max(1, Math.ceil(value.length / OPTION_MAX));
    if (at - start + value.length + 2 * pieces + 1 > room) {
      omitted++;
      continue;
    }
    for (let i = 0; i < pieces; i++) {
      const piece = value.subarray(i * OPTION_MAX, (i + 1) * OPTION_MAX);
      bytes[at++] = code;
      bytes[at++] = piece.length;
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  bytes[at++] = END;
  p.end = Math.max(at, start + Math.min(room, MESSAGE_MIN));
  return omitted;
}
