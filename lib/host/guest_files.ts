/**
 * Descriptors of another process, by the id of one of its threads: what they are, and a duplicate for a moment.
 *
 * @module
 */

import { readFileSync, readlinkSync } from "node:fs";
import { O } from "./arch.ts";
import { check, Errno } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { statusOf } from "./process_status.ts";
import { socketPair } from "./socket_pair.ts";
import { close, fstat, getpid, ioctl, pidfd_getfd, pidfd_open, readlink } from "./sys.ts";

/** `pidfd_open`: the thread itself, whose table of descriptors may differ from its group's (Linux ≥ 6.9). */
const PIDFD_THREAD = 0o200;
/** Linux ≥ 6.11: a descriptor of the network namespace of who a pidfd stands for. */
const PIDFD_GET_NET_NAMESPACE = 0xff04;
/** A descriptor of the network namespace of a socket, for who has power over it. */
const SIOCGSKNS = 0x894c;
/** Most pidfds kept for later. */
const KEPT = 256;

/** The two fields of `struct stat` that are at the same place everywhere. */
const Stat = { device: 0, inode: 8 } as const;

const ZERO = 0x30, BRACKET = 0x5b;
const ascii = (text: string): readonly number[] => [...text].map((letter) => letter.charCodeAt(0));
const PROC = ascii("/proc/"), FD = ascii("/fd/"), SOCKET = ascii("socket:");
const NS_NET = ascii("/ns/net"), NET = ascii("net:");

/** Looks into other processes' tables of descriptors. Allocates nothing once warm. */
export class GuestFiles {
  readonly #path = new NativeMemory(64);
  readonly #link = new NativeMemory(64);
  readonly #stat = new NativeMemory(256);
  /** The device of all sockets' inodes. */
  readonly #sockets: number;
  readonly #pidfds = new Map<number, number>();
  /** Whether processes are in `/proc` by the numbers that we know them by; not so in a new pid namespace without its own. */
  readonly #procIsOurs = namesUs();
  #threads = true;

  constructor() {
    const [one, other] = socketPair();
    check(fstat(one, this.#stat.address), "look at a socket");
    this.#sockets = this.#stat.getPointer(Stat.device);
    close(one);
    close(other);
  }

  /**
   * The inode of the socket behind descriptor `fd` of thread `thread`.
   *
   * @returns > 0; 0 when it is no socket; −errno: ENOENT when there is no such descriptor, EACCES when we may not look
   */
  socketInode(thread: number, fd: number): number {
    if (fd < 0) return -Errno.ENOENT;
    if (!this.#procIsOurs) return this.#borrowedInode(thread, fd);
    let at = this.#text(0, PROC);
    at = this.#number(at, thread);
    at = this.#text(at, FD);
    this.#number(at, fd);
    const inode = this.#readInode(SOCKET);
    return inode === -Errno.EACCES ? this.#borrowedInode(thread, fd) : inode;
  }

  /** Which network namespace thread `thread` is in; −errno when we may not look. */
  networkInode(thread: number): number {
    if (!this.#procIsOurs) return this.#networkByPidfd(thread);
    const at = this.#text(this.#number(this.#text(0, PROC), thread), NS_NET);
    this.#path.bytes[at] = 0;
    return this.#readInode(NET);
  }

  /** Which network namespace our own socket `fd` belongs to; −errno: EPERM for one that we have no power over. */
  socketNetworkInode(fd: number): number {
    return this.#networkOf(fd, SIOCGSKNS);
  }

  /** The inode of our own socket `fd`; 0 if it is none, or −errno. */
  ownInode(fd: number): number {
    const result = fstat(fd, this.#stat.address);
    if (result < 0) return result;
    // Only sockets have inodes of that device: a path to a socket, opened, is an inode of another.
    return this.#stat.getPointer(Stat.device) === this.#sockets ? this.#stat.getPointer(Stat.inode) : 0;
  }

  /** Whether descriptor `fd` of thread `thread` is close-on-exec. A file is read: not for every call. */
  closesOnExec(thread: number, fd: number): boolean {
    try {
      const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/${thread}/fdinfo/${fd}`, "utf8"))?.[1];
      return flags !== undefined && (Number.parseInt(flags, 8) & O.CLOEXEC) !== 0;
    } catch {
      return false;
    }
  }

  /**
   * Our duplicate of descriptor `fd` of thread `thread`, close-on-exec; the caller closes it within the same turn, or the
   * guest's last close goes unnoticed.
   *
   * @returns a descriptor, or −errno
   */
  borrow(thread: number, fd: number): number {
    const kept = this.#pidfds.get(thread);
    if (kept !== undefined) {
      const result = pidfd_getfd(kept, fd);
      // The thread that this pidfd stands for is gone for ever; another may have its number.
      if (result !== -Errno.ESRCH) return result;
      this.#forget(thread, kept);
    }
    const pidfd = this.#reopen(thread);
    return pidfd < 0 ? pidfd : pidfd_getfd(pidfd, fd);
  }

  /** Closes every pidfd that was kept. */
  close(): void {
    for (const pidfd of this.#pidfds.values()) close(pidfd);
    this.#pidfds.clear();
  }

  /** A pidfd of `thread` that is kept; −errno. */
  #reopen(thread: number): number {
    const pidfd = this.#open(thread);
    if (pidfd >= 0) this.#keep(thread, pidfd);
    return pidfd;
  }

  /** As {@linkcode networkInode}, where `/proc` is somebody else's. */
  #networkByPidfd(thread: number): number {
    const kept = this.#pidfds.get(thread);
    if (kept !== undefined) {
      const result = this.#networkOf(kept);
      if (result !== -Errno.ESRCH) return result;
      this.#forget(thread, kept);
    }
    const pidfd = this.#reopen(thread);
    return pidfd < 0 ? pidfd : this.#networkOf(pidfd);
  }

  #networkOf(fd: number, command = PIDFD_GET_NET_NAMESPACE): number {
    const network = ioctl(fd, command, 0);
    if (network < 0) return network;
    const result = fstat(network, this.#stat.address);
    close(network);
    return result < 0 ? result : this.#stat.getPointer(Stat.inode);
  }

  #open(thread: number): number {
    if (this.#threads) {
      const pidfd = pidfd_open(thread, PIDFD_THREAD);
      if (pidfd !== -Errno.EINVAL) return pidfd;
      this.#threads = false;
    }
    const pidfd = pidfd_open(thread);
    if (pidfd >= 0) return pidfd;
    // Before Linux 6.9 only a group's leader has one; threads share its table, but for very few programs.
    const leader = leaderOf(thread);
    return leader === undefined ? -Errno.ESRCH : pidfd_open(leader);
  }

  #keep(thread: number, pidfd: number): void {
    if (this.#pidfds.size >= KEPT) {
      for (const [oldest, old] of this.#pidfds) {
        this.#forget(oldest, old);
        break;
      }
    }
    this.#pidfds.set(thread, pidfd);
  }

  #forget(thread: number, pidfd: number): void {
    close(pidfd);
    this.#pidfds.delete(thread);
  }

  #text(at: number, text: readonly number[]): number {
    const { bytes } = this.#path;
    for (let i = 0; i < text.length; i++) bytes[at + i] = text[i]!;
    return at + text.length;
  }

  /** Writes `value` in decimal, and a NUL that the next text overwrites. */
  #number(at: number, value: number): number {
    const { bytes } = this.#path;
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.trunc(rest / 10)) digits++;
    let rest = value;
    for (let i = digits - 1; i >= 0; i--) {
      bytes[at + i] = ZERO + rest % 10;
      rest = Math.trunc(rest / 10);
    }
    bytes[at + digits] = 0;
    return at + digits;
  }

  /**
   * A program that made itself undumpable (ssh-agent) has a /proc of root's; what the kernel asks for a duplicate, a right
   * over its user namespace, we may still have.
   */
  #borrowedInode(thread: number, fd: number): number {
    const borrowed = this.borrow(thread, fd);
    if (borrowed < 0) return borrowed === -Errno.EBADF ? -Errno.ENOENT : -Errno.EACCES;
    const inode = this.ownInode(borrowed);
    close(borrowed);
    return inode;
  }

  /** The number in a link that reads `prefix[number]`; 0 if it reads otherwise. */
  #readInode(prefix: readonly number[]): number {
    const { bytes } = this.#link;
    const length = readlink(this.#path.address, this.#link.address, bytes.length);
    if (length < 0) return length;
    for (let i = 0; i < prefix.length; i++) if (bytes[i] !== prefix[i]) return 0;
    if (bytes[prefix.length] !== BRACKET) return 0;
    let inode = 0;
    for (let i = prefix.length + 1; i < length - 1; i++) inode = inode * 10 + (bytes[i]! - ZERO);
    return inode;
  }
}

function namesUs(): boolean {
  try {
    return readlinkSync("/proc/self") === String(getpid());
  } catch {
    return false;
  }
}

/** The process that `thread` belongs to. */
export function leaderOf(thread: number): number | undefined {
  const leader = statusOf(thread)("Tgid");
  return leader === undefined ? undefined : Number(leader);
}
