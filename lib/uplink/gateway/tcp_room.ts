/**
 * How many bytes of a guest's connection may wait, in our queues and in those of the host's kernel.
 *
 * What a guest does not read, and what a host does not take, lies on the way. In our queues all connections together are
 * bounded by the memory of the stack (`lib/stack/tcp/memory.ts`); in the kernel's they would be bounded by nothing but what
 * all TCP of the host has (`tcp_mem`), for a socket's buffer grows with the rate at which we have read, and keeps what the
 * peer sends when we do not any more. So the few of a guest have what they like, and the many less each.
 *
 * A socket begins *small* and is kept so until the guest has taken as much: what we read ahead for a guest that takes nothing
 * must not make it grow. From then on it grows as the kernel sees fit, and when it has moved more than it may hold, its
 * buffer stays as large as it may be.
 *
 * @module
 */

import { SO, SOL } from "../../host/constants.ts";
import { setOption } from "../../host/inet.ts";
import type { TcpOptions } from "../../stack/tcp/options.ts";

/** What a connection may hold. */
export interface TcpRoom {
  /** Of the guest's side. */
  readonly options: Partial<TcpOptions>;
  /** Bytes of the host socket's receive buffer at first; 0: the kernel's default. */
  readonly hostFirst: number;
  /** Bytes of each buffer of the host's socket at most; Infinity: what the kernel thinks best. */
  readonly hostMost: number;
}

/** The room of a connection when its guest has `flows` already. */
export function roomAmong(flows: number): TcpRoom {
  for (let i = 0; i < TIERS.length; i++) if (flows < TIERS[i]!.below) return TIERS[i]!;
  return TIERS[TIERS.length - 1]!;
}

const KIB = 1_024;
const TIERS = [
  tier(32, 256 * KIB, 4_096 * KIB, 0, Infinity),
  tier(256, 128 * KIB, 1_024 * KIB, 64 * KIB, 1_024 * KIB),
  tier(2_048, 64 * KIB, 256 * KIB, 16 * KIB, 256 * KIB),
  // Windows are promises: what is offered before anything has been read must be small, where there are so many.
  tier(Infinity, 16 * KIB, 64 * KIB, 16 * KIB, 64 * KIB),
];

function tier(
  below: number,
  buffer: number,
  bufferMax: number,
  hostFirst: number,
  hostMost: number,
): TcpRoom & { readonly below: number } {
  return {
    below,
    hostFirst,
    hostMost,
    options: {
      // The guest's own stack coalesces small writes, and so does the far end's, so ours must not hold anything back.
      noDelay: true,
      // One wire leads to the guest, and no router: what does not answer is a guest that stands still.
      blackHoles: false,
      sendBuffer: buffer,
      sendBufferMax: bufferMax,
      receiveBuffer: buffer,
      receiveBufferMax: bufferMax,
    },
  };
}

/** The kernel keeps as much again for bookkeeping. */
const BOOKKEEPING = 2;
/** Linux has `SO_BUF_LOCK` since 5.14. Without it a buffer that was set would never grow. */
let unlocks = true;

/** Makes a new socket begin with a small receive buffer. Before it is connected, for that fixes the first window. */
export function beginSmall(fd: number, bytes: number): void {
  if (bytes === 0 || !unlocks) return;
  // The kernel would not change a buffer that somebody has set, so that is taken back, which leaves the size.
  unlocks = setOption(fd, SOL.SOCKET, SO.BUF_LOCK, 0) >= 0;
  if (!unlocks) return;
  setOption(fd, SOL.SOCKET, SO.RCVBUF, bytes / BOOKKEEPING);
  setOption(fd, SOL.SOCKET, SO.BUF_LOCK, 0);
}

/** `SOCK_RCVBUF_LOCK`: the kernel leaves the receive buffer as it is. */
const KEEP_RECEIVE = 2;

/** Keeps a connected socket that began small as it is. */
export function keepSmall(fd: number): void {
  if (unlocks) setOption(fd, SOL.SOCKET, SO.BUF_LOCK, KEEP_RECEIVE);
}

/** Lets it grow. */
export function letGrow(fd: number): void {
  if (unlocks) setOption(fd, SOL.SOCKET, SO.BUF_LOCK, 0);
}

/** Fixes the size of a buffer; `SO.RCVBUF` or `SO.SNDBUF`. What is beyond `net.core.rmem_max` or `wmem_max` is not had. */
export function limitBuffer(fd: number, which: number, bytes: number): void {
  setOption(fd, SOL.SOCKET, which, bytes / BOOKKEEPING);
}
