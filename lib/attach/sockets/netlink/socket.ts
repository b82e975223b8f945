/**
 * A netlink socket of the guest.
 *
 * Theory of operation
 *
 * The pair is one of sequenced packets. Requests come by a trapped call (`sendmsg`, `sendto` with an address) or through
 * the pair (`write`, `send`); answers are put into the pair, where `read`, `recv` and `poll` find them. A trapped receive
 * (`recvmsg`, `recvfrom` with an address) wants the sender's address as well: we borrow the guest's end for the moment
 * and receive from it with the guest's own flags, so that peeking, truncation and the order of answers are the kernel's.
 *
 * A kernel answers before `send` returns. So do we in a trapped call. A request that went through the pair is read no later
 * than the next trapped call on the socket; and a short `send` is trapped for the sake of musl, which asks by `send` and at
 * once receives with MSG_DONTWAIT (see `filter.ts`).
 *
 * Changing requests are for who may administer the network (`SocketsContext.mayAdminister`). Of a request that came through
 * the pair the kernel tells us who wrote it. Whoever has joined a group hears of changes: `announcer.ts`.
 *
 * @module
 */

import { AF, MSG, SCM, SO, SOCK, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { effectiveUser, usersAsSeenBy } from "../../../host/guest_owner.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents } from "../../../host/reactor.ts";
import { recv, send, setsockopt } from "../../../host/sys.ts";
import { askForWriter, receiveWithWriter } from "../../../host/writer.ts";
import { lazyNetworkOf } from "../../../stack/snapshot.ts";
import { type Instant, later, NEVER } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import { type Deadline, GuestSocket, type SocketsContext } from "../guest_socket.ts";
import { ControlWriter } from "../message/control.ts";
import { Message } from "../message/message.ts";
import { answerGet, answerSet } from "../options/access.ts";
import { type OptionOwner, OptionValues } from "../options/option.ts";
import { announcerOf, type Listener } from "./announcer.ts";
import { changeNetwork } from "./change/change.ts";
import { diagSockets } from "./diag_sockets.ts";
import { answerDiag } from "./inet_diag.ts";
import { NETLINK, NETLINK_OPTION } from "./numbers.ts";
import { getNetlinkOption, Groups, setNetlinkOption } from "./options.ts";
import { NetlinkPorts } from "./ports.ts";
import { answerDatagram, MAX_REQUESTS } from "./protocol.ts";
import type { Notice } from "./notices.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { type Asker, Refusal, type Request } from "./request.ts";
import { answerRoute } from "./rtnetlink.ts";

/** Bytes of `struct timeval`. */
const TIMEVAL = 16;
/** Bytes of `struct sockaddr_nl`. */
const SOCKADDR_NL = 12;
/** Longest request that is read, and longest answer: the kernel's buffers are of this order, too. */
const BUFFER = 65_536;
/** Bytes of answers that may wait because the guest does not read them; more are lost, as in a full kernel buffer. */
export const MAX_WAITING = 1_048_576;
/** The same for all netlink sockets of a guest. */
export const MAX_WAITING_ALL = 16_777_216;

const buffer = new NativeMemory(BUFFER);
const name = new NativeMemory(SOCKADDR_NL);
const scratch = new Message();
const control = new ControlWriter();

/** What the netlink sockets of one network have in common. */
interface Shared {
  /** Bytes that wait. */
  bytes: number;
  /** By protocol. */
  readonly ports: Map<number, NetlinkPorts>;
}

const shared = new WeakMap<SocketsContext, Shared>();

/** A receive that waits for an answer, at most as long as SO_RCVTIMEO says. */
class Held implements Deadline {
  timerAt: Instant = NEVER;
  timerIndex = -1;

  /** @param lengthAt of `recvmmsg`: the length goes here; else 0 */
  constructor(readonly call: Call, readonly message: Message, readonly lengthAt: number) {}

  /** Takes it off the list of those that wait. */
  forget: () => void = () => {};

  onDeadline(): void {
    this.forget();
    this.call.fail(Errno.EAGAIN);
  }
}

/** One netlink socket. */
export class NetlinkSocket extends GuestSocket implements OptionOwner, Listener {
  readonly values = new OptionValues();
  readonly listening = false;
  readonly #context: SocketsContext;
  readonly #groups = new Groups();
  readonly #waiting: Shared;
  readonly #ports: NetlinkPorts;
  /** Answers that the pair has no room for. */
  readonly #queue: Uint8Array<ArrayBuffer>[] = [];
  #queued = 0;
  #held: Held[] = [];
  /** Port id; 0: not bound yet. */
  #port = 0;
  #bound = false;
  /** Notices were lost; whoever receives is told once. */
  #overrun = false;
  #peerPort = 0;
  #peerGroups = 0;
  /** Requests so far. */
  #asked = 0;

  constructor(
    context: SocketsContext,
    near: number,
    inode: number,
    type: number,
    protocol: number,
  ) {
    super(near, inode, AF.NETLINK, type, protocol);
    this.#context = context;
    let all = shared.get(context);
    if (all === undefined) shared.set(context, all = { bytes: 0, ports: new Map() });
    this.#waiting = all;
    let ports = all.ports.get(protocol);
    if (ports === undefined) all.ports.set(protocol, ports = new NetlinkPorts());
    this.#ports = ports;
    askForWriter(near);
  }

  get port(): number {
    return this.#port;
  }

  get bound(): boolean {
    return this.#bound;
  }

  get connected(): boolean {
    return false;
  }

  takeError(): number {
    return 0;
  }

  putErrorBack(): void {}

  hasInterface(name: string): boolean {
    return this.#context.stack.nic(name) !== undefined;
  }

  describe(): number {
    return 0;
  }

  changed(): number {
    return 0;
  }

  onReady(events: number): void {
    if ((events & EpollEvents.in) !== 0) this.#drain();
    if ((events & EpollEvents.out) !== 0) this.#flush();
  }

  closed(): void {
    for (const held of this.#held.splice(0)) {
      this.#context.supervisor.setDeadline(held, NEVER);
      held.call.fail(Errno.EBADF);
    }
    this.#waiting.bytes -= this.#queued;
    this.#queued = 0;
    this.#queue.length = 0;
    this.#groups.clear();
    this.#joined();
    if (this.#bound) this.#ports.release(this.#port);
    this.#bound = false;
    this.#context.supervisor.release(this);
  }

  override bind(call: Call): void {
    const address = this.#readName(call, call.arg(1), call.int(2));
    if (address === undefined) return;
    const { port, groups } = address;
    if (this.#bound && port !== this.#port) return void call.fail(Errno.EINVAL);
    if (groups !== 0 && !this.#mayListen()) return void call.fail(Errno.ENOMEM);
    if (!this.#bound && port !== 0) {
      if (!this.#ports.take(port)) return void call.fail(Errno.EADDRINUSE);
      this.#port = port;
      this.#bound = true;
    }
    this.#bindAnyhow();
    this.#groups.first = groups;
    this.#joined();
    call.reply(0);
  }

  get listens(): boolean {
    return this.protocol === NETLINK.ROUTE && this.#groups.any;
  }

  hear(notices: readonly Notice[]): void {
    const replies = notices.filter(({ group }) => this.#groups.has(group)).map(({ bytes }) => bytes);
    if (replies.length > 0 && !this.#enqueue(replies)) this.#overrun = true;
  }

  #joined(): void {
    if (this.protocol === NETLINK.ROUTE) announcerOf(this.#context).changed(this);
  }

  #mayListen(): boolean {
    return this.protocol !== NETLINK.ROUTE || this.#groups.any || !announcerOf(this.#context).full;
  }

  override connect(call: Call): void {
    const length = call.int(2);
    if (length < 2) return void call.fail(Errno.EINVAL);
    if (call.readBytes(call.arg(1), Math.min(length, SOCKADDR_NL)) === undefined) return;
    if (call.scratch.view.getUint16(0, true) === AF.UNSPEC) {
      this.#peerPort = this.#peerGroups = 0;
      return void call.reply(0);
    }
    const address = this.#readName(call, call.arg(1), length);
    if (address === undefined) return;
    if (address.port !== 0 || address.groups !== 0) return void call.fail(Errno.EPERM);
    this.#bindAnyhow();
    this.#peerPort = this.#peerGroups = 0;
    call.reply(0);
  }

  override getsockname(call: Call): void {
    this.#writeName(this.#port, this.#groups.first);
    if (call.writeAddress(call.arg(1), call.arg(2), name, SOCKADDR_NL)) call.reply(0);
  }

  override getpeername(call: Call): void {
    this.#writeName(this.#peerPort, this.#peerGroups);
    if (call.writeAddress(call.arg(1), call.arg(2), name, SOCKADDR_NL)) call.reply(0);
  }

  override getsockopt(call: Call): void {
    if (call.int(1) === SOL.NETLINK) return getNetlinkOption(call, this.values, this.#groups);
    answerGet(call, this);
  }

  override setsockopt(call: Call): void {
    const level = call.int(1), option = call.int(2);
    if (level === SOL.NETLINK) {
      if (option === NETLINK_OPTION.ADD_MEMBERSHIP && !this.#mayListen()) return void call.fail(Errno.ENOMEM);
      setNetlinkOption(call, this.values, this.#groups);
      return this.#joined();
    }
    // Credentials of the sender, and filters: of a kernel that says only what was asked, neither tells anything.
    if (level === SOL.SOCKET && (option === SO.PASSCRED || option === SO.ATTACH_FILTER)) {
      const value = option === SO.PASSCRED ? call.readInt(call.arg(3)) : 0;
      if (value === undefined) return;
      if (option === SO.PASSCRED) this.values.set(level, option, value === 0 ? 0 : 1);
      return void call.reply(0);
    }
    // `recv` and `read` wait in the kernel, on the guest's end.
    if (level === SOL.SOCKET && option === SO.RCVTIMEO && call.int(4) >= TIMEVAL) this.#tellPair(call);
    if (call.open) answerSet(call, this);
  }

  #tellPair(call: Call): void {
    if (call.readBytes(call.arg(3), TIMEVAL) === undefined) return;
    const far = call.borrow();
    if (far < 0) return;
    setsockopt(far, SOL.SOCKET, SO.RCVTIMEO, call.scratch.address, TIMEVAL);
    call.giveBack(far);
  }

  override send(call: Call): void {
    this.sendto(call);
  }

  override sendto(call: Call): void {
    const to = call.arg(4), length = call.int(5);
    scratch.single(call.arg(1), call.arg(2), call.int(3), to, to === 0 ? 0 : length, 0);
    this.#send(call, scratch, 0);
  }

  override sendmsg(call: Call): void {
    if (scratch.read(call, call.arg(1), call.int(2)) === 0) this.#send(call, scratch, 0);
  }

  /** Sends the first message: a program sends the others by another call, as after a partial success. */
  override sendmmsg(call: Call): void {
    if (call.int(2) === 0) return void call.reply(0);
    if (scratch.read(call, call.arg(1), call.int(3)) === 0) this.#send(call, scratch, MMSG_LENGTH);
  }

  override recvfrom(call: Call): void {
    const message = new Message();
    message.single(call.arg(1), call.arg(2), call.int(3), call.arg(4), SOCKADDR_NL, call.arg(5));
    this.#receive(new Held(call, message, 0), true);
  }

  override recvmsg(call: Call): void {
    const message = new Message();
    if (message.read(call, call.arg(1), call.int(2)) !== 0) return;
    this.#receive(new Held(call, message, 0), true);
  }

  /** Receives one message. */
  override recvmmsg(call: Call): void {
    if (call.int(2) === 0) return void call.reply(0);
    const message = new Message();
    if (message.read(call, call.arg(1), call.int(3)) !== 0) return;
    this.#receive(new Held(call, message, call.arg(1) + MMSG_LENGTH), true);
  }

  #send(call: Call, message: Message, lengthAt: number): void {
    if ((message.flags & MSG.OOB) !== 0) return void call.fail(Errno.EOPNOTSUPP);
    if (message.name !== 0) {
      const address = this.#readName(call, message.name, message.nameLength);
      if (address === undefined) return;
      // Only who may administer the network may send to others than the kernel.
      if (address.port !== 0 || address.groups !== 0) return void call.fail(Errno.EPERM);
    }
    const { length } = message;
    if (length === 0) return void call.fail(Errno.ENODATA);
    if (length > BUFFER) return void call.fail(Errno.EMSGSIZE);
    this.#drain();
    if (!message.gather(call, buffer.address)) return;
    this.#answer(length, call.tid);
    if (lengthAt !== 0 && !call.writeInt(call.arg(1) + lengthAt, length)) return;
    call.reply(lengthAt === 0 ? length : 1);
  }

  /** Answers the requests in the first `length` bytes of the buffer, which `thread` has sent. */
  #answer(length: number, thread: number): void {
    this.#bindAnyhow();
    if (!this.#hasRoom()) return;
    const requests = buffer.bytes.slice(0, length);
    this.#enqueue(
      answerDatagram(requests, this.#asker(thread), (request, out) => this.#dispatch(request, out, thread)),
    );
  }

  /** False, and counted: too much waits for the guest to read it. */
  #hasRoom(): boolean {
    if (this.#queued <= MAX_WAITING && this.#waiting.bytes <= MAX_WAITING_ALL) return true;
    this.#context.counters.bump("sockets.limit.netlink-waiting");
    return false;
  }

  #enqueue(replies: readonly Uint8Array<ArrayBuffer>[]): boolean {
    if (!this.#hasRoom()) return false;
    for (const reply of replies) {
      this.#queue.push(reply);
      this.#queued += reply.length;
      this.#waiting.bytes += reply.length;
    }
    this.#flush();
    this.#serve();
    return true;
  }

  #dispatch(request: Request, out: ReplyWriter, thread: number): ReturnType<typeof answerRoute> {
    const { stack, reactor } = this.#context;
    this.#asked++;
    if (this.protocol === NETLINK.SOCK_DIAG) {
      return answerDiag(request, () => diagSockets(this.#context, usersAsSeenBy(thread)), out);
    }
    return answerRoute(
      request,
      lazyNetworkOf(stack, reactor.now() as Instant),
      out,
      (change) => this.#change(change, thread),
    );
  }

  #change(request: Request, thread: number): Refusal | undefined {
    const { mayAdminister, stack, counters, reactor, fixedInterfaces } = this.#context;
    if (!mayAdminister(thread)) return new Refusal(Errno.EPERM);
    const now = reactor.now() as Instant;
    const refusal = changeNetwork(request, { stack, counters, now, fixedInterfaces });
    if (refusal === undefined) announcerOf(this.#context).announce(request);
    return refusal;
  }

  #asker(thread: number): Asker {
    const option = (number: number) => this.values.get(SOL.NETLINK, number) === 1;
    return {
      port: this.#port >>> 0,
      strict: option(NETLINK_OPTION.GET_STRICT_CHK),
      extendedAck: option(NETLINK_OPTION.EXT_ACK),
      capAck: option(NETLINK_OPTION.CAP_ACK),
      get uid() {
        return effectiveUser(thread);
      },
    };
  }

  /** Reads requests that came through the pair. */
  #drain(): void {
    const until = this.#asked + MAX_REQUESTS;
    for (let i = 0; i < DRAIN_LIMIT && this.#asked < until; i++) {
      const { length, process } = receiveWithWriter(this.near, buffer.address, BUFFER);
      if (length <= 0) return;
      this.#answer(length, process);
    }
    this.#context.reactor.defer({ run: () => this.#drain() });
  }

  /** Moves answers into the pair as far as it has room. */
  #flush(): void {
    let sent = 0;
    for (; sent < this.#queue.length; sent++) {
      const reply = this.#queue[sent]!;
      buffer.bytes.set(reply);
      const result = send(this.near, buffer.address, reply.length, MSG.DONTWAIT | MSG.NOSIGNAL);
      if (result === -Errno.EAGAIN) break;
      this.#queued -= reply.length;
      this.#waiting.bytes -= reply.length;
    }
    this.#queue.splice(0, sent);
  }

  /** Lets the receives that wait try again. */
  #serve(): void {
    for (const held of this.#held.splice(0)) {
      if (held.call.open) this.#receive(held, false);
    }
  }

  #receive(held: Held, first: boolean): void {
    const { call, message, lengthAt } = held;
    const { flags } = message;
    if ((flags & MSG.OOB) !== 0) return void call.fail(Errno.EOPNOTSUPP);
    if (first) this.#drain();
    if (this.#overrun) {
      this.#overrun = false;
      if (!first) this.#context.supervisor.setDeadline(held, NEVER);
      return void call.fail(Errno.ENOBUFS);
    }
    const room = Math.min(message.length, BUFFER);
    const far = call.borrow();
    if (far < 0) return void call.fail(Errno.EBADF);
    // It stays until it has been written: a thread that is interrupted meanwhile comes again.
    const result = recv(far, buffer.address, room, MSG.PEEK | MSG.TRUNC | MSG.DONTWAIT);
    call.giveBack(far);
    if (result === -Errno.EAGAIN) {
      if ((flags & MSG.DONTWAIT) !== 0 || !call.blocking) return void call.fail(Errno.EAGAIN);
      return this.#hold(held, first);
    }
    if (!first) this.#context.supervisor.setDeadline(held, NEVER);
    if (result < 0) return void call.fail(-result);
    const length = Math.min(result, room);
    this.#writeName(0, 0);
    if (!message.scatter(call, buffer.address, length)) return;
    if (message.name !== 0 && !call.writeAddress(message.name, message.nameLengthAt, name, SOCKADDR_NL)) {
      return;
    }
    this.#control(message);
    const told = (result > length ? MSG.TRUNC : 0) | control.flags;
    if (!message.finish(call, control.memory, control.length, told)) return;
    const value = (flags & MSG.TRUNC) !== 0 ? result : length;
    if (lengthAt !== 0 && !call.writeInt(lengthAt, value)) return;
    if ((flags & MSG.PEEK) === 0) this.#consume(call);
    call.reply(lengthAt === 0 ? value : 1);
    this.#flush();
  }

  #consume(call: Call): void {
    const far = call.borrow();
    if (far < 0) return;
    recv(far, buffer.address, 0, MSG.DONTWAIT);
    call.giveBack(far);
  }

  #hold(held: Held, first: boolean): void {
    const { supervisor, reactor } = this.#context;
    const timeout = this.values.get(SOL.SOCKET, SO.RCVTIMEO) ?? 0;
    if (timeout < 0) return void held.call.fail(Errno.EAGAIN);
    this.#held.push(held);
    if (!first) return;
    held.forget = () => {
      supervisor.setDeadline(held, NEVER);
      this.#held = this.#held.filter((other) => other !== held);
    };
    held.call.hold(held.forget);
    if (timeout > 0) supervisor.setDeadline(held, later(reactor.now() as Instant, timeout));
  }

  /** What the socket has asked to be told with each message. */
  #control(message: Message): void {
    control.begin(message.controlLength);
    if (this.values.get(SOL.NETLINK, NETLINK_OPTION.PKTINFO) === 1) {
      control.addInt(SOL.NETLINK, NETLINK_OPTION.PKTINFO, 0);
    }
    if (this.values.get(SOL.SOCKET, SO.PASSCRED) === 1) {
      const at = control.add(SOL.SOCKET, SCM.CREDENTIALS, 12); // The kernel: process 0, user 0, group 0.
      if (at >= 0) control.memory.bytes.fill(0, at, at + 12);
    }
  }

  #readName(call: Call, from: number, length: number): { port: number; groups: number } | undefined {
    if (length < SOCKADDR_NL) return void call.fail(Errno.EINVAL) as undefined;
    if (call.readBytes(from, SOCKADDR_NL) === undefined) return undefined;
    const { view } = call.scratch;
    if (view.getUint16(0, true) !== AF.NETLINK) return void call.fail(Errno.EINVAL) as undefined;
    return { port: view.getInt32(4, true), groups: view.getUint32(8, true) };
  }

  #writeName(port: number, groups: number): void {
    name.view.setUint16(0, AF.NETLINK, true);
    name.view.setUint16(2, 0, true);
    name.view.setInt32(4, port, true);
    name.view.setUint32(8, groups, true);
  }

  #bindAnyhow(): void {
    if (this.#bound) return;
    this.#port = this.#ports.takeAny(this.thread);
    this.#bound = true;
  }
}

/** Datagrams of requests read from the pair before others have their turn. */
const DRAIN_LIMIT = 16;
/** Offset of the length in `struct mmsghdr`. */
const MMSG_LENGTH = 56;

/** Opens netlink sockets. */
export function openNetlink(
  context: SocketsContext,
  call: Call,
  request: {
    readonly domain: number;
    readonly type: number;
    readonly protocol: number;
    readonly cloexec: boolean;
    readonly nonblock: boolean;
  },
): boolean {
  const { domain, type, protocol, cloexec, nonblock } = request;
  if (domain !== AF.NETLINK) return false;
  if (type !== SOCK.RAW && type !== SOCK.DGRAM) call.fail(Errno.ESOCKTNOSUPPORT);
  else if (protocol !== NETLINK.ROUTE && protocol !== NETLINK.SOCK_DIAG) call.fail(Errno.EPROTONOSUPPORT);
  else {
    const make = (near: number, inode: number) => new NetlinkSocket(context, near, inode, type, protocol);
    context.supervisor.openPair(SOCK.SEQPACKET, make, call, cloexec, nonblock);
  }
  return true;
}
