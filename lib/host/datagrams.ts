/**
 * Datagrams in batches: one `recvmmsg` or `sendmmsg` for many, and the error queue of a datagram socket.
 *
 * @module
 */

import { IP, IPV6, MSG, SOL } from "./constants.ts";
import { NativeMemory } from "./memory.ts";
import {
  type AddressWords,
  cmsgLength,
  findCmsg,
  IOVEC_SIZE,
  MMSGHDR_SIZE,
  Msghdr,
  readSockaddr,
  SOCKADDR_IN6_SIZE,
  SocketAddress,
  writeIovec,
  writeSockaddr,
} from "./structs.ts";
import { recvmmsg, recvmsg, sendmmsg } from "./sys.ts";

const NAME_SIZE = 32;

/** Slots of `mmsghdr` with one iovec and one address each. */
class Slots {
  readonly memory: NativeMemory;
  readonly iovecs: number;
  readonly names: number;
  readonly controls: number;

  /** @param controlSize bytes for control messages of each, a multiple of 8 */
  constructor(readonly count: number, readonly controlSize = 0) {
    this.iovecs = count * MMSGHDR_SIZE;
    this.names = this.iovecs + count * IOVEC_SIZE;
    this.controls = this.names + count * NAME_SIZE;
    this.memory = new NativeMemory(this.controls + count * controlSize);
    for (let i = 0; i < count; i++) {
      const header = i * MMSGHDR_SIZE;
      this.memory.setPointer(header + Msghdr.name, this.memory.address + this.names + i * NAME_SIZE);
      this.memory.setPointer(header + Msghdr.iov, this.memory.address + this.iovecs + i * IOVEC_SIZE);
      this.memory.setPointer(header + Msghdr.iovLength, 1);
      if (controlSize > 0) {
        this.memory.setPointer(
          header + Msghdr.control,
          this.memory.address + this.controls + i * controlSize,
        );
      }
    }
  }
}

/** Receives up to `count` datagrams by one system call. */
export class ReceiveBatch {
  readonly #slots: Slots;

  /** @param controlSize room for the control messages of each datagram, a multiple of 8; 0: none are wanted */
  constructor(readonly count: number, controlSize = 0) {
    this.#slots = new Slots(count, controlSize);
  }

  /** Where the datagram of slot `index` goes. Stays set until changed. */
  setBuffer(index: number, address: number, length: number): void {
    writeIovec(this.#slots.memory, this.#slots.iovecs, index, address, length);
  }

  /** Number of datagrams received into slots 0, 1, …; −EAGAIN when there are none, another −errno. */
  receive(fd: number, most: number = this.count): number {
    const { controlSize, memory } = this.#slots;
    const { view, address } = memory;
    for (let i = 0; i < most; i++) {
      const header = i * MMSGHDR_SIZE;
      if (controlSize > 0) memory.setPointer(header + Msghdr.controlLength, controlSize);
      view.setUint32(header + Msghdr.nameLength, SOCKADDR_IN6_SIZE, true);
      view.setUint32(header + Msghdr.flags, 0, true);
    }
    return recvmmsg(fd, address, most, MSG.DONTWAIT, 0);
  }

  /** Bytes received into slot `index`. */
  length(index: number): number {
    return this.#slots.memory.view.getUint32(index * MMSGHDR_SIZE + Msghdr.length, true);
  }

  /** The datagram was longer than its buffer. */
  truncated(index: number): boolean {
    return (this.#slots.memory.view.getUint32(index * MMSGHDR_SIZE + Msghdr.flags, true) & MSG.TRUNC) !== 0;
  }

  /** The data of a control message of slot `index`, as an offset into {@linkcode view}; −1 when there is none. */
  control(index: number, level: number, type: number): number {
    const { memory, controls, controlSize } = this.#slots;
    const length = memory.getPointer(index * MMSGHDR_SIZE + Msghdr.controlLength);
    return findCmsg(memory.view, controls + index * controlSize, length, level, type);
  }

  /** What offsets of {@linkcode control} are into. */
  get view(): DataView {
    return this.#slots.memory.view;
  }

  /** Who sent the datagram in slot `index`; false when the family is not IP. */
  source(index: number, into: SocketAddress): boolean {
    return readSockaddr(this.#slots.memory.view, this.#slots.names + index * NAME_SIZE, into);
  }
}

/** Sends up to `count` datagrams by one system call. The buffers must live until `flush` returns. */
export class SendBatch {
  readonly #slots: Slots;
  #filled = 0;

  constructor(readonly count: number) {
    this.#slots = new Slots(count);
  }

  /** Datagrams waiting for `flush`. */
  get filled(): number {
    return this.#filled;
  }

  /**
   * Adds a datagram; without a destination it goes where the socket is connected. False when all slots are
   * taken.
   */
  add(address: number, length: number, destination?: AddressWords, port = 0, scope = 0): boolean {
    const index = this.#filled;
    if (index === this.count) return false;
    const { memory, names, iovecs } = this.#slots;
    const header = index * MMSGHDR_SIZE;
    writeIovec(memory, iovecs, index, address, length);
    if (destination === undefined) {
      memory.setPointer(header + Msghdr.name, 0);
      memory.view.setUint32(header + Msghdr.nameLength, 0, true);
    } else {
      const name = names + index * NAME_SIZE;
      memory.setPointer(header + Msghdr.name, memory.address + name);
      const size = writeSockaddr(memory.view, name, destination, port, scope);
      memory.view.setUint32(header + Msghdr.nameLength, size, true);
    }
    this.#filled = index + 1;
    return true;
  }

  /**
   * Sends what was added and empties the batch. The number sent, which is smaller when the socket is full or
   * the next one failed; −errno when the first failed.
   */
  flush(fd: number): number {
    const count = this.#filled;
    if (count === 0) return 0;
    this.#filled = 0;
    return sendmmsg(fd, this.#slots.memory.address, count, MSG.DONTWAIT | MSG.NOSIGNAL);
  }
}

/** What an ICMP error said about a datagram that we sent (`struct sock_extended_err`). */
export class QueuedError {
  errno = 0;
  /** 0 none, 1 local, 2 ICMP, 3 ICMPv6. */
  origin = 0;
  type = 0;
  code = 0;
  /** The MTU of a "packet too big". */
  info = 0;
  /** Where the datagram had been sent. */
  readonly destination: SocketAddress = new SocketAddress();
  /** Who sent the ICMP error (`SO_EE_OFFENDER`), if it was one. */
  readonly offender: SocketAddress = new SocketAddress();
  hasOffender = false;
}

/** Bytes of `struct sock_extended_err`; the offender's `sockaddr` follows. */
const EXTENDED_ERROR = 16;

const NAME = 64, IOV = 96, CONTROL = 112, CONTROL_SIZE = 256;
const scratch = new NativeMemory(CONTROL + CONTROL_SIZE);

/**
 * Takes one error from the error queue of a socket with `IP_RECVERR`; the first bytes of the datagram it is
 * about go to
 * `[address, address + length)`. Returns how many there were, or −EAGAIN when the queue is empty.
 */
export function receiveError(fd: number, address: number, length: number, into: QueuedError): number {
  const { view } = scratch;
  view.setUint32(Msghdr.nameLength, SOCKADDR_IN6_SIZE, true);
  scratch.setPointer(Msghdr.name, scratch.address + NAME);
  scratch.setPointer(Msghdr.iov, scratch.address + IOV);
  scratch.setPointer(Msghdr.iovLength, 1);
  scratch.setPointer(Msghdr.control, scratch.address + CONTROL);
  scratch.setPointer(Msghdr.controlLength, CONTROL_SIZE);
  writeIovec(scratch, IOV, 0, address, length);
  const result = recvmsg(fd, scratch.address, MSG.ERRQUEUE | MSG.DONTWAIT);
  if (result < 0) return result;
  const controlLength = scratch.getPointer(Msghdr.controlLength);
  let at = findCmsg(view, CONTROL, controlLength, SOL.IP, IP.RECVERR);
  if (at < 0) at = findCmsg(view, CONTROL, controlLength, SOL.IPV6, IPV6.RECVERR);
  into.errno = at < 0 ? 0 : view.getInt32(at, true);
  into.origin = at < 0 ? 0 : view.getUint8(at + 4);
  into.type = at < 0 ? 0 : view.getUint8(at + 5);
  into.code = at < 0 ? 0 : view.getUint8(at + 6);
  into.info = at < 0 ? 0 : view.getUint32(at + 8, true);
  // AF_UNSPEC when it was this host that gave up.
  into.hasOffender = at >= 0 && cmsgLength(view, at) > EXTENDED_ERROR &&
    readSockaddr(view, at + EXTENDED_ERROR, into.offender);
  if (view.getUint32(Msghdr.nameLength, true) > 0) readSockaddr(view, NAME, into.destination);
  return result;
}
