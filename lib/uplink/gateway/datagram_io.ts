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

import { MSG, SOL, UDP } from "../../host/constants.ts";
import { Errno } from "../../host/errno.ts";
import { alloc, type NativeMemory } from "../../host/memory.ts";
import {
  CMSGHDR_SIZE,
  cmsgSpace,
  IOVEC_SIZE as IOVEC,
  MMSGHDR_SIZE as MMSGHDR,
  Msghdr as Header,
  writeCmsg,
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
const CONTROL = cmsgSpace(2);

/** Receives in batches. One per gateway: a batch is taken apart before the next. */
export class DatagramReceiver {
  readonly #pool: BufferPool;
  readonly #headers: NativeMemory = alloc(SLOTS * MMSGHDR);
  readonly #iovecs: NativeMemory = alloc(SLOTS * 2 * IOVEC);
  readonly #rest: NativeMemory = alloc(SLOTS * REST);
  readonly #buffers: (PacketBuffer | undefined)[] = new Array<undefined>(SLOTS).fill(undefined);
  /** A `sockaddr` per slot, {@linkcode NAME} bytes apart: where the datagram came from. */
  readonly names: NativeMemory = alloc(SLOTS * NAME);

  constructor(pool: BufferPool) {
    this.#pool = pool;
    for (let i = 0; i < SLOTS; i++) {
      const at = i * MMSGHDR;
      this.#headers.setPointer(at + Header.name, this.names.address + i * NAME);
      this.#headers.setPointer(at + Header.iov, this.#iovecs.address + i * 2 * IOVEC);
      this.#headers.setPointer(at + Header.iovLength, 2);
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

  /** The payload in slot `i`, with headroom; the caller's from now on. */
  take(i: number): PacketBuffer {
    const length = this.#headers.view.getUint32(i * MMSGHDR + Header.length, true);
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
