/**
 * A socket of datagrams: what UDP, ICMP and raw sockets have in common.
 *
 * Theory of operation
 *
 * ```text
 *   guest            send, write ─▶ pair ─▶ outbox ─▶ transmit()          the stack
 *                    sendto, sendmsg, sendmmsg ─────▶ transmit()
 *                    recv, read ◀── pair ◀── inbox ◀── arrived() ◀─
 *                    recvfrom, recvmsg, recvmmsg ◀────╯ (a call that waits is answered directly)
 * ```
 *
 * Datagrams wait in the pair, so that `poll`, `read` and the bound of `SO_RCVBUF` are the kernel's own work; see inbox.ts
 * for what waits beside them. How an error gets there is told in socket_in_error.ts.
 *
 * @module
 */

import { AF, MSG, SHUT, SO, SOCK, SOL } from "../../../host/constants.ts";
import { realTime } from "../../../host/clock.ts";
import { Errno } from "../../../host/errno.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents } from "../../../host/reactor.ts";
import { MMSGHDR_SIZE, Msghdr, type SocketAddress } from "../../../host/structs.ts";
import { shutdown } from "../../../host/sys.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { Counter } from "../../../stack/counters.ts";
import type { Instant } from "../../../stack/time.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import type { Call, CallAddress } from "../call.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { MAX_IOVECS, MessageFlag } from "../message/flags.ts";
import { Message } from "../message/message.ts";
import { answerGet, answerSet } from "../options/access.ts";
import type { OptionOwner } from "../options/option.ts";
import { Arrival } from "./arrival.ts";
import { SocketInError } from "./socket_in_error.ts";
import { landing } from "./inbox.ts";
import { drain, pairGone } from "./outbox.ts";
import { ReceiveBatch } from "./receive_batch.ts";
import { SendBatch } from "./send_batch.ts";
import { ANSWERED, Receive, type ReceiveOwner } from "./receive.ts";
import { setSendBuffer, setTimeLimit } from "./pair_options.ts";
import { errorControl, receiveControl, Wanted } from "./receive_control.ts";
import { nothingAsked, readSendControl, type SendControl } from "./send_control.ts";

/** Longest that any datagram can be, headers included. */
const MAX_DATAGRAM = 0xffff;

const sending = new Message();
const sendBatch = new SendBatch();
const receiveBatch = new ReceiveBatch();
const vectorCopy = new NativeMemory(MAX_IOVECS * MMSGHDR_SIZE);

/** A datagram socket of the guest. */
export abstract class DatagramSocket extends SocketInError implements OptionOwner, ReceiveOwner {
  protected readonly wanted = new Wanted();
  /** What the subclass fills in before {@linkcode arrived}. */
  protected readonly arrival = new Arrival();
  readonly #dropped: Counter;
  readonly #unaddressed: Counter;
  #waiting: Receive[] = [];
  #receive = new Receive();
  #draining = false;
  /** The guest's end, borrowed for one receive; −1. */
  #far = -1;
  /** What the last receive took; its bytes are in the landing until the next. */
  readonly #last = new Arrival();
  /** The call that reads an option, for `SO_ERROR`. */
  #asking: Call | undefined;

  constructor(
    context: SocketsContext,
    near: number,
    inode: number,
    domain: number,
    type: number,
    protocol: number,
    kind: string,
  ) {
    super(context, near, inode, domain, type, protocol);
    this.#dropped = context.counters.slot(`sockets.${kind}.receive-buffer-full`);
    this.#unaddressed = context.counters.slot(`sockets.${kind}.send-failed`);
  }

  abstract get bound(): boolean;
  abstract get connected(): boolean;
  /** Where the socket is bound, and whom it is connected to; undefined: to nobody. */
  protected abstract localAddress(): SocketAddress;
  protected abstract peerAddress(): SocketAddress | undefined;
  /** The peer, whatever `getpeername` says of it. */
  protected abstract get peerIp(): IpAddress | undefined;
  /**
   * Sends a datagram, which it owns from then on.
   *
   * @param target absent: to the peer
   * @returns bytes sent, or −errno
   */
  protected abstract transmit(
    packet: PacketBuffer,
    target: CallAddress | undefined,
    control: SendControl,
  ): number;
  /** The guest has gone: free what the stack holds for the socket. */
  protected abstract close(): void;

  get listening(): boolean {
    return false;
  }

  // ——— towards the stack ———

  override sendto(call: Call): void {
    const message = sending.single(call.arg(1), call.arg(2), call.int(3), call.arg(4), call.int(5), 0);
    this.#answer(call, this.#send(call, message));
  }

  override sendmsg(call: Call): void {
    if (sending.read(call, call.arg(1), call.int(2)) !== 0) return;
    this.#answer(call, this.#send(call, sending));
  }

  override sendmmsg(call: Call): void {
    const vector = call.arg(1), count = Math.min(call.int(2) >>> 0, MAX_IOVECS), flags = call.int(3);
    if (count === 0) return void call.reply(0);
    const headers = call.readBytes(vector, count * MMSGHDR_SIZE);
    if (headers === undefined) return;
    vectorCopy.bytes.set(headers);
    // What was written before goes first.
    if (this.connected) this.#drain();
    let done = 0;
    let result = 0;
    for (; done < count; done++) {
      const at = done * MMSGHDR_SIZE;
      const ready = (flags & MSG.OOB) !== 0
        ? 0
        : sendBatch.fetch(call, this.context.pool, vectorCopy, done, count);
      if (ready > 0) {
        result = this.#dispatch(call, sendBatch.packet(done), sendBatch.target(done), nothingAsked());
      } else {
        // What is wrong with it is for the next call to find.
        if (ready < 0 && done > 0) break;
        if (sending.readCopy(call, vectorCopy, at, vector + at, flags) !== 0) return;
        result = this.#send(call, sending);
      }
      if (result < 0) break;
      vectorCopy.view.setInt32(at + Msghdr.length, result, true);
    }
    sendBatch.release();
    if (result === ANSWERED) return;
    if (result < 0 && done === 0) return void call.fail(-result);
    if (call.writeFrom(vector, done * MMSGHDR_SIZE, vectorCopy.address)) call.reply(done);
  }

  #send(call: Call, message: Message): number {
    if ((message.flags & MSG.OOB) !== 0) return -Errno.EOPNOTSUPP;
    if (message.length > MAX_DATAGRAM) return -Errno.EMSGSIZE;
    // What was written before goes first.
    if (this.connected) this.#drain();
    const control = readSendControl(call, message, this.domain);
    if (control === undefined) return ANSWERED;
    const packet = this.context.pool.take(message.length);
    const target = message.gatherNamed(call, packet.address + packet.start);
    if (target === undefined) {
      packet.release();
      return ANSWERED;
    }
    packet.end += message.length;
    return this.#dispatch(call, packet, target ?? undefined, control);
  }

  #dispatch(
    call: Call,
    packet: PacketBuffer,
    target: CallAddress | undefined,
    control: SendControl,
  ): number {
    if ((this.shut & 2) !== 0) {
      packet.release();
      return -Errno.EPIPE;
    }
    const pending = this.errors.pending !== 0;
    const result = this.transmit(packet, target, control);
    if (pending && this.errors.pending === 0) this.withdrawMark(call);
    return result;
  }

  override onReady(events: number): void {
    if ((events & EpollEvents.out) !== 0 && this.inbox.full) this.relieved();
    if ((events & EpollEvents.in) !== 0) this.#drain();
  }

  /** Deferred: the rest of a drain. */
  run(): void {
    this.#draining = false;
    if (!this.released) this.#drain();
  }

  override drainSends(): void {
    this.#drain();
  }

  override relieved(): void {
    this.inbox.relieved();
    this.showRoom(true);
  }

  /** Tells whom it may concern whether there is room for datagrams. */
  protected showRoom(_room: boolean): void {}

  #drain(): void {
    if (this.pairError.broken) return;
    const more = drain(this.near, this.context.pool, this.#take, this.#tooLong);
    if (!more || this.#draining) return;
    this.#draining = true;
    this.context.reactor.defer(this);
  }

  readonly #take = (packet: PacketBuffer): void => {
    // An error that is pending was for this send, which has returned. It is not for what is sent: that must not be lost.
    this.errors.pending = 0;
    this.pairError.touched(this.now);
    if (this.transmit(packet, undefined, nothingAsked()) < 0) this.#unaddressed.value++;
  };

  readonly #tooLong = (): void => {
    this.#unaddressed.value++;
  };

  // ——— towards the guest ———

  override recvfrom(call: Call): void {
    const receive = this.#receive.begin(call, this, call.int(3));
    receive.message.single(call.arg(1), call.arg(2), call.int(3), call.arg(4), 0, call.arg(5));
    this.#run(receive);
  }

  override recvmsg(call: Call): void {
    const receive = this.#receive.begin(call, this, call.int(2));
    if (receive.message.read(call, call.arg(1), call.int(2)) === 0) this.#run(receive);
  }

  override recvmmsg(call: Call): void {
    const receive = this.#receive.begin(call, this, call.int(3));
    const count = Math.min(call.int(2) >>> 0, MAX_IOVECS);
    const timeout = call.arg(4);
    if (timeout !== 0) {
      if (call.readBytes(timeout, 16) === undefined) return;
      const seconds = call.scratch.getPointer(0), nanos = call.scratch.getPointer(8);
      if (nanos >= 1_000_000_000) return void call.fail(Errno.EINVAL);
      receive.until = (this.now + seconds * 1_000_000 + nanos / 1_000) as Instant;
    }
    if (count === 0) return void call.reply(0);
    if (receive.readVector(call.arg(1), count) && receive.next()) this.#run(receive);
  }

  /** Receives what there is, and waits for more if the call does. */
  #run(receive: Receive): void {
    this.#runOn(receive);
    if (this.#far < 0) return;
    receive.call.giveBack(this.#far);
    this.#far = -1;
  }

  #runOn(receive: Receive): void {
    for (;;) {
      if (this.#takeMany(receive)) {
        if (receive.done === receive.count) return void receive.reply(receive.done);
        if (!receive.next()) return;
      }
      const result = this.#take1(receive);
      if (result === ANSWERED) return;
      if (result < 0) {
        if (result === -Errno.EAGAIN && this.#mayWait(receive)) return this.#hold(receive);
        return this.#fail(receive, -result);
      }
      const complete = receive.received(result, this.now);
      if (complete >= 0) {
        if (!receive.reply(complete)) this.#undo(receive);
        return;
      }
      if (!receive.next()) return;
    }
  }

  #mayWait(receive: Receive): boolean {
    return (receive.flags & (MSG.DONTWAIT | MSG.ERRQUEUE)) === 0 && receive.call.blocking;
  }

  #hold(receive: Receive): void {
    if (receive === this.#receive) this.#receive = new Receive();
    this.#waiting.push(receive);
    receive.call.hold(() => this.#forget(receive));
    const timeout = this.values.get(SOL.SOCKET, SO.RCVTIMEO) ?? 0;
    receive.call.timed = timeout !== 0;
    if (timeout !== 0) {
      this.context.supervisor.setDeadline(receive, (this.now + Math.max(timeout, 0)) as Instant);
    }
  }

  #forget(receive: Receive): void {
    const at = this.#waiting.indexOf(receive);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.context.supervisor.setDeadline(receive, Infinity as Instant);
  }

  expired(receive: Receive): void {
    this.#forget(receive);
    this.#fail(receive, Errno.EAGAIN);
  }

  /** `recvmmsg` returns what it has; the error is for the next call. */
  #fail(receive: Receive, errno: number): void {
    if (receive.done === 0) return void receive.call.fail(errno);
    if (errno !== Errno.EAGAIN) this.errors.pending = errno;
    receive.reply(receive.done);
  }

  /** Several messages of `recvmmsg` at once, if that is possible and worth it. False: nothing was done. */
  #takeMany(receive: Receive): boolean {
    const { call } = receive;
    const special = (receive.flags & (MSG.ERRQUEUE | MSG.PEEK)) !== 0 || this.wanted.any || this.shut !== 0;
    if (receive.vector === 0 || special || this.errors.pending !== 0 || receive.until <= this.now) {
      return false;
    }
    if (!receiveBatch.prepare(receive, this.inbox.size)) return false;
    if (this.#far < 0) this.#far = call.borrow();
    if (this.#far < 0) return false;
    const count = receiveBatch.deliver(receive, this.inbox, this.#far, this.domain === AF.INET6, this.now);
    if (count < receiveBatch.taken) this.context.counters.bump("sockets.receive-interrupted");
    return count > 0;
  }

  /** One message: bytes, −errno, or {@linkcode ANSWERED}. */
  #take1(receive: Receive): number {
    const { call, message } = receive;
    if ((receive.flags & MSG.ERRQUEUE) !== 0) {
      this.lookForErrors();
      return this.#takeError(call, message);
    }
    if (this.errors.pending !== 0) return -this.takeErrorFor(call);
    const peek = (receive.flags & MSG.PEEK) !== 0;
    while (this.inbox.mayHold) {
      if (this.#far < 0) {
        this.#far = call.borrow();
        if (this.#far < 0) return this.#far;
      }
      const arrival = this.inbox.take(this.#far, peek);
      if (arrival?.marker === true && peek) this.inbox.take(this.#far, false);
      if (arrival === undefined) break;
      if (arrival.marker) continue;
      this.#last.copy(arrival);
      const result = this.#deliver(call, message, landing.address, arrival.length, arrival);
      if (call.interrupted) this.#undo(receive);
      return result;
    }
    if ((this.shut & 1) === 0 || !this.#mayWait(receive)) return -Errno.EAGAIN;
    // What would wait for ever returns at once, from nobody.
    return message.noName(call) ? 0 : ANSWERED;
  }

  /** Writes a datagram to where the call wants it: bytes, or {@linkcode ANSWERED}. */
  #deliver(call: Call, message: Message, from: number, length: number, arrival: Arrival): number {
    const copied = Math.min(length, message.length);
    call.beginWrites();
    if (!message.scatter(call, from, copied)) return ANSWERED;
    if (!message.writeName(call, arrival.source, this.domain === AF.INET6)) return ANSWERED;
    const control = receiveControl(message.controlLength, arrival, this.wanted, this.domain);
    const flags = (length > copied ? MSG.TRUNC : 0) | control.flags;
    if (!message.finish(call, control.memory, control.length, flags)) return ANSWERED;
    if (!call.endWrites()) return ANSWERED;
    return (message.flags & MSG.TRUNC) !== 0 ? length : copied;
  }

  /** The thread was interrupted at the very last moment: the datagram goes back to where it was. */
  #undo(receive: Receive): void {
    this.context.counters.bump("sockets.receive-interrupted");
    if ((receive.flags & (MSG.PEEK | MSG.ERRQUEUE)) !== 0 || receive.vector !== 0) return;
    this.inbox.putBack(this.near, this.#far, this.#last);
  }

  #takeError(call: Call, message: Message): number {
    const error = this.errors.shift();
    if (error === undefined) return -Errno.EAGAIN;
    landing.bytes.set(error.data, 0);
    const copied = Math.min(error.data.length, message.length);
    if (!message.scatter(call, landing.address, copied)) return ANSWERED;
    if (!message.writeName(call, error.destination, this.domain === AF.INET6)) return ANSWERED;
    const control = errorControl(message.controlLength, error, this.wanted, this.domain);
    const flags = MessageFlag.ERRQUEUE | control.flags | (error.data.length > copied ? MSG.TRUNC : 0);
    if (!message.finish(call, control.memory, control.length, flags)) return ANSWERED;
    if (this.errors.length === 0) {
      this.errors.pending = 0;
      this.withdrawMark(call);
    }
    return copied;
  }

  /**
   * A datagram has come; {@linkcode arrival} says where from. Does not own `packet`.
   *
   * @returns false: the guest has closed the socket, which we have not been told yet
   */
  protected arrived(packet: PacketBuffer): boolean {
    const { arrival } = this;
    const length = packet.totalLength;
    let from = packet.address + packet.start;
    if (packet.address === 0 || packet.fragments.length > 0) {
      packet.copyTo(landing.bytes);
      from = landing.address;
    }
    arrival.time = realTime();
    arrival.marker = false;
    while (this.#waiting.length > 0) {
      const receive = this.#waiting[0]!;
      const { call } = receive;
      if (!call.isValid()) {
        call.abandon();
        continue;
      }
      const result = this.#deliver(call, receive.message, from, length, arrival);
      const peeked = (receive.flags & MSG.PEEK) !== 0;
      const complete = result === ANSWERED ? ANSWERED : receive.received(result, this.now);
      if (complete === -1 && (receive.flags & MSG.DONTWAIT) !== 0) {
        this.#forget(receive);
        receive.reply(receive.done);
      } else if (complete !== -1) {
        this.#forget(receive);
        // Interrupted: it is still ours to give.
        if (complete === ANSWERED ? call.interrupted : !receive.reply(complete)) continue;
      } else if (!receive.next()) {
        this.#forget(receive);
      }
      if (!peeked) return true;
    }
    const result = this.pairError.broken
      ? this.pairError.parked.put(packet, arrival)
      : this.inbox.put(this.near, from, length, arrival);
    if (this.inbox.full) this.showRoom(false);
    if (result >= 0) return true;
    this.#dropped.value++;
    return result === -Errno.EAGAIN || !pairGone(this.near);
  }

  /** Errors may wait elsewhere, of which nobody has told us yet: {@linkcode raise} them. */
  protected lookForErrors(): void {}

  /** An error has come: the next call returns it. */
  protected raise(errno: number): void {
    this.errors.pending = errno;
    const receive = this.#waiting.shift();
    if (receive !== undefined) {
      this.context.supervisor.setDeadline(receive, Infinity as Instant);
      this.errors.pending = 0;
      this.#fail(receive, errno);
      if (this.errors.length === 0) return;
      this.errors.pending = errno;
    }
    this.showError();
  }

  takeError(): number {
    return this.#asking === undefined ? this.errors.take() : this.takeErrorFor(this.#asking);
  }

  putErrorBack(errno: number): void {
    this.errors.pending = errno;
  }

  // ——— names, options, the end ———

  override getsockname(call: Call): void {
    const local = this.localAddress();
    if (call.writeSockaddr(call.arg(1), call.arg(2), local, this.domain === AF.INET6)) call.reply(0);
  }

  override getpeername(call: Call): void {
    const peer = this.peerAddress();
    if (peer === undefined) return void call.fail(Errno.ENOTCONN);
    if (call.writeSockaddr(call.arg(1), call.arg(2), peer, this.domain === AF.INET6)) call.reply(0);
  }

  override getsockopt(call: Call): void {
    this.#asking = call;
    answerGet(call, this);
    this.#asking = undefined;
  }

  override setsockopt(call: Call): void {
    // What was sent before was sent with the options of before.
    this.#drain();
    this.#asking = call;
    answerSet(call, this);
    this.#asking = undefined;
  }

  hasInterface(name: string): boolean {
    return this.context.stack.nic(name) !== undefined;
  }

  describe(_view: DataView): number {
    return 0;
  }

  pathMtu(): number {
    const peer = this.peerIp;
    const path = peer === undefined ? undefined : this.context.stack.paths.resolve(peer, this.now);
    return path === undefined || typeof path === "string" ? 0 : path.mtu;
  }

  changed(level: number, name: number): number {
    this.wanted.refresh(this.values);
    if (level !== SOL.SOCKET) return 0;
    const value = this.values.get(level, name) ?? 0;
    switch (name) {
      case SO.RCVBUF:
        setSendBuffer(this.near, value);
        break;
      case SO.SNDBUF:
        this.#onGuestEnd((far) => setSendBuffer(far, value));
        break;
      case SO.RCVTIMEO:
      case SO.SNDTIMEO:
        this.#onGuestEnd((far) => setTimeLimit(far, name, value));
        break;
    }
    return 0;
  }

  #onGuestEnd(change: (far: number) => void): void {
    const far = this.#asking?.borrow() ?? -1;
    if (far < 0) return;
    change(far);
    this.#asking?.giveBack(far);
  }

  override shutdown(call: Call): void {
    const how = call.int(1);
    if (how !== SHUT.RD && how !== SHUT.WR && how !== SHUT.RDWR) return void call.fail(Errno.EINVAL);
    this.#drain();
    this.shut |= how + 1;
    const far = call.borrow();
    if (far >= 0) {
      shutdown(far, how);
      call.giveBack(far);
    }
    if ((this.shut & 1) !== 0) {
      for (const receive of [...this.#waiting]) {
        this.#forget(receive);
        if (receive.message.noName(receive.call)) receive.reply(receive.done);
      }
    }
    // Linux shuts a socket without a peer down, and says that it could not (inet_shutdown).
    if (this.connected) call.reply(0);
    else call.fail(Errno.ENOTCONN);
  }

  override closed(): void {
    if (this.released) return;
    this.#drain();
    this.released = true;
    for (const receive of [...this.#waiting]) {
      this.#forget(receive);
      receive.call.fail(Errno.EBADF);
    }
    this.inbox.clear();
    this.errors.clear();
    this.pairError.close();
    this.close();
    if (this.shut === 3) this.context.supervisor.detach(this);
    else this.context.supervisor.release(this);
  }

  #answer(call: Call, result: number): void {
    if (result === ANSWERED) return;
    if (result < 0) call.fail(-result);
    else call.reply(result);
  }

  /** A pair for datagrams: see guest_socket.ts for why it is not `SOCK_DGRAM`. */
  static readonly pairType: number = SOCK.SEQPACKET;
}
