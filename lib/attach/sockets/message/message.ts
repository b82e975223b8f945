/**
 * One message of a guest: where its name, its pieces of data and its control messages are, and the ways to read and write
 * them.
 *
 * `sendto` and `recvfrom` describe a message by their arguments, the others by a `struct msghdr`, and `sendmmsg` and
 * `recvmmsg` by an array of them; here all look alike. A header is read once. A message that waits with its call must be
 * one of its own: the usual one is scratch.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import { GuestVector, SCRATCH_SIZE } from "../../../host/guest_memory.ts";
import { NativeMemory } from "../../../host/memory.ts";
import {
  IOVEC_SIZE,
  Msghdr,
  MSGHDR_SIZE,
  SOCKADDR_SIZE,
  type SocketAddress,
  writeSockaddr,
} from "../../../host/structs.ts";
import { type Call, type CallAddress, parseSockaddr } from "../call.ts";
import { MAX_IOVECS } from "./flags.ts";

/** Most bytes that one call may move (`MAX_RW_COUNT`). */
const MAX_BYTES = 0x7ffff000;

/** Most pieces that are read at once. */
const FEW = 16;

/** A message in the guest's memory. */
export class Message {
  /** Guest address of the `struct msghdr`; 0 for `sendto` and `recvfrom`. */
  header = 0;
  /** Guest address of the socket address; 0: none wanted or given. */
  name = 0;
  /** Bytes of the socket address given, or room for one; see {@linkcode nameLengthAt}. */
  nameLength = 0;
  /** Where the length of the name goes. */
  nameLengthAt = 0;
  /** Guest address of the control messages; meaningless when `controlLength` is 0. */
  control = 0;
  controlLength = 0;
  /** `MSG_…` of the call. */
  flags = 0;
  /** Bytes of data, or room for them. */
  length = 0;
  /** Pieces of data: address and length by turns. */
  readonly #pieces: number[] = [];
  #count = 0;
  #copy: NativeMemory | undefined;
  #copyAt = 0;

  /** Takes over a message with one piece of data, as `sendto` and `recvfrom` have. */
  single(data: number, length: number, flags: number, name: number, nameLength: number, at: number): this {
    this.header = 0;
    this.#copy = undefined;
    this.name = name;
    this.nameLength = nameLength;
    this.nameLengthAt = at;
    this.control = this.controlLength = 0;
    this.flags = flags;
    this.length = Math.min(length, MAX_BYTES);
    this.#count = 1;
    this.#pieces[0] = data;
    this.#pieces[1] = this.length;
    return this;
  }

  /**
   * Reads the `struct msghdr` at `from` and the array it points to.
   *
   * @returns 0, or a positive errno with which the call has been answered: EFAULT, EINVAL, EMSGSIZE
   */
  read(call: Call, from: number, flags: number): number {
    this.#copy = undefined;
    if (call.readBytes(from, MSGHDR_SIZE) === undefined) return Errno.EFAULT;
    return this.#parse(call, call.scratch, 0, from, flags);
  }

  /**
   * As {@linkcode read}, for a header of which we have a copy at `at` of `copy`. What a receive tells goes into the copy,
   * for the caller to write back.
   */
  readCopy(call: Call, copy: NativeMemory, at: number, from: number, flags: number): number {
    this.#copy = copy;
    this.#copyAt = at;
    return this.#parse(call, copy, at, from, flags);
  }

  #parse(call: Call, header: NativeMemory, at: number, from: number, flags: number): number {
    this.header = from;
    this.flags = flags;
    this.name = header.getPointer(at + Msghdr.name);
    const nameLength = header.view.getInt32(at + Msghdr.nameLength, true);
    this.nameLengthAt = from + Msghdr.nameLength;
    const pieces = header.getPointer(at + Msghdr.iov);
    const count = header.getPointer(at + Msghdr.iovLength);
    this.control = header.getPointer(at + Msghdr.control);
    this.controlLength = header.getPointer(at + Msghdr.controlLength);
    const { scratch } = call;
    if (this.name === 0) this.nameLength = 0;
    else if (nameLength < 0) return this.#refuse(call, Errno.EINVAL);
    else this.nameLength = nameLength;
    if (this.nameLength === 0) this.name = 0;
    if (this.control === 0) this.controlLength = 0;
    if (count > MAX_IOVECS) return this.#refuse(call, Errno.EMSGSIZE);
    this.#count = count;
    this.length = 0;
    if (count === 0) return 0;
    if (call.readBytes(pieces, count * IOVEC_SIZE) === undefined) return Errno.EFAULT;
    for (let i = 0; i < count; i++) {
      const data = scratch.getPointer(i * IOVEC_SIZE);
      const length = scratch.getPointer(i * IOVEC_SIZE + 8);
      if (length > Number.MAX_SAFE_INTEGER) return this.#refuse(call, Errno.EINVAL);
      this.#pieces[2 * i] = data;
      this.#pieces[2 * i + 1] = Math.min(length, MAX_BYTES - this.length);
      this.length += this.#pieces[2 * i + 1]!;
    }
    return 0;
  }

  /**
   * Reads the data, all of it, to a native address of ours.
   *
   * @returns false: answered with EFAULT
   */
  gather(call: Call, to: number): boolean {
    let done = 0;
    for (let i = 0; i < this.#count; i++) {
      const length = this.#pieces[2 * i + 1]!;
      if (length === 0) continue;
      if (!call.readInto(this.#pieces[2 * i]!, length, to + done)) return false;
      done += length;
    }
    return true;
  }

  /**
   * Reads the data as {@linkcode gather} does, and the name with it, by one system call if there are few pieces.
   *
   * @returns the name, scratch; null when none was given; undefined: answered with EFAULT or EINVAL
   */
  gatherNamed(call: Call, to: number): CallAddress | null | undefined {
    const { name, nameLength } = this;
    if (name === 0) return this.gather(call, to) ? null : undefined;
    const isName = nameLength >= 2 && nameLength <= SOCKADDR_SIZE;
    if (
      !isName || this.#count > FEW || !this.#addPieces(to) || !pieces.add(name, nameLength, given.address)
    ) {
      const address = call.readSockaddr(name, nameLength);
      return address !== undefined && this.gather(call, to) ? address : undefined;
    }
    if (!call.readPieces(pieces)) return undefined;
    const address = parseSockaddr(given, 0, nameLength);
    if (address === undefined) call.fail(Errno.EINVAL);
    return address;
  }

  #addPieces(to: number): boolean {
    pieces.clear();
    for (let i = 0; i < this.#count; i++) {
      const length = this.#pieces[2 * i + 1]!;
      if (!pieces.add(this.#pieces[2 * i]!, length, to)) return false;
      to += length;
    }
    return true;
  }

  /**
   * Writes `length` bytes from a native address of ours to where the guest wants the data.
   *
   * @param from native address
   * @param length no more than the guest has room for
   * @returns false: answered with EFAULT
   */
  scatter(call: Call, from: number, length: number): boolean {
    let done = 0;
    for (let i = 0; i < this.#count && done < length; i++) {
      const part = Math.min(this.#pieces[2 * i + 1]!, length - done);
      if (part === 0) continue;
      if (!call.writeFrom(this.#pieces[2 * i]!, part, from + done)) return false;
      done += part;
    }
    return true;
  }

  /**
   * The control messages, as a view of scratch memory that is valid until the next read; empty if there are none.
   *
   * @returns undefined: answered with EFAULT or ENOBUFS
   */
  readControl(call: Call): Uint8Array<ArrayBuffer> | undefined {
    if (this.controlLength > SCRATCH_SIZE) {
      call.fail(Errno.ENOBUFS);
      return undefined;
    }
    return call.readBytes(this.control, this.controlLength);
  }

  /**
   * Writes what a receive tells beside the data: control messages, and the flags. Nothing for `recvfrom`. The name is
   * written by {@linkcode writeName}, or {@linkcode noName}.
   *
   * @param control native memory that begins with the control messages
   * @param controlLength bytes of them that are to be written; no more than the guest has room for
   * @param flags `MSG_TRUNC`, `MSG_CTRUNC`, …
   * @returns false: answered with EFAULT
   */
  finish(call: Call, control: NativeMemory, controlLength: number, flags: number): boolean {
    if (this.header === 0) return true;
    if (controlLength > 0 && !call.writeFrom(this.control, controlLength, control.address)) return false;
    if (this.#copy !== undefined) {
      this.#copy.setPointer(this.#copyAt + Msghdr.controlLength, controlLength);
      this.#copy.view.setInt32(this.#copyAt + Msghdr.flags, flags, true);
      return true;
    }
    output.setPointer(0, controlLength);
    output.view.setInt32(8, flags, true);
    // msg_controllen and msg_flags are neighbours.
    return call.writeFrom(this.header + Msghdr.controlLength, 12, output.address);
  }

  /** The message has no sender to name: says so. False: answered with EFAULT. */
  noName(call: Call): boolean {
    if (this.name === 0) return true;
    if (this.#copy === undefined) return call.writeInt(this.nameLengthAt, 0);
    this.#copy.view.setInt32(this.#copyAt + Msghdr.nameLength, 0, true);
    return true;
  }

  /**
   * Writes the sender's address, if it is wanted, truncated to the room there is.
   *
   * @param v6 whether the socket is an `AF_INET6` one: an IPv4 address is then written in its mapped form
   * @returns false: answered with EFAULT or EINVAL
   */
  writeName(call: Call, from: SocketAddress, v6: boolean): boolean {
    if (this.name === 0) return true;
    if (this.#copy === undefined) return call.writeSockaddr(this.name, this.nameLengthAt, from, v6);
    const { a, b, c, d, port, scope } = from;
    const address = v6 ? { family: 6, a, b, c, d } as const : from;
    const length = writeSockaddr(nameOutput.view, 0, address, port, scope);
    this.#copy.view.setInt32(this.#copyAt + Msghdr.nameLength, length, true);
    return call.writeFrom(this.name, Math.min(length, this.nameLength), nameOutput.address);
  }

  #refuse(call: Call, errno: number): number {
    call.fail(errno);
    return errno;
  }
}

const output = new NativeMemory(16);
const pieces = new GuestVector();
const given = new NativeMemory(SOCKADDR_SIZE);
const nameOutput = new NativeMemory(SOCKADDR_SIZE);
