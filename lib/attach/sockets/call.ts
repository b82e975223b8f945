/**
 * One trapped system call: its arguments, the memory they point into, and the ways to answer it.
 *
 * A call is answered once. Until then its thread sleeps in the kernel, where a signal may wake it: the call is dead then, and
 * the answer is kept for when it begins again (unheard.ts), or what was done for it is undone. Who cannot answer in the same turn calls
 * {@linkcode Call.hold} and keeps the object; an object that is not held is used again for the next notification.
 *
 * What the guest's pointers lead to may change at any time. It is read once, and only the copy is believed.
 *
 * @module
 */

import { AF, F } from "../../host/constants.ts";
import { Errno } from "../../host/errno.ts";
import type { GuestFiles } from "../../host/guest_files.ts";
import { type GuestMemory, GuestVector, SCRATCH_SIZE } from "../../host/guest_memory.ts";
import { NativeMemory } from "../../host/memory.ts";
import { CONTINUE, Notification, type SeccompListener } from "../../host/seccomp.ts";
import {
  readSockaddr,
  SOCKADDR_IN6_SIZE,
  SOCKADDR_IN_SIZE,
  SOCKADDR_SIZE,
  SocketAddress,
  writeSockaddr,
} from "../../host/structs.ts";
import { close, fcntl } from "../../host/sys.ts";

const O_NONBLOCK = 0o4000;
/** `SIN6_LEN_RFC2133`: Linux takes a sockaddr_in6 without its scope. */
const SOCKADDR_IN6_OLD = 24;

/** An address as the guest gave it. Scratch: valid until the next {@linkcode Call.readSockaddr}. */
export class CallAddress extends SocketAddress {
  /** `sa_family` as given; `family` and the words mean something only for `AF.INET` and `AF.INET6`. */
  rawFamily = 0;
  /** Whether an IPv4 address was given in an `AF_INET6` structure; `family` is 4 then. */
  get mapped(): boolean {
    return this.rawFamily === AF.INET6 && this.family === 4;
  }
}

/** What a call needs of the supervisor. */
export interface CallHost {
  readonly listener: SeccompListener;
  readonly memory: GuestMemory;
  readonly files: GuestFiles;
  /** The call stays open past this turn. */
  held(call: Call): void;
  /** A held call is over. */
  settled(call: Call): void;
  /** The thread was interrupted before it heard this answer, a value or −errno. */
  unheard(call: Call, result: number): void;
}

type State = "open" | "held" | "over";

const address = new CallAddress();
/** One call collects at a time. */
const writes = new GuestVector();
const output = new NativeMemory(SOCKADDR_SIZE + 8);

/**
 * A socket address that was read from the guest to `at` of `memory`, which has room for the longest there.
 *
 * @returns scratch, or undefined: it is too short or too long
 */
export function parseSockaddr(memory: NativeMemory, at: number, length: number): CallAddress | undefined {
  if (length < 2 || length > SOCKADDR_SIZE) return undefined;
  const { view, bytes } = memory;
  const family = view.getUint16(at, true);
  const enough = family === AF.INET ? SOCKADDR_IN_SIZE : family === AF.INET6 ? SOCKADDR_IN6_OLD : 2;
  if (length < enough) return undefined;
  if (length < SOCKADDR_IN6_SIZE) bytes.fill(0, at + length, at + SOCKADDR_IN6_SIZE);
  readSockaddr(view, at, address);
  address.rawFamily = family;
  return address;
}

/** A system call that waits for our answer. */
export class Call {
  /** Id of the thread, in our pid namespace. */
  tid = 0;
  /** Number of the call. */
  nr = 0;
  /** The first argument, which for all calls but `socket` is a descriptor. */
  fd = -1;
  /** {@linkcode GuestSocket.inode} of `fd`, once the supervisor has looked. */
  inode = 0;
  /** It waits no longer than the time-out of its socket; see {@linkcode Call.repeats}. */
  timed = false;
  /** The thread was found gone, or interrupted, while its memory was read or written: nothing was answered. */
  interrupted = false;
  readonly #host: CallHost;
  readonly #words = new Int32Array(12);
  #low = 0;
  #high = 0;
  #state: State = "over";
  #blocking: boolean | undefined;
  /** Writes go to {@linkcode writes}. */
  #collecting = false;
  #onAbandoned: (() => void) | undefined;

  constructor(host: CallHost) {
    this.#host = host;
  }

  /** Takes over the notification that the listener has just received. For the supervisor. */
  take(): this {
    const { words } = this.#host.listener.notification;
    this.#low = words[Notification.id >> 2]!;
    this.#high = words[(Notification.id >> 2) + 1]!;
    this.tid = words[Notification.pid >> 2]!;
    this.nr = words[Notification.number >> 2]!;
    for (let i = 0; i < 12; i++) this.#words[i] = words[(Notification.argument >> 2) + i]!;
    this.fd = this.#words[0]!;
    this.inode = 0;
    this.timed = false;
    this.interrupted = false;
    this.#state = "open";
    this.#blocking = undefined;
    this.#onAbandoned = undefined;
    return this;
  }

  /**
   * Whether this is `before` once more, of the same thread, which a signal has interrupted: begun again by the kernel because
   * the handler has `SA_RESTART`, or by the program.
   */
  repeats(before: Call): boolean {
    return this.is(before.nr, before.#words);
  }

  /** Whether it has this number and these arguments. */
  is(nr: number, words: Int32Array): boolean {
    if (this.nr !== nr) return false;
    for (let i = 0; i < 12; i++) if (this.#words[i] !== words[i]) return false;
    return true;
  }

  /** A copy of the arguments: two words each. */
  words(): Int32Array {
    return this.#words.slice();
  }

  /** Argument `i` as an address or a `size_t`; exact below 2^53. */
  arg(i: number): number {
    return (this.#words[2 * i]! >>> 0) + (this.#words[2 * i + 1]! >>> 0) * 4294967296;
  }

  /** Argument `i` as a C `int`: the upper half is undefined, and ignored. */
  int(i: number): number {
    return this.#words[2 * i]!;
  }

  /** Whether an answer is still owed. */
  get open(): boolean {
    return this.#state !== "over";
  }

  /** Whether the descriptor blocks: `O_NONBLOCK` is not set. `MSG_DONTWAIT` is the handler's business. */
  get blocking(): boolean {
    if (this.#blocking === undefined) {
      const ours = this.borrow();
      const flags = ours < 0 ? 0 : fcntl(ours, F.GETFL, 0);
      if (ours >= 0) close(ours);
      this.#blocking = (flags & O_NONBLOCK) === 0;
    }
    return this.#blocking;
  }

  /** Whether the thread still waits for the answer. */
  isValid(): boolean {
    return this.#state !== "over" && this.#host.listener.isValid(this.#low, this.#high);
  }

  /**
   * The guest's bytes, as a view of scratch memory that is valid until the next read.
   *
   * @returns undefined: answered already, with EFAULT, or with EINVAL for more than {@linkcode SCRATCH_SIZE} bytes
   */
  readBytes(from: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    const { memory } = this.#host;
    const result = memory.read(this.tid, from, length);
    if (result < 0) return this.#failed(result);
    // The bytes are the guest's only if the thread lives: its number may be somebody else's by now. Who collects is told at the end.
    if (!this.#collecting && !this.isValid()) return this.#failed(-Errno.ENOENT);
    return memory.scratch.bytes.subarray(0, length);
  }

  /** A view of the bytes that {@linkcode readBytes} has just read. */
  get scratch(): NativeMemory {
    return this.#host.memory.scratch;
  }

  /** Reads pieces; returns the bytes read, in their order, or −errno. Not answered. */
  readVector(pieces: GuestVector): number {
    const result = pieces.read(this.tid);
    return this.isValid() ? result : -Errno.ENOENT;
  }

  /** Reads pieces, all of them. False: answered with EFAULT. */
  readPieces(pieces: GuestVector): boolean {
    const result = this.readVector(pieces);
    if (result === pieces.length) return true;
    this.#failed(result);
    return false;
  }

  /** Writes all pieces; returns the bytes written, in their order, or −errno. Not answered. */
  writeVector(pieces: GuestVector): number {
    return this.isValid() ? pieces.write(this.tid) : -Errno.ENOENT;
  }

  /** Reads to a native address of ours. False: answered with EFAULT. */
  readInto(from: number, length: number, nativeAddress: number): boolean {
    const result = this.#host.memory.readInto(this.tid, from, length, nativeAddress);
    if (result >= 0 && this.isValid()) return true;
    this.#failed(result);
    return false;
  }

  /** The C `int` at `from`; undefined: answered with EFAULT. */
  readInt(from: number): number | undefined {
    return this.readBytes(from, 4) === undefined ? undefined : this.scratch.view.getInt32(0, true);
  }

  /** Writes to the guest. False: answered with EFAULT. */
  writeBytes(to: number, bytes: Uint8Array): boolean {
    if (bytes.length > SCRATCH_SIZE) {
      this.fail(Errno.EINVAL);
      return false;
    }
    const { scratch } = this.#host.memory;
    scratch.bytes.set(bytes); // `bytes` may be a part of the scratch itself: `set` copes.
    return this.writeFrom(to, bytes.length, scratch.address);
  }

  /** Writes from a native address of ours. False: answered with EFAULT. */
  writeFrom(to: number, length: number, nativeAddress: number): boolean {
    if (this.#collecting && writes.add(to, length, nativeAddress)) return true;
    if (!this.isValid()) {
      this.#failed(-Errno.ENOENT);
      return false;
    }
    const result = this.#host.memory.writeFrom(this.tid, to, length, nativeAddress);
    if (result >= 0) return true;
    this.#failed(result);
    return false;
  }

  /**
   * Collects what is written from now on, for one system call. Its bytes must stay as they are until {@linkcode endWrites}:
   * no more than one socket address and one `int` of ours.
   */
  beginWrites(): void {
    writes.clear();
    this.#collecting = true;
  }

  /** Writes what was collected. False: answered with EFAULT. */
  endWrites(): boolean {
    this.#collecting = false;
    const result = this.writeVector(writes);
    if (result === writes.length) return true;
    this.#failed(result);
    return false;
  }

  /** Writes a C `int`. False: answered with EFAULT. */
  writeInt(to: number, value: number): boolean {
    output.view.setInt32(SOCKADDR_SIZE, value, true);
    return this.writeFrom(to, 4, output.address + SOCKADDR_SIZE);
  }

  /**
   * The socket address in the guest's memory, checked as `move_addr_to_kernel` and the inet families check it. Look at
   * `rawFamily`: it may be `AF.UNSPEC` or a family that is not the socket's.
   *
   * @returns scratch, or undefined: answered with EFAULT or EINVAL
   */
  readSockaddr(from: number, length: number): CallAddress | undefined {
    if (length < 2 || length > SOCKADDR_SIZE) {
      this.fail(Errno.EINVAL);
      return undefined;
    }
    if (this.readBytes(from, length) === undefined) return undefined;
    const parsed = parseSockaddr(this.scratch, 0, length);
    if (parsed === undefined) this.fail(Errno.EINVAL);
    return parsed;
  }

  /**
   * Writes a socket address and its length, truncated to the room the guest has, as `move_addr_to_user` does.
   *
   * @param to may be 0: nothing is written
   * @param v6 whether the socket is an `AF_INET6` one: an IPv4 address is then written in its mapped form
   * @returns false: answered with EFAULT or EINVAL
   */
  writeSockaddr(to: number, lengthAt: number, from: SocketAddress, v6 = from.family === 6): boolean {
    if (to === 0) return true;
    const { view } = output;
    if (!v6) return this.writeAddress(to, lengthAt, output, writeSockaddr(view, 0, from, from.port));
    // A mapped address is the same four words.
    const { a, b, c, d, port, scope } = from;
    return this.writeAddress(
      to,
      lengthAt,
      output,
      writeSockaddr(view, 0, { family: 6, a, b, c, d }, port, scope),
    );
  }

  /** As {@linkcode writeSockaddr}, for an address of any family at the start of `memory`. */
  writeAddress(to: number, lengthAt: number, memory: NativeMemory, length: number): boolean {
    const room = this.readInt(lengthAt);
    if (room === undefined) return false;
    if (room < 0) {
      this.fail(Errno.EINVAL);
      return false;
    }
    const written = Math.min(room, length);
    return (written === 0 || this.writeFrom(to, written, memory.address)) && this.writeInt(lengthAt, length);
  }

  /** The call returns `value`. */
  reply(value: number): void {
    this.#settle(value);
  }

  /** The call fails with `errno` (positive). */
  fail(errno: number): void {
    this.#settle(-errno);
  }

  /** The call returns `value`. False: it was interrupted meanwhile; undo what was done for it. */
  tryReply(value: number): boolean {
    return this.#answer(value, 0);
  }

  /** The call fails with `errno` (positive). False: it was interrupted meanwhile, and has not heard of it. */
  tryFail(errno: number): boolean {
    return this.#answer(-errno, 0);
  }

  /** The kernel carries the call out, with arguments that may have changed since we looked. */
  pass(): boolean {
    return this.#answer(0, CONTINUE);
  }

  /**
   * The call returns a new descriptor: a duplicate of ours, which stays ours to close.
   *
   * @returns its number in the guest, or −errno: the call failed with it (EMFILE), or was interrupted (ENOENT)
   */
  replyWithDescriptor(hostFd: number, cloexec: boolean): number {
    if (this.#state === "over") return -Errno.ENOENT;
    const result = this.#host.listener.addDescriptor(this.#low, this.#high, hostFd, cloexec);
    if (result >= 0 || result === -Errno.ENOENT) this.#over();
    else this.fail(-result);
    return result;
  }

  /** Puts a duplicate of ours into the guest, lowest free number, without answering yet; or −errno. */
  addDescriptor(hostFd: number, cloexec: boolean): number {
    return this.#add(hostFd, -1, cloexec);
  }

  /**
   * Replaces the guest's descriptor `guestFd` by a duplicate of ours, without answering yet. Its other duplicates keep the
   * old socket.
   *
   * @returns the number, or −errno
   */
  replaceDescriptor(hostFd: number, guestFd: number, cloexec = false): number {
    return this.#add(hostFd, guestFd, cloexec);
  }

  /**
   * Our duplicate of the guest's descriptor, for the length of this turn: while we have it, the guest's last close goes
   * unnoticed.
   *
   * @returns a descriptor to be closed with {@linkcode giveBack}, or −errno
   */
  borrow(guestFd: number = this.fd): number {
    return this.#host.files.borrow(this.tid, guestFd);
  }

  /** Closes what {@linkcode borrow} returned. */
  giveBack(fd: number): void {
    close(fd);
  }

  /**
   * Leaves the call open past this turn.
   *
   * @param onAbandoned called once if the thread goes away before the answer: forget the call
   */
  hold(onAbandoned?: () => void): void {
    if (this.#state !== "open") return;
    this.#state = "held";
    this.#onAbandoned = onAbandoned;
    this.#host.held(this);
  }

  /** The thread is gone. For the supervisor. */
  abandon(): void {
    if (this.#state === "over") return;
    const onAbandoned = this.#onAbandoned;
    this.#over();
    onAbandoned?.();
  }

  /** A call that was held fails after all, with `errno` (positive): whoever holds it forgets it. For the supervisor. */
  refuse(errno: number): void {
    const onAbandoned = this.#onAbandoned;
    this.fail(errno);
    onAbandoned?.();
  }

  #add(hostFd: number, at: number, cloexec: boolean): number {
    if (this.#state === "over") return -Errno.ENOENT;
    const result = this.#host.listener.addDescriptor(this.#low, this.#high, hostFd, cloexec, at, false);
    // What it is answered with because of that is no answer to keep.
    if (result === -Errno.ENOENT) this.#failed(result);
    return result;
  }

  #settle(result: number): void {
    if (this.#state === "over" || this.#answer(result, 0)) return;
    if (result !== -Errno.EAGAIN && result !== -Errno.EINTR) this.#host.unheard(this, result);
  }

  #answer(result: number, flags: number): boolean {
    if (this.#state === "over") return false;
    const sent = this.#host.listener.respond(this.#low, this.#high, result, flags);
    this.#over();
    return sent;
  }

  #failed(result: number): undefined {
    if (result === -Errno.ENOENT || !this.isValid()) {
      this.interrupted = true;
      this.#over();
    } else {
      // What may not be read is a bad address.
      this.fail(result === -Errno.EPERM ? Errno.EPERM : Errno.EFAULT);
    }
    return undefined;
  }

  #over(): void {
    const held = this.#state === "held";
    this.#state = "over";
    this.#collecting = false;
    this.#onAbandoned = undefined;
    if (held) this.#host.settled(this);
  }
}
