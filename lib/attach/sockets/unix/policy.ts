/**
 * Calls on sockets that are not ours: unix sockets, what the guest inherited, and descriptors that are none.
 *
 * Most go on to the kernel. What could reach a unix socket of the host does not, as long as `--host-uds` is `none` or
 * `create`: a name given to `connect` or `sendto` is read once, looked up as the guest means it, and used only if the
 * kernel's table of sockets says that a socket of the guest is behind it. The call is then carried out by us on a
 * duplicate of the guest's descriptor, for the handle that was looked at: what the guest writes over the name meanwhile,
 * or renames, changes nothing. (The peer therefore finds our process id in `SO_PEERCRED`, and the right user.)
 *
 * `bind` always works: a guest may make sockets. Sockets of the kernel's network that the guest has inherited may be read
 * and written, for that is why they were given to it; they are neither bound nor connected.
 *
 * @module
 */

import { AF, F, MSG, SO, SOCK, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { getOption, localAddress, peerAddress } from "../../../host/inet.ts";
import { Msghdr, MSGHDR_SIZE, SocketAddress } from "../../../host/structs.ts";
import { SOCKET_CALLS } from "../../../host/socket_calls.ts";
import { connect, fcntl, listen, sendto } from "../../../host/sys.ts";
import { type Instant, later, NEVER } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import { INTERFACE_IOCTL } from "../families.ts";
import { isOfStream, type SocketsContext } from "../guest_socket.ts";
import { bindPacket, concernsPackets, sendAnswer, sendPacket } from "../packet/calls.ts";
import { SIOC } from "../ioctl/ifreq.ts";
import type { Networks } from "../networks.ts";
import { type Target, UnixTargets } from "./targets.ts";

/** What the guest may do with unix sockets of the host. */
export interface UnixPolicyOptions {
  readonly hostUds: "none" | "open" | "create" | "all";
  /** Whether the guest has a network namespace of its own: abstract names in it are its own then. */
  readonly ownNetwork: boolean;
  /** Where to ask for the guest's unix sockets, from `openSockDiag`; absent: nobody can be asked. */
  readonly diag?: number;
}

const C = SOCKET_CALLS;
const O_NONBLOCK = 0o4000;
const SOCKADDR_UN = 110;
/** Longest datagram we send for the guest; the scratch memory holds as much, and the kernel's default is 212992. */
const MAX_DATAGRAM = 65_536;
/** Calls that wait for room at a peer (`sockets.limit.unix-waiting`: more are told to come again), and how often they are tried. */
export const MAX_RETRIES = 1_024;
const RETRY_INTERVAL = 5_000;

/** No `SOCK_…`. */
const FORBIDDEN = -1;

const address = new SocketAddress();

/** Whether a socket of IP has a peer. */
function isConnected(fd: number): boolean {
  return peerAddress(fd, address);
}

/** Whether a socket of IP has a port. */
function isBound(fd: number): boolean {
  return localAddress(fd, address) && address.port !== 0;
}

/** Decides about calls on sockets that are not in the table. */
export class UnixPolicy {
  readonly #context: SocketsContext;
  readonly #networks: Networks;
  readonly #targets: UnixTargets;
  readonly #mayConnect: boolean;
  /**
   * The guest holds sockets of the host's network. What it does to a unix socket could hit one of those, if it exchanges
   * the descriptor in time: so whatever matters there is carried out on the socket that we have looked at.
   */
  readonly #leavesNothing: boolean;
  readonly #retries = new Map<Call, number>();

  constructor(options: UnixPolicyOptions, context: SocketsContext, networks: Networks) {
    this.#context = context;
    this.#networks = networks;
    this.#mayConnect = options.hostUds === "open" || options.hostUds === "all";
    this.#leavesNothing = context.host?.config.handoff === true;
    this.#targets = new UnixTargets(options.ownNetwork, options.diag);
  }

  /** @param inode as {@linkcode GuestFiles.socketInode} told it */
  answer(call: Call, inode: number): void {
    // A program that made itself unreadable: nothing can be done for it, and it is told so.
    if (inode === -Errno.EACCES || inode === -Errno.EPERM) return void call.fail(Errno.EACCES);
    // Never passed on: the number could mean another descriptor by the time the kernel looks.
    if (inode === -Errno.ENOENT) return void call.fail(Errno.EBADF);
    if (inode === 0) return this.#noSocket(call);
    if (inode < 0) return void call.fail(Errno.EBADF);
    if (this.#context.packets?.everOpened === true && concernsPackets(call) && this.#packet(call, inode)) {
      return;
    }
    switch (call.nr) {
      case C.bind:
        return this.#bind(call, inode);
      case C.listen:
        return this.#listen(call);
      case C.connect:
        return this.#connect(call, inode);
      case C.sendto:
        return this.#sendTo(call, inode);
      case C.sendmsg:
      case C.sendmmsg:
        return this.#sendMessage(call, inode);
      case C.setsockopt:
        // Of a unix socket there is no other level.
        if (this.#leavesNothing && call.int(1) !== SOL.SOCKET) return void call.fail(Errno.EOPNOTSUPP);
        call.pass();
        return;
      case C.ioctl:
        if (INTERFACE_IOCTL(this.#networks.of(call.tid), call)) return;
        if (this.#leavesNothing && !isOfStream(call.int(1))) call.fail(Errno.ENOTTY);
        else call.pass();
        return;
      default:
        call.pass();
    }
  }

  /** A TAP knows two commands of interfaces, for its own hardware address; no other file knows any. */
  #noSocket(call: Call): void {
    const ofTap = call.int(1) === SIOC.GIFHWADDR || call.int(1) === SIOC.SIFHWADDR;
    if (call.nr !== C.ioctl) call.fail(Errno.ENOTSOCK);
    else if (ofTap && !this.#leavesNothing) call.pass();
    else call.fail(Errno.ENOTTY);
  }

  /** When {@linkcode poll} has something to do. */
  pollAt(now: Instant): Instant {
    return this.#retries.size === 0 ? NEVER : later(now, RETRY_INTERVAL);
  }

  /** Tries again what waits for room at a peer. */
  poll(): void {
    for (const [call, inode] of [...this.#retries]) this.answer(call, inode);
  }

  close(): void {
    this.#targets.close();
  }

  /** False: it is no packet socket, and nothing has been answered. */
  #packet(call: Call, inode: number): boolean {
    const fd = call.borrow();
    if (fd < 0) return false;
    const { nr } = call;
    const isPacket = getOption(fd, SOL.SOCKET, SO.DOMAIN) === AF.PACKET;
    let result: number | undefined = -Errno.EOPNOTSUPP;
    if (isPacket && nr !== C.ioctl) {
      // One of the host's network that somebody has given to the guest stays where it is.
      if (!this.#networks.holds(fd)) result = -Errno.EACCES;
      else if (nr === C.bind) result = bindPacket(call, fd);
      else if (nr === C.sendto || nr === C.sendmsg || nr === C.sendmmsg) result = sendPacket(call, fd);
    }
    call.giveBack(fd);
    if (!isPacket) return false;
    if (nr === C.ioctl) {
      // Those of addresses work, too: packet(7) sockets pass them to IPv4.
      if (!INTERFACE_IOCTL(this.#networks.of(call.tid), call, AF.INET)) call.pass();
      return true;
    }
    if (result !== undefined && nr !== C.bind) result = sendAnswer(call, result);
    const flags = call.int(nr === C.sendmsg ? 2 : 3);
    this.#settle(
      call,
      inode,
      result,
      (flags & MSG.DONTWAIT) === 0 && result === -Errno.EAGAIN && call.blocking,
    );
    return true;
  }

  #bind(call: Call, inode: number): void {
    const family = this.#withBorrowed(call, (fd) => getOption(fd, SOL.SOCKET, SO.DOMAIN));
    if (family === undefined) return;
    if (family === AF.UNIX) this.#targets.created(inode);
    else return void call.fail(Errno.EACCES);
    call.pass();
  }

  /**
   * `listen` has no argument that could change, and the socket cannot either if it is ours meanwhile. One of the host's
   * network listens only where who gave it to the guest has bound it: else the kernel would find it a port.
   */
  #listen(call: Call): void {
    const result = this.#withBorrowed(call, (fd) => {
      const unix = getOption(fd, SOL.SOCKET, SO.DOMAIN) === AF.UNIX;
      return unix || (!this.#leavesNothing && isBound(fd)) ? listen(fd, call.int(1)) : -Errno.EACCES;
    });
    if (result !== undefined) call.reply(result);
  }

  /** False: answered with EACCES. What the guest inherited of the kernel's network is connected nowhere. */
  #isUnix(call: Call): boolean {
    const domain = this.#withBorrowed(call, (fd) => getOption(fd, SOL.SOCKET, SO.DOMAIN));
    if (domain !== undefined && domain !== AF.UNIX) call.fail(Errno.EACCES);
    return domain === AF.UNIX;
  }

  #connect(call: Call, inode: number): void {
    if (this.#mayConnect && !this.#leavesNothing) {
      if (this.#isUnix(call)) call.pass();
      return;
    }
    const target = this.#target(call, call.arg(1), call.int(2));
    if (target === undefined) return;
    const { blocking } = call;
    const result = this.#withBorrowed(call, (fd) => {
      if (getOption(fd, SOL.SOCKET, SO.DOMAIN) !== AF.UNIX) return -Errno.EACCES;
      // A peer whose backlog is full would make us wait with everybody's packets.
      const flags = fcntl(fd, F.GETFL, 0);
      if (blocking) fcntl(fd, F.SETFL, flags | O_NONBLOCK);
      const connected = connect(fd, target.address, target.length);
      if (blocking) fcntl(fd, F.SETFL, flags);
      return connected;
    });
    target.close();
    this.#settle(call, inode, result, blocking);
  }

  #sendTo(call: Call, inode: number): void {
    if (this.#mayConnect) {
      if (this.#isUnix(call)) call.pass();
      return;
    }
    this.#send(call, inode, call.arg(4), call.int(5), call.arg(1), call.arg(2), call.int(3));
  }

  /**
   * Only a datagram socket looks at the name in a message. Of the others the message may go on: what it carries, such as
   * descriptors, only the kernel can carry.
   */
  #sendMessage(call: Call, inode: number): void {
    const type = this.#withBorrowed(call, (fd) => {
      const unix = getOption(fd, SOL.SOCKET, SO.DOMAIN) === AF.UNIX;
      const kind = getOption(fd, SOL.SOCKET, SO.TYPE);
      // A name leads anywhere: for TCP before it is connected (MSG_FASTOPEN), for datagrams always.
      return unix || (kind === SOCK.STREAM && isConnected(fd)) ? kind : FORBIDDEN;
    });
    if (type === undefined) return;
    if (type === FORBIDDEN) return void call.fail(Errno.EACCES);
    if (this.#mayConnect || type !== SOCK.DGRAM) return void call.pass();
    // One message of several: sendmmsg may say that it sent fewer than it was asked to.
    const header = call.readBytes(call.arg(1), MSGHDR_SIZE);
    if (header === undefined) return;
    const { scratch } = call;
    const name = scratch.getPointer(Msghdr.name), nameLength = scratch.view.getInt32(Msghdr.nameLength, true);
    if (name === 0 || nameLength === 0) return void call.pass();
    // A name and descriptors in one datagram: nobody does it, and half of it must not be done.
    if (scratch.getPointer(Msghdr.controlLength) > 0) return void call.fail(Errno.EPERM);
    const pieces = scratch.getPointer(Msghdr.iovLength), vector = scratch.getPointer(Msghdr.iov);
    if (pieces !== 1) return void call.fail(Errno.EPERM);
    if (call.readBytes(vector, 16) === undefined) return;
    const data = scratch.getPointer(0), length = scratch.getPointer(8);
    this.#send(call, inode, name, nameLength, data, length, call.int(call.nr === C.sendmmsg ? 3 : 2));
  }

  #send(
    call: Call,
    inode: number,
    name: number,
    nameLength: number,
    data: number,
    length: number,
    flags: number,
  ): void {
    if (length > MAX_DATAGRAM) return void call.fail(Errno.EMSGSIZE);
    const target = this.#target(call, name, nameLength);
    if (target === undefined) return;
    const blocking = (flags & MSG.DONTWAIT) === 0 && call.blocking;
    if (call.readBytes(data, length) === undefined) return target.close();
    const result = this.#withBorrowed(call, (fd) => {
      if (getOption(fd, SOL.SOCKET, SO.DOMAIN) !== AF.UNIX) return -Errno.EACCES;
      const quiet = MSG.DONTWAIT | MSG.NOSIGNAL;
      return sendto(fd, call.scratch.address, length, flags | quiet, target.address, target.length);
    });
    target.close();
    if (call.nr === C.sendmmsg && result !== undefined && result >= 0) {
      if (call.writeInt(call.arg(1) + MSGHDR_SIZE, result)) call.reply(1);
      return;
    }
    this.#settle(call, inode, result, blocking);
  }

  /** The address of the guest's own socket of that name; undefined: answered. */
  #target(call: Call, address: number, length: number): Target | undefined {
    if (length < 2 || length > SOCKADDR_UN) {
      call.fail(Errno.EINVAL);
      return undefined;
    }
    if (call.readBytes(address, length) === undefined) return undefined;
    const target = this.#targets.find(call.tid, call.scratch, length, this.#mayConnect);
    if (typeof target !== "number") return target;
    this.#context.counters.bump("sockets.unix-refused");
    call.fail(-target);
    return undefined;
  }

  /** Answers, or tries again later what would have to wait. */
  #settle(call: Call, inode: number, result: number | undefined, blocking: boolean): void {
    if (result === -Errno.EAGAIN && blocking) {
      if (this.#retries.has(call)) return;
      if (this.#retries.size < MAX_RETRIES) {
        this.#retries.set(call, inode);
        call.hold(() => this.#retries.delete(call));
        return;
      }
      this.#context.counters.bump("sockets.limit.unix-waiting");
    }
    this.#retries.delete(call);
    if (result !== undefined) call.reply(result);
  }

  /** Undefined: answered, the descriptor cannot be had. */
  #withBorrowed(call: Call, use: (fd: number) => number): number | undefined {
    const fd = call.borrow();
    if (fd < 0) {
      call.fail(fd === -Errno.EBADF ? Errno.EBADF : Errno.EACCES);
      return undefined;
    }
    const result = use(fd);
    call.giveBack(fd);
    return result;
  }
}
