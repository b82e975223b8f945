/**
 * Errors of a datagram socket: the one that the next call returns, and the queue of those in full (`IP_RECVERR`).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { SocketAddress } from "../../../host/structs.ts";
import type { IcmpErrorKind } from "../../../stack/ip/icmp_kind.ts";

/** `SO_EE_ORIGIN_…`. */
export const Origin = { local: 1, icmp: 2, icmp6: 3 } as const;

/** Most errors that wait; more are lost, as they are when a socket buffer is full. */
const MOST = 64;
/** Bytes of the datagram that are kept. */
const QUOTED = 576;

/** An error in full: `struct sock_extended_err`, the datagram, where it was going, and who complained. */
export interface QueuedError {
  readonly errno: number;
  readonly origin: number;
  readonly type: number;
  readonly code: number;
  /** The MTU of `EMSGSIZE`. */
  readonly info: number;
  readonly destination: SocketAddress;
  /** Absent: this stack itself. */
  readonly offender: SocketAddress | undefined;
  readonly data: Uint8Array;
  readonly time: number;
}

/** The errors of one socket. */
export class ErrorQueue {
  /** `sk_err`: what the next call returns, and `SO_ERROR`; 0 for none. */
  pending = 0;
  readonly #queue: QueuedError[] = [];

  get length(): number {
    return this.#queue.length;
  }

  /** Queues an error; false: there are too many. */
  push(error: Omit<QueuedError, "data"> & { readonly data: Uint8Array }): boolean {
    if (this.#queue.length >= MOST) return false;
    this.#queue.push({ ...error, data: error.data.slice(0, QUOTED) });
    return true;
  }

  /** The oldest one, which is taken out. */
  shift(): QueuedError | undefined {
    const error = this.#queue.shift();
    // Linux: with the next one in the queue the socket is in error again.
    if (error !== undefined && this.#queue.length > 0) this.pending = this.#queue[0]!.errno;
    return error;
  }

  clear(): void {
    this.#queue.length = 0;
  }

  /** The pending error, which is cleared. */
  take(): number {
    const { pending } = this;
    this.pending = 0;
    return pending;
  }
}

/** What an ICMP error is to a socket: the errno, and whether it counts without `IP_RECVERR` (`icmp_err_convert`). */
export function errnoOf(kind: IcmpErrorKind): { readonly errno: number; readonly hard: boolean } {
  return ERRNO_OF[kind];
}

const ERRNO_OF: Readonly<Record<IcmpErrorKind, { readonly errno: number; readonly hard: boolean }>> = {
  "network-unreachable": { errno: Errno.ENETUNREACH, hard: false },
  "host-unreachable": { errno: Errno.EHOSTUNREACH, hard: false },
  "protocol-unreachable": { errno: Errno.ENOPROTOOPT, hard: true },
  "port-unreachable": { errno: Errno.ECONNREFUSED, hard: true },
  "admin-prohibited": { errno: Errno.EHOSTUNREACH, hard: true },
  "source-route-failed": { errno: Errno.EOPNOTSUPP, hard: false },
  "packet-too-big": { errno: Errno.EMSGSIZE, hard: true },
  "time-exceeded": { errno: Errno.EHOSTUNREACH, hard: false },
  "reassembly-time-exceeded": { errno: Errno.EHOSTUNREACH, hard: false },
  "parameter-problem": { errno: Errno.EPROTO, hard: true },
};

/** Type and code of the message, for an error that this stack found out by itself. */
export function typeOf(kind: IcmpErrorKind, family: number): readonly [type: number, code: number] {
  const v4 = family === AF.INET;
  switch (kind) {
    case "host-unreachable":
      return v4 ? [3, 1] : [1, 3];
    case "port-unreachable":
      return v4 ? [3, 3] : [1, 4];
    case "packet-too-big":
      return v4 ? [3, 4] : [2, 0];
    case "time-exceeded":
      return v4 ? [11, 0] : [3, 0];
    case "admin-prohibited":
      return v4 ? [3, 13] : [1, 1];
    default:
      return v4 ? [3, 0] : [1, 0];
  }
}
