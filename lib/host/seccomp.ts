/**
 * seccomp user notification (seccomp_unotify(2)): system calls of another process, answered by us.
 *
 * @module
 */

import { check, Errno } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { ioctl, prctl, seccomp } from "./sys.ts";

const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3;

/** `_IOWR('!', 0, struct seccomp_notif)` and its sisters. */
const IOCTL = {
  receive: 0xc0502100 | 0,
  send: 0xc0182101 | 0,
  idValid: 0x40082102,
  addDescriptor: 0x40182103,
  setFlags: 0x40082104,
} as const;
const SYNC_WAKE_UP = 1;

/** Let the kernel carry the call out. Its arguments may have changed since we looked. */
export const CONTINUE = 1;

/** Flags of {@linkcode SeccompListener.addDescriptor}. */
const ADDFD_SETFD = 1, ADDFD_SEND = 2;
const O_CLOEXEC = 0o2000000;

/** Bytes of `struct seccomp_notif`. */
export const NOTIFICATION_SIZE = 80;
/** Offsets in it: id, thread, then `struct seccomp_data`. */
export const Notification = { id: 0, pid: 8, number: 16, argument: 32 } as const;

/**
 * Installs a filter for this thread and everything it executes; the last act of a stage before `execve`.
 *
 * @param program address of a `struct sock_fprog`
 * @returns the listener, close-on-exec
 * @throws {SystemError} EBUSY: a filter with a listener is installed already, and there can be only one
 */
export function installFilter(program: number): number {
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges");
  return check(
    seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, program),
    "install a seccomp filter",
  );
}

/** Our end of the notifications of one filter. One notification is in hand at a time; its id answers it later. */
export class SeccompListener {
  /** Readable while calls wait; hangs up when the last process with the filter is gone. */
  readonly fd: number;
  /** The notification that {@linkcode receive} has read. */
  readonly notification = new NativeMemory(NOTIFICATION_SIZE);
  readonly #answer = new NativeMemory(24);
  readonly #add = new NativeMemory(24);
  readonly #id = new NativeMemory(8);

  constructor(fd: number) {
    this.fd = fd;
    // Linux ≥ 6.6: the guest's thread is woken on this CPU, which saves a call some 10 µs. Older kernels say EINVAL.
    this.#id.setPointer(0, SYNC_WAKE_UP);
    ioctl(fd, IOCTL.setFlags, SYNC_WAKE_UP);
  }

  /** Reads the next notification into {@linkcode notification}. False: none that still stands. */
  receive(): boolean {
    this.notification.bytes.fill(0); // the kernel insists
    return ioctl(this.fd, IOCTL.receive, this.notification.address) >= 0;
  }

  /** Whether the call still waits: its thread was neither killed nor interrupted by a signal. */
  isValid(low: number, high: number): boolean {
    this.#id.words[0] = low;
    this.#id.words[1] = high;
    return ioctl(this.fd, IOCTL.idValid, this.#id.address) >= 0;
  }

  /** Answers a call with a value (≥ 0) or −errno. False: it does not wait any more. */
  respond(low: number, high: number, result: number, flags = 0): boolean {
    const { words } = this.#answer;
    words[0] = low;
    words[1] = high;
    words[2] = result < 0 ? 0 : result;
    words[3] = result < 0 ? 0 : Math.floor(result / 4294967296);
    words[4] = result < 0 ? result : 0;
    words[5] = flags;
    return ioctl(this.fd, IOCTL.send, this.#answer.address) >= 0;
  }

  /**
   * Puts a duplicate of our descriptor into the guest.
   *
   * @param at the guest's number to replace, or −1: the lowest free one
   * @param send also answers the call with the number
   * @returns the guest's number, or −errno: −ENOENT if the call does not wait any more
   */
  addDescriptor(
    low: number,
    high: number,
    descriptor: number,
    closeOnExec: boolean,
    at = -1,
    send = true,
  ): number {
    const { words } = this.#add;
    words[0] = low;
    words[1] = high;
    words[2] = (at >= 0 ? ADDFD_SETFD : 0) | (send ? ADDFD_SEND : 0);
    words[3] = descriptor;
    words[4] = at >= 0 ? at : 0;
    words[5] = closeOnExec ? O_CLOEXEC : 0;
    const result = ioctl(this.fd, IOCTL.addDescriptor, this.#add.address);
    // Interrupted between the two steps of ADDFD_SEND: the kernel has undone it, and asks to try again; or before the first,
    // while the thread was on its way to take the descriptor ("the process went away before we got a chance to handle it").
    return result === -Errno.EBUSY || result === -Errno.ESRCH ? -Errno.ENOENT : result;
  }
}
