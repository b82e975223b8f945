/**
 * Datagrams between host sockets and packet buffers, many per system call.
 *
 * **In**, `recvmmsg` fills up to {@linkcode SLOTS} datagrams. How long one is cannot be known before, so each slot is a pooled
 * buffer for an ordinary datagram, followed by shared memory for the rest of a long one: ordinary datagrams are not
 * copied again, long ones are copied to a buffer of their size.
 *
 * **Out**, a run of datagrams of one length for one connected socket is a single `sendmsg` with `UDP_SEGMENT`: the
 * kernel takes its stack once for all of them and cuts them where we would have. Where it cannot (the route's MTU is
 * smaller than a datagram, a device without checksum offload) it says so, and they go by `sendmmsg`.
 *
 * @module
 */

import { IP, IPV6, MSG, SOL, UDP } from "../../host/constants.ts";
import { Errno } from "../../host/errno.ts";
import { setOption } from "../../host/inet.ts";
import { alloc, type NativeMemory } from "../../host/memory.ts";
import {
  CMSGHDR_SIZE,
  cmsgSpace,
  findCmsg,
  IOVEC_SIZE as IOVEC,
  MMSGHDR_SIZE as MMSGHDR,
  Msghdr as Header,
  SocketAddress,
  writeCmsg,
  writeIovec,
  writeSockaddr,
} from "../../host/structs.ts";
import { recvmmsg, send, sendmmsg, sendmsg } from "../../host/sys.ts";
import { HEADROOM, type PacketBuffer } from "../../stack/buffer/packet.ts";
import { type BufferPool, MEDIUM } from "../../stack/buffer/pool.ts";

/** Datagrams of one call. */
export const SLOTS = 32;
/** Bytes of a datagram that go to a buffer of the pool at once. */
const ORDINARY = MEDIUM - HEADROOM;
/** Room for the rest of the longest. */
const REST = 65_536;
/** Most bytes of one UDP_SEGMENT send: what fits one IPv4 datagram. */
const SEGMENT_MAX = 65_000;

/** Bytes of one slot for a `sockaddr_in6`. */
const NAME = 32;
// Where things are in the memory of a DatagramReplier, behind its struct msghdr.
const NAME_AT = 64;
const IOVEC_AT = 96;
const CONTROL_AT = 112;
const CONTROL = cmsgSpace(2);
/** Bytes of one slot for the control message that says where a datagram was sent to (`in_pktinfo`, `in6_pktinfo`). */
const WHERE = cmsgSpace(20);

/** Receives in batches. One per gateway: a batch is taken apart before the next. */
export class DatagramReceiver {
  readonly #pool: BufferPool;
  readonly #headers: NativeMemory = alloc(SLOTS * MMSGHDR);
  readonly #iovecs: NativeMemory = alloc(SLOTS * 2 * IOVEC);
  readonly #rest: NativeMemory = alloc(SLOTS * REST);
  readonly #buffers: (PacketBuffer | undefined)[] = new Array<undefined>(SLOTS).fill(undefined);
  readonly #controls: NativeMemory = alloc(SLOTS * WHERE);
  /** A `sockaddr` per slot, {@linkcode NAME} bytes apart: where the datagram came from. */
  readonly names: NativeMemory = alloc(SLOTS * NAME);

  constructor(pool: BufferPool) {
    this.#pool = pool;
    for (let i = 0; i < SLOTS; i++) {
      const at = i * MMSGHDR;
      this.#headers.setPointer(at + Header.name, this.names.address + i * NAME);
      this.#headers.setPointer(at + Header.iov, this.#iovecs.address + i * 2 * IOVEC);
      this.#headers.setPointer(at + Header.iovLength, 2);
      this.#headers.setPointer(at + Header.control, this.#controls.address + i * WHERE);
      const iovec = i * 2 * IOVEC;
      this.#iovecs.setPointer(iovec + 8, ORDINARY);
      this.#iovecs.setPointer(iovec + IOVEC, this.#rest.address + i * REST);
      this.#iovecs.setPointer(iovec + IOVEC + 8, REST);
    }
  }

  /** Receives what waits, at most {@linkcode SLOTS} datagrams; returns how many, or −errno. */
  receive(fd: number): number {
    for (let i = 0; i < SLOTS; i++) {
      this.#headers.view.setUint32(i * MMSGHDR + Header.nameLength, NAME, true);
      this.#headers.view.setUint32(i * MMSGHDR + Header.controlLength, WHERE, true);
      if (this.#buffers[i] !== undefined) continue;
      const buffer = this.#buffers[i] = this.#pool.take(ORDINARY);
      this.#iovecs.setPointer(i * 2 * IOVEC, buffer.address + buffer.start);
    }
    return recvmmsg(fd, this.#headers.address, SLOTS, MSG.DONTWAIT, 0);
  }

  /** Where the address of slot `i` begins in {@linkcode names}. */
  nameAt(i: number): number {
    return i * NAME;
  }

  /**
   * Which of our addresses the datagram in slot `i` was sent to, with the interface as its scope. False for a socket
   * that was not asked to tell (see {@linkcode tellDestination}).
   */
  destination(i: number, into: SocketAddress): boolean {
    const { view } = this.#controls;
    const length = this.#headers.view.getUint32(i * MMSGHDR + Header.controlLength, true);
    const v4 = findCmsg(view, i * WHERE, length, SOL.IP, IP.PKTINFO);
    if (v4 >= 0) {
      into.family = 4;
      into.a = 0;
      into.b = 0;
      into.c = 0xffff;
      into.d = view.getInt32(v4 + 4);
      into.scope = view.getInt32(v4, true);
      return true;
    }
    const v6 = findCmsg(view, i * WHERE, length, SOL.IPV6, IPV6.PKTINFO);
    if (v6 < 0) return false;
    into.family = 6;
    into.a = view.getInt32(v6);
    into.b = view.getInt32(v6 + 4);
    into.c = view.getInt32(v6 + 8);
    into.d = view.getInt32(v6 + 12);
    into.scope = view.getInt32(v6 + 16, true);
    return true;
  }

  /** Bytes of the datagram in slot `i`. */
  length(i: number): number {
    return this.#headers.view.getUint32(i * MMSGHDR + Header.length, true);
  }

  /** How many of slots `[from, to)` may share one UDP header: of one length, but for a shorter last one. At least 1. */
  runLength(from: number, to: number): number {
    const size = this.length(from);
    if (size === 0 || size > ORDINARY) return 1;
    let total = size;
    let at = from + 1;
    while (at < to) {
      const next = this.length(at);
      if (next === 0 || next > size || total + next > SEGMENT_MAX) break;
      total += next;
      at++;
      if (next < size) break;
    }
    return at - from;
  }

  /** The payload in slot `i`, with headroom; the caller's from now on. */
  take(i: number): PacketBuffer {
    const length = this.length(i);
    const buffer = this.#buffers[i]!;
    if (length <= ORDINARY) {
      this.#buffers[i] = undefined;
      buffer.end = buffer.start + length;
      return buffer;
    }
    const long = this.#pool.take(length);
    long.bytes.set(buffer.bytes.subarray(buffer.start, buffer.start + ORDINARY), long.start);
    const rest = this.#rest.bytes.subarray(i * REST, i * REST + length - ORDINARY);
    long.bytes.set(rest, long.start + ORDINARY);
    long.end = long.start + length;
    return long;
  }

  close(): void {
    for (let i = 0; i < SLOTS; i++) {
      this.#buffers[i]?.release();
      this.#buffers[i] = undefined;
    }
  }
}

/** Has a socket tell, with every datagram, which of our addresses it was sent to. */
export function tellDestination(fd: number, family: 4 | 6): number {
  return family === 4 ? setOption(fd, SOL.IP, IP.PKTINFO, 1) : setOption(fd, SOL.IPV6, IPV6.RECVPKTINFO, 1);
}

/** Sends single datagrams from one of several addresses of ours, over a socket that is not connected. */
export class DatagramReplier {
  readonly #memory: NativeMemory = alloc(CONTROL_AT + WHERE);

  constructor() {
    const { address } = this.#memory;
    this.#memory.setPointer(Header.name, address + NAME_AT);
    this.#memory.setPointer(Header.iov, address + IOVEC_AT);
    this.#memory.setPointer(Header.iovLength, 1);
    this.#memory.setPointer(Header.control, address + CONTROL_AT);
  }

  /** Sends `packet` to `to`; from `from` if that is known, else from where the kernel thinks fit. ≥ 0 or −errno. */
  send(fd: number, packet: PacketBuffer, to: SocketAddress, from: SocketAddress | undefined): number {
    const { view } = this.#memory;
    view.setUint32(Header.nameLength, writeSockaddr(view, NAME_AT, to, to.port, to.scope), true);
    writeIovec(this.#memory, IOVEC_AT, 0, packet.address + packet.start, packet.length);
    view.setUint32(Header.controlLength, from === undefined ? 0 : this.#writeFrom(from), true);
    return sendmsg(fd, this.#memory.address, MSG.DONTWAIT | MSG.NOSIGNAL);
  }

  #writeFrom(from: SocketAddress): number {
    const { view } = this.#memory;
    if (from.family === 4) {
      const at = writeCmsg(view, CONTROL_AT, SOL.IP, IP.PKTINFO, 12);
      view.setInt32(at, 0);
      view.setInt32(at + 4, from.d);
      view.setInt32(at + 8, 0);
      return cmsgSpace(12);
    }
    const at = writeCmsg(view, CONTROL_AT, SOL.IPV6, IPV6.PKTINFO, 20);
    view.setInt32(at, from.a);
    view.setInt32(at + 4, from.b);
    view.setInt32(at + 8, from.c);
    view.setInt32(at + 12, from.d);
    // fe80::/10 means something on its own interface only.
    view.setInt32(at + 16, (from.a >>> 22) === 0x3fa ? from.scope : 0, true);
    return cmsgSpace(20);
  }
}

/** Sends in batches, over connected sockets. */
export class DatagramSender {
  readonly #headers: NativeMemory = alloc(SLOTS * MMSGHDR);
  readonly #iovecs: NativeMemory = alloc(SLOTS * IOVEC);
  readonly #control: NativeMemory = alloc(CONTROL);

  constructor() {
    for (let i = 0; i < SLOTS; i++) {
      const at = i * MMSGHDR;
      this.#headers.setPointer(at + Header.iov, this.#iovecs.address + i * IOVEC);
      this.#headers.setPointer(at + Header.iovLength, 1);
    }
    writeCmsg(this.#control.view, 0, SOL.UDP, UDP.SEGMENT, 2);
  }

  /** Sends one datagram. Returns ≥ 0 or −errno. */
  one(fd: number, packet: PacketBuffer): number {
    return send(fd, packet.address + packet.start, packet.length, MSG.DONTWAIT | MSG.NOSIGNAL);
  }

  /**
   * Sends `packets[from, to)`, all of one length except perhaps a shorter last one, as one. `to − from` is at most
   * {@linkcode SLOTS}. Returns ≥ 0, or −errno when none was sent.
   */
  segmented(fd: number, packets: readonly PacketBuffer[], from: number, to: number): number {
    for (let i = from; i < to; i++) this.#point(i - from, packets[i]!);
    this.#headers.setPointer(Header.iovLength, to - from);
    this.#headers.setPointer(Header.control, this.#control.address);
    this.#headers.setPointer(Header.controlLength, CONTROL);
    this.#control.view.setUint16(CMSGHDR_SIZE, packets[from]!.length, true);
    const result = sendmsg(fd, this.#headers.address, MSG.DONTWAIT | MSG.NOSIGNAL);
    this.#headers.setPointer(Header.iovLength, 1);
    this.#headers.setPointer(Header.control, 0);
    this.#headers.setPointer(Header.controlLength, 0);
    return result;
  }

  /** Sends `packets[from, to)`, at most {@linkcode SLOTS}. Returns how many went, or −errno when none did. */
  many(fd: number, packets: readonly PacketBuffer[], from: number, to: number): number {
    for (let i = from; i < to; i++) this.#point(i - from, packets[i]!);
    return sendmmsg(fd, this.#headers.address, to - from, MSG.DONTWAIT | MSG.NOSIGNAL);
  }

  #point(i: number, packet: PacketBuffer): void {
    this.#iovecs.setPointer(i * IOVEC, packet.address + packet.start);
    this.#iovecs.setPointer(i * IOVEC + 8, packet.length);
  }
}

/** How many of `packets[from, to)` one {@linkcode DatagramSender.segmented} can carry; 1 if that is not worth it. */
export function runLength(packets: readonly PacketBuffer[], from: number, to: number): number {
  const size = packets[from]!.length;
  if (size === 0) return 1;
  let total = size;
  let at = from + 1;
  while (at < to && at - from < SLOTS) {
    const next = packets[at]!.length;
    if (next === 0 || next > size || total + next > SEGMENT_MAX) break;
    total += next;
    at++;
    if (next < size) break; // only the last segment may be shorter
  }
  return at - from;
}

/** Whether a failed {@linkcode DatagramSender.segmented} says that this route cannot segment. */
export function cannotSegment(result: number): boolean {
  return result === -Errno.EINVAL || result === -Errno.EIO || result === -Errno.EMSGSIZE ||
    result === -Errno.EOPNOTSUPP;
}
