/**
 * A TCP socket of the guest.
 *
 * Theory of operation
 *
 * The socket is in one of four phases, as Linux' `struct socket` is: idle, connecting, connected, listening. What Linux
 * calls `SS_CONNECTING` outlives the handshake: the first `connect` after a non-blocking one tells its result, and only
 * the second says EISCONN. `told` is that difference.
 *
 * ```text
 *            ┌── connect ──▶ connecting ──▶ connected ──▶ over: the pair is closed, questions are still answered
 *   idle ────┤                   └── refused … ──▶ idle again (a blocking connect)
 *            └── listen ───▶ listening             └─▶ the pair is spent; connect() brings a fresh one
 * ```
 *
 * A failed blocking connect leaves the pair as it was: its caller has the errno. A failed non-blocking one must wake
 * whoever polls, and for that our end of the pair is closed with its padding unread: POLLERR and POLLHUP; `SO_ERROR`,
 * which is trapped, then names the errno.
 *
 * @module
 */

import { AF, MSG, SHUT, SIG, SO, SOCK, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { SocketAddress } from "../../../host/structs.ts";
import { close, kill, send, shutdown } from "../../../host/sys.ts";
import type { SocketFacts } from "../../../stack/facts.ts";
import type { Nic } from "../../../stack/nic.ts";
import type { Stack } from "../../../stack/stack.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { type Instant, later, NEVER } from "../../../stack/time.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import type { Call } from "../call.ts";
import { answerGet, answerSet } from "../options/access.ts";
import { boundDevice, inheritDevice } from "../options/socket_level.ts";
import { errnoOf } from "./errors.ts";
import { HeldCall } from "./held_call.ts";
import { ListenGroup } from "./listen_group.ts";
import { Listening } from "./listening.ts";
import { anyOf, bindName, connectName, portOf } from "./names.ts";
import { prepareNear } from "./pair.ts";
import type { Binding } from "./ports.ts";
import { StreamCore } from "./stream_core.ts";
import { applyAllToPair, connectionOptions, widenFor } from "./stream_options.ts";

/** Linux' `SOMAXCONN`. */
const SOMAXCONN = 4_096;
const IPV6_V6ONLY = 26;

const name = new SocketAddress();

/** A socket of type `SOCK_STREAM` and protocol TCP. */
export class StreamSocket extends StreamCore {
  // ── bind, listen, accept ─────────────────────────────────────────────────────────────────────────────────────

  override bind(call: Call): void {
    const given = call.readSockaddr(call.arg(1), call.int(2));
    if (given === undefined) return;
    const address = bindName(given, call, this.domain, this.v6Only);
    if (typeof address === "number") return void call.fail(address);
    const { stack } = this.streams.context;
    const mayBind = stack.owns(address) || address.isMulticast() || address.isLimitedBroadcast();
    if (!address.isUnspecified() && !mayBind) return void call.fail(Errno.EADDRNOTAVAIL);
    if (this.phase !== "idle" || this.binding !== undefined) return void call.fail(Errno.EINVAL);
    const binding = this.bindingFor(address, portOf(given, call));
    if (binding === undefined) return void call.fail(Errno.EADDRINUSE);
    this.streams.ports.add(this.binding = binding);
    if (!call.tryReply(0)) this.unbind();
  }

  override listen(call: Call): void {
    const backlog = Math.min(call.int(1) >>> 0, SOMAXCONN);
    if (this.phase === "listening") {
      this.listener!.backlog = backlog;
      this.listener!.group.setBacklog(backlog + 1);
      return void call.reply(0);
    }
    if (this.phase !== "idle") return void call.fail(Errno.EINVAL);
    const errno = this.ensureFreshPair(call) || this.startListening(backlog);
    if (errno !== 0) call.fail(errno);
    else call.reply(0);
  }

  override accept(call: Call, flags: number): void {
    if (this.listener === undefined) return void call.fail(Errno.EINVAL);
    this.listener.accept(call, flags);
  }

  /** For {@linkcode Listening}: hands an accepted connection to the guest. */
  deliver(connection: TcpConnection, call: Call, flags: number): boolean {
    const streams = this.streams;
    name.set(connection.remoteAddress, connection.remotePort);
    if (!call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) return false;
    const make = (near: number, inode: number, far: number) => {
      const socket = new StreamSocket(streams, this.domain, near, inode);
      socket.values.copyFrom(this.values);
      inheritDevice(this, socket);
      prepareNear(near);
      widenFor(far, socket.values);
      applyAllToPair(far, socket.values);
      socket.isNarrow = false;
      socket.accepted = true;
      return socket;
    };
    const socket = streams.context.supervisor.openPair(
      SOCK.STREAM,
      make,
      call,
      (flags & SOCK.CLOEXEC) !== 0,
      (flags & SOCK.NONBLOCK) !== 0,
    ) as StreamSocket | undefined;
    if (socket === undefined) return false;
    const { binding } = this;
    if (binding !== undefined) {
      streams.ports.add(
        socket.binding = { ...binding, owner: socket, address: connection.localAddress, listening: false },
      );
    }
    socket.thread = call.tid;
    socket.join(connection, streams.now());
    return true;
  }

  startListening(backlog: number): number {
    const { ports, groups, context } = this.streams;
    const now = this.streams.now();
    const before = this.binding;
    const binding = before === undefined
      ? this.bindingFor(anyOf(this.domain), 0, true)
      : { ...before, listening: true };
    if (binding === undefined || ports.conflicts(binding, before)) return Errno.EADDRINUSE;
    const { address, port } = binding;
    const both = address.family === 6 && address.isUnspecified() && !this.v6Only;
    const key = `${both ? "*" : address.toString()} ${port}`;
    let group = groups.get(key);
    if (group === undefined) {
      group = new ListenGroup();
      const options = connectionOptions(this);
      const failed = group.open(context.stack, both ? undefined : address, port, backlog + 1, options, now);
      if (failed !== undefined) return failed === "address-in-use" ? Errno.EADDRINUSE : errnoOf(failed);
      groups.set(key, group);
    }
    this.listener = new Listening(this.streams, this, group, backlog);
    group.join(this.listener);
    if (before !== undefined) ports.remove(before);
    ports.add(this.binding = binding);
    this.phase = "listening";
    return 0;
  }

  // ── connect ──────────────────────────────────────────────────────────────────────────────────────────────────

  override connect(call: Call): void {
    const length = call.int(2);
    const given = call.readSockaddr(call.arg(1), length);
    if (given === undefined) return;
    if (given.rawFamily === AF.UNSPEC) return this.disconnect(call);
    if (this.phase === "listening") return void call.fail(Errno.EISCONN);
    if (this.phase === "connecting") {
      if (!call.blocking) return void call.fail(Errno.EALREADY);
      return this.hold(call);
    }
    if (this.phase === "connected") {
      if (this.told) return void call.fail(Errno.EISCONN);
      this.told = call.tryReply(0);
      return;
    }
    if (!this.told) {
      // The attempt has failed behind the caller's back.
      this.told = true;
      return void call.fail(this.fetchError() || Errno.ECONNABORTED);
    }
    const remote = connectName(given, length, this.domain, this.v6Only);
    if (typeof remote === "number") return void call.fail(remote);
    const port = given.port;
    const errno = this.ensureFreshPair(call) || this.start(remote, port);
    if (errno !== 0) return void call.fail(errno);
    if (call.blocking) return this.hold(call);
    this.told = false;
    call.fail(Errno.EINPROGRESS);
  }

  /** Sends the SYN. Returns an errno. */
  start(remoteAddress: IpAddress, remotePort: number): number {
    const { context: { stack }, ports } = this.streams;
    const now = this.streams.now();
    const nic = this.device();
    const bound = this.binding;
    let source = bound !== undefined && !bound.address.isUnspecified() ? bound.address : undefined;
    if (source !== undefined && source.family !== remoteAddress.family) return Errno.ENETUNREACH;
    const path = stack.paths.resolve(remoteAddress, now, source, nic);
    if (typeof path === "string") return errnoOf(path);
    source = path.source;
    if (path.nic === stack.loopback) ports.settleListeners(remotePort);
    const from = source;
    const localPort = bound?.port ??
      ports.pick((port) => stack.tcp.isFree(from, port, remoteAddress, remotePort));
    if (localPort === 0) return Errno.EADDRNOTAVAIL;
    const connection = stack.tcpConnect({
      localAddress: source,
      localPort,
      remoteAddress,
      remotePort,
      observer: this,
      options: connectionOptions(this),
      ...(nic !== undefined && { nic }),
    }, now);
    if (typeof connection === "string") return errnoOf(connection);
    this.pendingError = 0;
    this.connection = connection;
    this.phase = "connecting";
    return 0;
  }

  /** Holds a blocking connect. */
  hold(call: Call): void {
    const { supervisor } = this.streams.context;
    const timeout = this.values.get(SOL.SOCKET, SO.SNDTIMEO) ?? 0;
    const forget = (held: HeldCall) => {
      this.waiters.splice(this.waiters.indexOf(held), 1);
      // The attempt goes on without its caller, as after EINTR.
      this.told = false;
    };
    const onTimeout = (held: HeldCall) => {
      forget(held);
      held.call.fail(Errno.EINPROGRESS);
    };
    this.waiters.push(new HeldCall(supervisor, call, 0, timeout, this.streams.now(), onTimeout, forget));
  }

  /** `connect` to AF_UNSPEC: back to the beginning. */
  disconnect(call: Call): void {
    const now = this.streams.now();
    if (this.phase === "listening") this.stopListening(Errno.EINVAL, now);
    if (this.phase === "connecting" || this.phase === "connected") {
      this.relay?.stop();
      this.relay = undefined;
      if (this.connection !== undefined) {
        this.connection.observer = undefined;
        this.connection.abort(now);
      }
      this.connection = undefined;
      for (const held of this.waiters.splice(0)) held.settle().call.fail(Errno.ECONNABORTED);
      // Who waits in a read is woken, as by tcp_disconnect's ECONNRESET.
      this.spoil();
    }
    this.phase = "idle";
    this.told = true;
    this.pendingError = 0;
    call.reply(0);
  }

  /** A spent pair is replaced under the same number. Returns an errno. */
  ensureFreshPair(call: Call): number {
    if (!this.spent) return 0;
    const { supervisor } = this.streams.context;
    const result = supervisor.replacePair(this, call, SOCK.STREAM, (near, far) => {
      this.prepare(near, far);
      applyAllToPair(far, this.values);
    });
    return result < 0 ? -result : 0;
  }

  override shutdown(call: Call): void {
    const how = call.int(1);
    if (how < 0 || how > 2) return void call.fail(Errno.EINVAL);
    const now = this.streams.now();
    if (this.phase === "listening") {
      if (how !== SHUT.WR) {
        this.stopListening(Errno.EINVAL, now);
        this.phase = "idle";
        this.detach();
      }
      return void call.reply(0);
    }
    if (this.phase === "connecting") {
      this.connection!.close(now);
      this.connection = undefined;
      this.phase = "idle";
      this.told = true;
      for (const held of this.waiters.splice(0)) held.settle().call.fail(Errno.ECONNABORTED);
      this.detach();
      return void call.reply(0);
    }
    const relay = this.relay;
    if (relay === undefined || !this.isAlive) return void call.fail(Errno.ENOTCONN);
    const far = call.borrow();
    if (far < 0) return void call.fail(Errno.ENOTCONN);
    if (how !== SHUT.WR) relay.readShut = true;
    if (how !== SHUT.RD) relay.writeShut = true;
    shutdown(far, how);
    close(far);
    call.reply(0);
    // The end of file is an edge of the pair, and what it means is read then.
  }

  // ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

  override endpointFacts(stack: Stack): SocketFacts | undefined {
    if (stack !== this.streams.context.stack) return undefined;
    return this.connection?.facts() ?? this.listener?.group.facts();
  }

  override getsockname(call: Call): void {
    const connection = this.connection;
    if (connection !== undefined) name.set(connection.localAddress, connection.localPort);
    else if (this.binding !== undefined) name.set(this.binding.address, this.binding.port);
    else name.set(anyOf(this.domain), 0);
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) call.reply(0);
  }

  override getpeername(call: Call): void {
    if (!this.isAlive) return void call.fail(Errno.ENOTCONN);
    const connection = this.connection!;
    name.set(connection.remoteAddress, connection.remotePort);
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) call.reply(0);
  }

  bindingFor(address: IpAddress, port: number, listening = false): Binding | undefined {
    const { ports } = this.streams;
    const binding: Binding = {
      owner: this,
      address,
      port: port === 0 ? ports.pickForBind() : port,
      v6Only: this.domain === AF.INET6 && this.v6Only,
      reuseAddress: this.values.get(SOL.SOCKET, SO.REUSEADDR) === 1,
      reusePort: this.values.get(SOL.SOCKET, SO.REUSEPORT) === 1,
      listening,
    };
    return binding.port === 0 || ports.conflicts(binding) ? undefined : binding;
  }

  get v6Only(): boolean {
    return this.values.get(SOL.IPV6, IPV6_V6ONLY) === 1;
  }

  device(): Nic | undefined {
    const device = boundDevice(this);
    return device === undefined ? undefined : this.streams.context.stack.nic(device);
  }

  // ── options ──────────────────────────────────────────────────────────────────────────────────────────────────

  override getsockopt(call: Call): void {
    if (this.isNarrow && this.phase === "connected") this.widen();
    answerGet(call, this);
  }

  override setsockopt(call: Call): void {
    answerSet(call, this);
  }

  // ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

  override sendto(call: Call): void {
    const timeout = this.values.get(SOL.SOCKET, SO.SNDTIMEO) ?? 0;
    this.sendUntil(call, timeout === 0 ? NEVER : later(this.streams.now(), Math.max(timeout, 0)));
  }

  /** Sends what there is room for, or waits for some until `end`. */
  sendUntil(call: Call, end: Instant): void {
    if (this.phase === "idle" || this.phase === "listening") return void call.fail(Errno.EPIPE);
    const flags = call.int(3);
    const length = Math.min(call.arg(2), 65_536);
    // The address of a stream's sendto is ignored, but the pair would say EISCONN.
    if (call.readBytes(call.arg(1), length) === undefined) return;
    const far = call.borrow();
    if (far < 0) return void call.fail(Errno.EPIPE);
    // What does not fit goes by another call, and the mark with it.
    const urgent = length === call.arg(2) ? flags & MSG.OOB : 0;
    const n = send(far, call.scratch.address, length, urgent | MSG.DONTWAIT | MSG.NOSIGNAL);
    close(far);
    if (n >= 0) return void call.reply(n);
    const mayWait = call.blocking && (flags & MSG.DONTWAIT) === 0 && this.streams.now() < end;
    if (n === -Errno.EAGAIN && mayWait) return this.sendLater(call, end);
    if (n === -Errno.EPIPE && (flags & MSG.NOSIGNAL) === 0) kill(call.tid, SIG.PIPE);
    call.fail(-n);
  }

  /** Nobody tells us when the pair has room again: ask now and then. */
  sendLater(call: Call, end: Instant): void {
    const again = () => this.sendUntil(call, end);
    new HeldCall(this.streams.context.supervisor, call, 0, 2_000, this.streams.now(), again, () => {});
    call.timed = end !== NEVER;
  }

  override recvfrom(call: Call): void {
    if (this.phase === "idle" || this.phase === "listening") {
      return void call.fail(this.fetchError() || Errno.ENOTCONN);
    }
    // The pair's peer has no name, so the kernel writes a length of 0, as TCP does.
    call.pass();
  }

  override sendmsg(call: Call): void {
    if (this.phase === "idle" || this.phase === "listening") return void call.fail(Errno.EPIPE);
    call.pass();
  }

  override recvmsg(call: Call): void {
    if ((call.int(2) & MSG.ERRQUEUE) !== 0) return void call.fail(Errno.EAGAIN);
    this.recvfrom(call);
  }

  override sendmmsg(call: Call): void {
    this.sendmsg(call);
  }

  override recvmmsg(call: Call): void {
    this.recvfrom(call);
  }
}
