/**
 * One socket of the guest: an open file description, however many descriptors lead to it.
 *
 * The guest holds one end of a unix socket pair, we hold the other (`near`). What the guest does with `read`, `write`,
 * `poll` and their like goes through the pair without our knowing; the calls below are trapped and come here. Each must
 * answer the call, or hold it.
 *
 * Life. `closed()` is called when the pair hangs up. For a pair of streams or sequenced packets that is the guest's last
 * close, or both directions shut down. (A `SOCK_DGRAM` pair never hangs up: the kernel tells a datagram socket nothing of
 * its peer's end. Use `SOCK_SEQPACKET` for datagrams: it keeps boundaries, too, and empty ones.) What the guest wrote
 * before is still there to be read. When all is done, {@linkcode SupervisorFace.release} takes the socket out of the
 * table and closes `near`.
 *
 * @module
 */

import { SIOC, SOCK } from "../../host/constants.ts";
import { Errno } from "../../host/errno.ts";
import type { Reactor } from "../../host/reactor.ts";
import type { TimerItem } from "../../stack/buffer/timer_queue.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import type { Counters } from "../../stack/counters.ts";
import type { SocketFacts } from "../../stack/facts.ts";
import type { Stack } from "../../stack/stack.ts";
import type { Instant } from "../../stack/time.ts";
import type { Call } from "./call.ts";
import type { HostNetwork } from "./impersonate/network.ts";
import type { PacketSockets } from "./packet/packet_sockets.ts";

/** Something that ends at an instant: a call with a time-out. */
export interface Deadline extends TimerItem {
  onDeadline(now: Instant): void;
}

/** What families of sockets ask of the supervisor. */
export interface SupervisorFace {
  /**
   * Makes a pair, registers the guest's new socket under the inode of the guest's end, and answers `call` with a descriptor.
   * Answers with an errno if that fails; then `closed()` is called on what was made.
   *
   * @param type `SOCK.STREAM` or `SOCK.SEQPACKET`
   * @param make gets our end, the guest's inode and, for as long as it runs, the guest's end
   * @returns the socket, or undefined
   */
  openPair(
    type: number,
    make: (near: number, inode: number, far: number) => GuestSocket,
    call: Call,
    cloexec: boolean,
    nonblock: boolean,
  ): GuestSocket | undefined;
  /**
   * Gives a socket a fresh pair under the guest's same number: a stream cannot be connected twice. The near end, inode
   * and table entry change; the old pair is closed. The call is not answered.
   *
   * @param prepare gets both ends before the guest does
   * @returns 0 or −errno
   */
  replacePair(
    socket: GuestSocket,
    call: Call,
    type: number,
    prepare?: (near: number, far: number) => void,
  ): number;
  /**
   * Replaces the descriptor that `call` is about, whatever it is, by the guest's end of a pair for a new socket. The call is
   * not answered.
   *
   * @returns the socket, or an errno
   */
  openPairInPlace(
    type: number,
    make: (near: number, inode: number, far: number) => GuestSocket,
    call: Call,
    blocking: boolean,
  ): GuestSocket | number;
  /** The inode of our own socket `fd`. */
  inodeOf(fd: number): number;
  /** Takes the socket out of the table, stops watching it and closes `near`. Idempotent. */
  release(socket: GuestSocket): void;
  /**
   * Closes `near` but keeps the socket in the table: its stream is over, or has failed, and the guest may still ask why. The
   * guest's last close is not noticed any more; `closed()` is called when the inode has another owner, or when there
   * are too many such sockets.
   */
  detach(socket: GuestSocket): void;
  /**
   * Our duplicate of the guest's end at a time when the guest has not called: of the descriptor that was last used in a call,
   * or of any that a search finds. For the length of this turn; close it.
   *
   * @returns a descriptor or −errno
   */
  reach(socket: GuestSocket): number;
  /** Whether who last used the socket has an epoll set, which a fresh pair would fall out of; true if it is not known. */
  usesEpoll(socket: GuestSocket): boolean;
  /** Calls `item.onDeadline` at `at`; NEVER: not any more. */
  setDeadline(item: Deadline, at: Instant): void;
  /** Whether a thread is in the network namespace that the guest began in; false if that cannot be told. */
  isHome(thread: number): boolean;
  /** Sockets of the guest, for answers to `sock_diag` and snapshots. */
  sockets(): Iterable<GuestSocket>;
}

/** What a socket of the guest lives in. */
export interface SocketsContext {
  /** The guest's stack. */
  readonly stack: Stack;
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  /** Those of the stack; ours begin with `sockets.`. */
  readonly counters: Counters;
  readonly supervisor: SupervisorFace;
  /** Whether the guest may have raw sockets: as if it had `CAP_NET_RAW`. */
  readonly netRaw: boolean;
  /**
   * Whether a thread may change interfaces, addresses, routes and neighbours: as if it had `CAP_NET_ADMIN` over this network.
   */
  mayAdminister(this: void, thread: number): boolean;
  /** Interfaces with a wire lead into a network of others and stay as they were given. */
  readonly fixedInterfaces: boolean;
  /** The host's network, where its sockets stand for the guest's. */
  readonly host?: HostNetwork | undefined;
  /** Packet sockets, where the kernel shows the stack's interfaces. */
  readonly packets?: PacketSockets | undefined;
  log(level: "debug" | "info" | "warn" | "error", text: string): void;
}

/** A socket of the guest. */
export abstract class GuestSocket {
  /** Inode of the guest's end; what the table knows it by. Changes with {@linkcode SupervisorFace.replacePair}. */
  inode: number;
  /** Our end of the pair, non-blocking; watched edge-triggered for everything. */
  near: number;
  /** Who made the last call on it, and by which number; see {@linkcode SupervisorFace.reach}. */
  thread = 0;
  number = -1;
  /** The user who opened it, as the host knows him. */
  owner = 0;
  /** `AF_…`, `SOCK_…`, `IPPROTO_…` as the guest asked for them; protocol 0 resolved. */
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;

  constructor(near: number, inode: number, domain: number, type: number, protocol: number) {
    this.near = near;
    this.inode = inode;
    this.domain = domain;
    this.type = type;
    this.protocol = protocol;
  }

  /** `near` is ready: bits of `EpollEvents`, edge-triggered. Followed by `closed()` if the pair has hung up. */
  abstract onReady(events: number): void;

  /** The pair has hung up; may be told more than once. Release the socket, now or once what is in flight has been read. */
  abstract closed(): void;

  /** Its endpoint of `stack`, as `ss` shows it; undefined: it has none there. */
  endpointFacts(_stack: Stack): SocketFacts | undefined {
    return undefined;
  }

  /** A call is about to be handed to one of the following: a chance to mend the pair. */
  entered(_call: Call): void {}

  bind(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  connect(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  listen(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  /** @param flags of `accept4`, validated: `SOCK.CLOEXEC`, `SOCK.NONBLOCK` */
  accept(call: Call, _flags: number): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  getsockname(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  getpeername(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  getsockopt(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  setsockopt(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  shutdown(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  /** A `send` that `filter.ts` does not let through: as good as one that it does. */
  send(call: Call): void {
    call.pass();
  }
  /** Only with an address: `send` and plain `sendto` go through the pair. */
  sendto(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  /** Only with room for an address. */
  recvfrom(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  sendmsg(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  recvmsg(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  sendmmsg(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  recvmmsg(call: Call): void {
    call.fail(Errno.EOPNOTSUPP);
  }
  /** Commands `0x89xx`, those of sockets and interfaces. */
  ioctl(call: Call): void {
    if (isOfStream(call.int(1)) && (this.type === SOCK.STREAM || call.int(1) !== SIOC.ATMARK)) call.pass();
    else call.fail(Errno.ENOTTY);
  }
}

/**
 * Commands of streams that the kernel answers, `FIOSETOWN`, `SIOCSPGRP`, `FIOGETOWN`, `SIOCGPGRP`, `SIOCATMARK`: whom SIGIO and SIGURG go to is the open file's affair, which
 * the guest's end of the pair is, and unix sockets keep a mark as TCP does.
 */
export function isOfStream(command: number): boolean {
  return command >= 0x8901 && command <= SIOC.ATMARK;
}
