/**
 * The layouts of C structures. Both architectures are little-endian LP64, so all but `epoll_event` agree.
 *
 * @module
 */

import { AF } from "./constants.ts";
import type { NativeMemory } from "./memory.ts";

/**
 * An IP address as four 32-bit words in network order; IPv4 is `0, 0, 0xffff, word`. The stack's addresses
 * are this.
 */
export interface AddressWords {
  readonly family: 4 | 6;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** Bytes that any socket address fits in (`sockaddr_storage`). */
export const SOCKADDR_SIZE = 128;
/** Bytes of `struct sockaddr_in`. */
export const SOCKADDR_IN_SIZE = 16;
/** Bytes of `struct sockaddr_in6`. */
export const SOCKADDR_IN6_SIZE = 28;

/** An address and a port to read into. */
export class SocketAddress implements AddressWords {
  family: 4 | 6 = 4;
  a = 0;
  b = 0;
  c = 0xffff;
  d = 0;
  port = 0;
  /** `sin6_scope_id`: the interface of a link-local address. */
  scope = 0;

  /** Takes over `address` and `port`. */
  set(address: AddressWords, port: number, scope = 0): this {
    this.family = address.family;
    this.a = address.a;
    this.b = address.b;
    this.c = address.c;
    this.d = address.d;
    this.port = port;
    this.scope = scope;
    return this;
  }
}

/** 0.0.0.0 */
export const ANY4: AddressWords = { family: 4, a: 0, b: 0, c: 0xffff, d: 0 };
/** :: */
export const ANY6: AddressWords = { family: 6, a: 0, b: 0, c: 0, d: 0 };
/** 127.0.0.1 */
export const LOOPBACK4: AddressWords = { family: 4, a: 0, b: 0, c: 0xffff, d: 0x7f000001 };
/** ::1 */
export const LOOPBACK6: AddressWords = { family: 6, a: 0, b: 0, c: 0, d: 1 };

/** Writes a `sockaddr_in` or `sockaddr_in6` at `at`; returns its length. */
export function writeSockaddr(
  view: DataView,
  at: number,
  address: AddressWords,
  port: number,
  scope = 0,
): number {
  if (address.family === 4) {
    view.setUint16(at, AF.INET, true);
    view.setUint16(at + 2, port);
    view.setInt32(at + 4, address.d);
    view.setInt32(at + 8, 0);
    view.setInt32(at + 12, 0);
    return SOCKADDR_IN_SIZE;
  }
  view.setUint16(at, AF.INET6, true);
  view.setUint16(at + 2, port);
  view.setInt32(at + 4, 0);
  view.setInt32(at + 8, address.a);
  view.setInt32(at + 12, address.b);
  view.setInt32(at + 16, address.c);
  view.setInt32(at + 20, address.d);
  view.setUint32(at + 24, scope, true);
  return SOCKADDR_IN6_SIZE;
}

/**
 * Reads a `sockaddr_in` or `sockaddr_in6`; an IPv4-mapped address becomes IPv4. False for other families,
 * `into` untouched.
 */
export function readSockaddr(view: DataView, at: number, into: SocketAddress): boolean {
  const family = view.getUint16(at, true);
  if (family === AF.INET) {
    into.family = 4;
    into.a = 0;
    into.b = 0;
    into.c = 0xffff;
    into.d = view.getInt32(at + 4);
    into.scope = 0;
  } else if (family === AF.INET6) {
    into.a = view.getInt32(at + 8);
    into.b = view.getInt32(at + 12);
    into.c = view.getInt32(at + 16);
    into.d = view.getInt32(at + 20);
    into.family = into.a === 0 && into.b === 0 && into.c === 0xffff ? 4 : 6;
    into.scope = view.getUint32(at + 24, true);
  } else {
    return false;
  }
  into.port = view.getUint16(at + 2);
  return true;
}

/** Longest path of a unix socket, its NUL included. */
export const UNIX_PATH_MAX = 108;

/** Writes a `sockaddr_un`; a leading `@` means the abstract namespace. Returns its length. */
export function writeSockaddrUnix(memory: NativeMemory, at: number, path: string): number {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length >= UNIX_PATH_MAX) {
    throw new RangeError(
      `Cannot use unix socket ${path}: the path is longer than ${UNIX_PATH_MAX - 1} bytes`,
    );
  }
  memory.view.setUint16(at, AF.UNIX, true);
  memory.bytes.set(bytes, at + 2);
  memory.bytes[at + 2 + bytes.length] = 0;
  if (!path.startsWith("@")) return 2 + bytes.length + 1;
  memory.bytes[at + 2] = 0;
  return 2 + bytes.length;
}

/** Bytes of `struct sockaddr_ll`. */
export const SOCKADDR_LL_SIZE = 20;

/** Writes a `sockaddr_ll` to bind a packet socket to interface `index`; returns its length. */
export function writeSockaddrLink(view: DataView, at: number, index: number, protocol: number): number {
  view.setUint16(at, AF.PACKET, true);
  view.setUint16(at + 2, protocol);
  view.setInt32(at + 4, index, true);
  view.setInt32(at + 8, 0);
  view.setInt32(at + 12, 0);
  view.setInt32(at + 16, 0);
  return SOCKADDR_LL_SIZE;
}

/** Bytes of `struct iovec`. */
export const IOVEC_SIZE = 16;

/** Writes entry `index` of an array of `struct iovec` that begins at `at`. */
export function writeIovec(
  memory: NativeMemory,
  at: number,
  index: number,
  address: number,
  length: number,
): void {
  const entry = at + index * IOVEC_SIZE;
  memory.setPointer(entry, address);
  memory.view.setInt32(entry + 8, length, true);
  memory.view.setInt32(entry + 12, 0, true);
}

/** Bytes of `struct msghdr`. */
export const MSGHDR_SIZE = 56;
/** Bytes of `struct mmsghdr`. */
export const MMSGHDR_SIZE = 64;
/** Offsets in `struct msghdr`, and of the length behind it in `struct mmsghdr`. */
export const Msghdr = {
  name: 0,
  nameLength: 8,
  iov: 16,
  iovLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  length: 56,
} as const;

/** Bytes of a control message header; its data follows, padded to a multiple of 8. */
export const CMSGHDR_SIZE = 16;

/** Bytes that a control message with `length` bytes of data takes (`CMSG_SPACE`). */
export function cmsgSpace(length: number): number {
  return CMSGHDR_SIZE + ((length + 7) & ~7);
}

/** Writes a control message header for `length` bytes of data; returns the offset of the data. */
export function writeCmsg(view: DataView, at: number, level: number, type: number, length: number): number {
  view.setUint32(at, CMSGHDR_SIZE + length, true);
  view.setUint32(at + 4, 0, true);
  view.setInt32(at + 8, level, true);
  view.setInt32(at + 12, type, true);
  return at + CMSGHDR_SIZE;
}

/**
 * Offset of the data of the first control message of this level and type within `[at, at + length)`, or −1.
 * `cmsgLength(view, offset)` tells how long it is.
 */
export function findCmsg(view: DataView, at: number, length: number, level: number, type: number): number {
  const end = at + length;
  while (at + CMSGHDR_SIZE <= end) {
    const size = view.getUint32(at, true);
    if (size < CMSGHDR_SIZE || at + size > end) return -1;
    if (view.getInt32(at + 8, true) === level && view.getInt32(at + 12, true) === type) {
      return at + CMSGHDR_SIZE;
    }
    at += (size + 7) & ~7;
  }
  return -1;
}

/** Bytes of data of the control message whose data begins at `data`. */
export function cmsgLength(view: DataView, data: number): number {
  return view.getUint32(data - CMSGHDR_SIZE, true) - CMSGHDR_SIZE;
}

/** Bytes of `struct ifreq`. */
export const IFREQ_SIZE = 40;
/** Longest interface name, without its NUL. */
export const IFNAME_MAX = 15;
