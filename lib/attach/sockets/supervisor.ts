/**
 * The supervisor: receives trapped calls, finds the socket that is meant, and has it answer.
 *
 * Theory of operation
 *
 * The listener is one descriptor in the engine's epoll set. When it is readable, a notification waits, and only then may
 * it be asked for: the request sleeps if there is none, and a supervisor that sleeps is a guest that hangs. So each
 * request is preceded by a poll, and after `CALLS_PER_TURN` of them the rest waits for the next turn, behind packets.
 *
 * ```text
 *   socket()            ─▶ families.ts: first opener that takes it ─▶ openPair: table, epoll, descriptor into the guest
 *   others, on a number ─▶ inode of /proc/TID/fd/N ─▶ table ─┬▶ the socket's own method
 *                                                            └▶ not ours: unix/policy.ts
 * ```
 *
 * Calls that cannot be answered yet are held. Their threads may be interrupted by a signal and nobody tells us; we find
 * out when the same thread comes with another call, when the answer is refused, or in the sweep, once a second.
 *
 * An exception in a handler is our bug and must not be the end of everybody's network: it is counted and logged, and
 * the call fails with EIO.
 *
 * @module
 */

import { AF, MSG, SOCK } from "../../host/constants.ts";
import { Errno, errnoName } from "../../host/errno.ts";
import { GuestFiles } from "../../host/guest_files.ts";
import { GuestMemory } from "../../host/guest_memory.ts";
import { NativeMemory } from "../../host/memory.ts";
import { NetworkOwner } from "../../host/network_right.ts";
import { EpollEvents, type Reactor } from "../../host/reactor.ts";
import { SeccompListener } from "../../host/seccomp.ts";
import { SOCKET_CALLS } from "../../host/socket_calls.ts";
import { setBlocking, tryPair } from "../../host/socket_pair.ts";
import { reapOrphans } from "../../host/exit_status.ts";
import { close, poll } from "../../host/sys.ts";
import { threadExists } from "../../host/thread_state.ts";
import { findSocket, hasEpoll } from "../../host/socket_search.ts";
import { TimerQueue } from "../../stack/buffer/timer_queue.ts";
import type { Counter } from "../../stack/counters.ts";
import { earlier, type Instant, NEVER } from "../../stack/time.ts";
import { Budget } from "./budget.ts";
import { Call, type CallHost } from "./call.ts";
import { DetachedSockets } from "./detached.ts";
import { INTERFACE_IOCTL, OPENERS } from "./families.ts";
import type { Deadline, GuestSocket, SocketsContext, SupervisorFace } from "./guest_socket.ts";
import { type HandedOff, handedOffOf } from "./impersonate/handed_off.ts";
import { Networks } from "./networks.ts";
import { PairWatch } from "./pair_watch.ts";
import { SocketTable } from "./socket_table.ts";
import { UnheardAnswers } from "./unheard.ts";
import { UnixPolicy, type UnixPolicyOptions } from "./unix/policy.ts";

/** Calls answered in one turn of the loop, before packets have their turn. */
const CALLS_PER_TURN = 64;
/** Calls that may be held at the same time: one per thread of the guest. */
export const MAX_HELD = 65_536;
/** Time between two sweeps for dead threads and orphans, microseconds. */
const SWEEP_INTERVAL = 1_000_000;
/** Searches of all processes for the holder of a socket, per sweep interval. */
export const SEARCHES_PER_SWEEP = 32;
/** Searches of one process for an epoll set, likewise. */
export const EPOLL_SEARCHES_PER_SWEEP = 256;
/** All socket types are below this (`SOCK_MAX`). */
const SOCK_MAX = 11;
const TYPE_MASK = 0xf;
const FLAGS = SOCK.CLOEXEC | SOCK.NONBLOCK;
const WATCHED = EpollEvents.in | EpollEvents.out | EpollEvents.pri | EpollEvents.rdhup | EpollEvents.et;

const C = SOCKET_CALLS;

/** What the supervisor is made from; it completes it to a {@linkcode SocketsContext}. */
export type SupervisorOptions = Omit<SocketsContext, "supervisor" | "mayAdminister"> & {
  readonly unix: UnixPolicyOptions;
  /** The guest's first process, which its owner reaps. */
  readonly child: number;
  /** The guest's last process is gone. */
  onGone(): void;
};

/** Answers the guest's calls. */
export class Supervisor implements SupervisorFace, CallHost {
  readonly memory = new GuestMemory();
  readonly files = new GuestFiles();
  readonly context: SocketsContext;
  readonly #reactor: Reactor;
  readonly #table = new SocketTable();
  readonly #watches = new Map<GuestSocket, PairWatch>();
  readonly #held = new Map<number, Call>();
  readonly #unheard: UnheardAnswers;
  readonly #detached: DetachedSockets;
  readonly #timers = new TimerQueue<Deadline>();
  readonly #searches: Budget;
  readonly #epollSearches: Budget;
  readonly #onGone: () => void;
  readonly #child: number;
  readonly #unix: UnixPolicy;
  readonly #networks: Networks;
  readonly #owner = new NetworkOwner();
  readonly #handedOff: HandedOff | undefined;
  readonly #pollfd = new NativeMemory(8);
  readonly #trapped: Counter;
  #listener: SeccompListener | undefined;
  #call: Call;
  #sweepAt: Instant = NEVER;

  constructor(options: SupervisorOptions) {
    const { unix, onGone, child, ...context } = options;
    const { reactor, counters } = context;
    this.context = { ...context, supervisor: this, mayAdminister: (thread) => this.#owner.allows(thread) };
    this.#reactor = reactor;
    this.#onGone = onGone;
    this.#child = child;
    this.#handedOff = handedOffOf(this.context);
    this.#networks = new Networks(this.context, this.files);
    this.#unix = new UnixPolicy(unix, this.context, this.#networks);
    this.#trapped = counters.slot("sockets.calls");
    this.#unheard = new UnheardAnswers(counters);
    this.#searches = new Budget(SEARCHES_PER_SWEEP, counters.slot("sockets.limit.searches"));
    const detached = counters.slot("sockets.limit.detached");
    this.#detached = new DetachedSockets(detached, (socket) => this.#forget(socket));
    this.#epollSearches = new Budget(EPOLL_SEARCHES_PER_SWEEP, counters.slot("sockets.limit.epoll-searches"));
    this.#call = new Call(this);
  }

  get listener(): SeccompListener {
    if (this.#listener === undefined) throw new RangeError("Cannot answer calls: there is no listener yet");
    return this.#listener;
  }

  /**
   * Begins to answer what arrives at `fd`, which is ours from now on.
   *
   * @param process the guest's first
   */
  listen(fd: number, process: number): void {
    this.#networks.settle(process);
    this.#owner.settle(process);
    this.#listener = new SeccompListener(fd);
    const words = this.#pollfd.words;
    words[0] = fd;
    words[1] = EpollEvents.in;
    this.#reactor.add(fd, EpollEvents.in, this);
    this.#sweepAt = (this.#reactor.now() + SWEEP_INTERVAL) as Instant;
  }

  onReady(events: number): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    if ((events & EpollEvents.in) === 0) return this.#gone();
    for (let i = 0; i < CALLS_PER_TURN; i++) {
      // ENOENT: the thread has died between the poll and now. What came next shows in the next turn.
      if (!listener.receive()) return;
      this.#answer(this.#call.take());
      // The answer has woken its thread on this processor.
      this.#reactor.rest();
      if (this.#call.open) this.#call = new Call(this);
      if (!this.#waiting()) return;
    }
  }

  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant {
    const at = earlier(this.#sweepAt, this.#timers.next());
    return earlier(earlier(at, this.#networks.pollAt()), this.#unix.pollAt(this.#reactor.now() as Instant));
  }

  /** Serves deadlines; forgets held calls of threads that are gone, and buries orphans. */
  poll(now: Instant): void {
    for (let item = this.#timers.popDue(now); item !== undefined; item = this.#timers.popDue(now)) {
      item.onDeadline(now);
    }
    this.#networks.poll(now);
    this.#unix.poll();
    if (now < this.#sweepAt) return;
    this.#searches.renew();
    this.#epollSearches.renew();
    this.#sweepAt = (now + SWEEP_INTERVAL) as Instant;
    for (const call of [...this.#held.values()]) if (!call.isValid()) call.abandon();
    this.#unheard.sweep(threadExists);
    this.#detached.sweep();
    reapOrphans(this.#child);
  }

  openPair(
    type: number,
    make: (near: number, inode: number, far: number) => GuestSocket,
    call: Call,
    cloexec: boolean,
    nonblock: boolean,
  ): GuestSocket | undefined {
    const pair = this.#pair(type, !nonblock);
    if (typeof pair === "number") {
      call.fail(pair);
      return undefined;
    }
    const [near, far] = pair;
    const socket = make(near, this.files.ownInode(far), far);
    socket.owner = this.#owner.userOf(call.tid);
    this.#admit(socket);
    const result = call.replyWithDescriptor(far, cloexec);
    close(far);
    if (result >= 0) return socket;
    this.context.counters.bump(`sockets.undone.${errnoName(-result)}`);
    socket.closed();
    this.release(socket);
    return undefined;
  }

  replacePair(
    socket: GuestSocket,
    call: Call,
    type: number,
    prepare?: (near: number, far: number) => void,
  ): number {
    const pair = this.#pair(type, call.blocking);
    if (typeof pair === "number") return -pair;
    const [near, far] = pair;
    prepare?.(near, far);
    const cloexec = this.files.closesOnExec(call.tid, call.fd);
    const result = call.replaceDescriptor(far, call.fd, cloexec);
    if (result < 0) {
      close(near);
    } else {
      this.release(socket);
      socket.near = near;
      socket.inode = this.files.ownInode(far);
      this.#admit(socket);
    }
    close(far);
    return result < 0 ? result : 0;
  }

  openPairInPlace(
    type: number,
    make: (near: number, inode: number, far: number) => GuestSocket,
    call: Call,
    blocking: boolean,
  ): GuestSocket | number {
    const pair = this.#pair(type, blocking);
    if (typeof pair === "number") return pair;
    const [near, far] = pair;
    const socket = make(near, this.files.ownInode(far), far);
    socket.owner = this.#owner.userOf(call.tid);
    this.#admit(socket);
    const result = call.replaceDescriptor(far, call.fd, this.files.closesOnExec(call.tid, call.fd));
    close(far);
    if (result >= 0) {
      socket.thread = call.tid;
      socket.number = call.fd;
      return socket;
    }
    socket.closed();
    this.release(socket);
    return -result;
  }

  inodeOf(fd: number): number {
    return this.files.ownInode(fd);
  }

  release(socket: GuestSocket): void {
    this.#table.remove(socket);
    if (this.#detached.delete(socket)) return;
    this.#closeNear(socket);
  }

  detach(socket: GuestSocket): void {
    if (!this.#closeNear(socket)) return;
    this.#detached.add(socket);
  }

  reach(socket: GuestSocket): number {
    const fd = this.files.borrow(socket.thread, socket.number);
    if (fd >= 0) {
      if (this.files.ownInode(fd) === socket.inode) return fd;
      close(fd);
    }
    if (!this.#searches.spend()) return -Errno.EAGAIN;
    this.context.counters.bump("sockets.searches");
    const found = findSocket(socket.inode);
    return found === undefined ? -Errno.ENOENT : this.files.borrow(found.process, found.descriptor);
  }

  usesEpoll(socket: GuestSocket): boolean {
    return !this.#epollSearches.spend() || hasEpoll(socket.thread);
  }

  setDeadline(item: Deadline, at: Instant): void {
    this.#timers.set(item, at);
  }

  isHome(thread: number): boolean {
    return this.#networks.isHome(thread);
  }

  sockets(): Iterable<GuestSocket> {
    return this.#table;
  }

  held(call: Call): void {
    this.#held.set(call.tid, call);
  }

  settled(call: Call): void {
    this.#reactor.rest();
    if (this.#held.get(call.tid) === call) this.#held.delete(call.tid);
  }

  unheard(call: Call, result: number): void {
    this.#unheard.keep(call, result);
  }

  /** Closes everything. Calls of the guest fail with ENOSYS from now on. */
  close(): void {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#sweepAt = NEVER;
    if (listener !== undefined) {
      this.#reactor.remove(listener.fd);
      close(listener.fd);
    }
    for (const call of [...this.#held.values()]) call.abandon();
    for (const socket of [...this.#table]) {
      socket.closed();
      this.release(socket);
    }
    this.#detached.close();
    this.#unix.close();
    this.files.close();
  }

  #gone(): void {
    this.#reactor.remove(this.listener.fd);
    this.#onGone();
  }

  /** Whether another notification waits, so that asking for it does not sleep. */
  #waiting(): boolean {
    this.#pollfd.words[1] = EpollEvents.in;
    return poll(this.#pollfd.address, 1, 0) > 0 && (this.#pollfd.words[1]! >>> 16 & EpollEvents.in) !== 0;
  }

  #pair(type: number, blocking: boolean): readonly [near: number, far: number] | number {
    if (this.#table.full) {
      this.context.counters.bump("sockets.limit.sockets");
      return Errno.ENFILE;
    }
    const pair = tryPair(type | SOCK.NONBLOCK);
    // Our own descriptors have run out, not the guest's.
    if (typeof pair === "number") return Errno.ENFILE;
    if (blocking) setBlocking(pair[1]);
    return pair;
  }

  /** False: it had none. */
  #closeNear(socket: GuestSocket): boolean {
    const watch = this.#watches.get(socket);
    if (watch === undefined) return false;
    this.#watches.delete(socket);
    watch.close();
    close(socket.near);
    return true;
  }

  /** Nobody will hear of it any more. */
  #forget(socket: GuestSocket): void {
    socket.closed();
    this.release(socket);
  }

  #admit(socket: GuestSocket): void {
    // The number of an inode is given out again once nobody has it.
    const stale = this.#table.get(socket.inode);
    if (stale !== undefined) this.#forget(stale);
    this.#table.add(socket);
    const watch = new PairWatch(this.#reactor, socket);
    this.#watches.set(socket, watch);
    this.#reactor.add(socket.near, WATCHED, watch);
  }

  #answer(call: Call): void {
    this.#trapped.value++;
    // A thread has one call at a time: an earlier one of this thread was interrupted.
    const before = this.#held.get(call.tid);
    if (before !== undefined) {
      before.abandon();
      // SA_RESTART begins the call again, which the kernel itself does not do where there is a time-out (signal(7)).
      if (before.timed && call.repeats(before)) return void call.fail(Errno.EINTR);
    }
    const missed = this.#unheard.take(call);
    if (missed !== undefined) return void (missed < 0 ? call.fail(-missed) : call.reply(missed));
    try {
      this.#dispatch(call);
    } catch (error) {
      this.context.counters.bump("sockets.failed-handler");
      this.context.log("error", `call ${call.nr} failed: ${error instanceof Error ? error.stack : error}`);
      call.fail(Errno.EIO);
      return;
    }
    if (this.#held.size > MAX_HELD) {
      this.context.counters.bump("sockets.limit.held");
      call.refuse(Errno.ENOMEM);
    }
  }

  #dispatch(call: Call): void {
    if (call.nr === C.socket) return this.#socket(call);
    // It would connect: to a name that the kernel reads after us, on a descriptor that may be another one by then.
    if (isFastOpen(call)) return void call.fail(Errno.EOPNOTSUPP);
    const inode = this.files.socketInode(call.tid, call.fd);
    const socket = inode > 0 ? this.#table.get(inode) : undefined;
    // A short send without an address is trapped for netlink's sake: see `filter.ts`.
    const plainSend = call.nr === C.sendto && call.arg(4) === 0;
    if (socket === undefined) {
      if (plainSend) return void call.pass();
      if (inode > 0 && this.#handedOff?.answer(call, inode) === true) return;
      return this.#unix.answer(call, inode);
    }
    call.inode = inode;
    socket.thread = call.tid;
    socket.number = call.fd;
    socket.entered(call);
    switch (call.nr) {
      case C.bind:
        return socket.bind(call);
      case C.connect:
        return socket.connect(call);
      case C.listen:
        return socket.listen(call);
      case C.accept:
        return socket.accept(call, 0);
      case C.accept4:
        if ((call.int(3) & ~FLAGS) !== 0) return void call.fail(Errno.EINVAL);
        return socket.accept(call, call.int(3));
      case C.getsockname:
        return socket.getsockname(call);
      case C.getpeername:
        return socket.getpeername(call);
      case C.getsockopt:
        return socket.getsockopt(call);
      case C.setsockopt:
        return socket.setsockopt(call);
      case C.shutdown:
        return socket.shutdown(call);
      case C.sendto:
        return plainSend ? socket.send(call) : socket.sendto(call);
      case C.recvfrom:
        return socket.recvfrom(call);
      case C.sendmsg:
        return socket.sendmsg(call);
      case C.recvmsg:
        return socket.recvmsg(call);
      case C.sendmmsg:
        return socket.sendmmsg(call);
      case C.recvmmsg:
        return socket.recvmmsg(call);
      case C.ioctl:
        if (INTERFACE_IOCTL(this.#networks.of(call.tid), call, socket.domain)) return;
        return socket.ioctl(call);
      default:
        call.fail(Errno.ENOSYS);
    }
  }

  #socket(call: Call): void {
    const flags = call.int(1) & ~TYPE_MASK;
    const type = call.int(1) & TYPE_MASK;
    if ((flags & ~FLAGS) !== 0 || type >= SOCK_MAX) return void call.fail(Errno.EINVAL);
    const request = {
      domain: call.int(0),
      type,
      protocol: call.int(2),
      cloexec: (flags & SOCK.CLOEXEC) !== 0,
      nonblock: (flags & SOCK.NONBLOCK) !== 0,
    };
    const context = this.#networks.of(call.tid);
    for (let i = 0; i < OPENERS.length; i++) if (OPENERS[i]!(context, call, request)) return;
    call.fail(
      request.domain === AF.INET || request.domain === AF.INET6 ? Errno.EPROTONOSUPPORT : Errno.EAFNOSUPPORT,
    );
  }
}

/** A send that opens a connection (`MSG_FASTOPEN`); refused as by a kernel that does not offer it. */
function isFastOpen(call: Call): boolean {
  const flags = call.nr === C.sendmsg
    ? call.int(2)
    : call.nr === C.sendto || call.nr === C.sendmmsg
    ? call.int(3)
    : 0;
  return (flags & MSG.FASTOPEN) !== 0;
}
