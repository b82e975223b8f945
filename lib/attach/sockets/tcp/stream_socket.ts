/**
 * A TCP socket of the guest.
 *
 * Theory of operation
 *
 * The socket is in one of four phases, as Linux' `struct socket` is: idle, connecting, connected, listening. What Linux
 * calls `SS_CONNECTING` outlives the handshake: the first `connect` after a non-blocking one tells its result, and only
 * the second says EISCONN. `#told` is that difference.
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

import { AF, MSG, SHUT, SO, SOCK, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { socketError } from "../../../host/inet.ts";
import { SocketAddress } from "../../../host/structs.ts";
import { close, kill, send, shutdown } from "../../../host/sys.ts";
import { SIG } from "../../../host/constants.ts";
import type { Nic } from "../../../stack/nic.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { TcpEvent, type TcpObserver } from "../../../stack/tcp/events.ts";
import type { Instant } from "../../../stack/time.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import type { Call } from "../call.ts";
import { GuestSocket } from "../guest_socket.ts";
import { answerGet, answerSet } from "../options/access.ts";
import { type OptionOwner, OptionValues } from "../options/option.ts";
import { boundDevice, inheritDevice, SO_LINGER_TIME } from "../options/socket_level.ts";
import { errnoOf } from "./errors.ts";
import { HeldCall } from "./held_call.ts";
import { ListenGroup } from "./listen_group.ts";
import { Listening, type ListeningOwner } from "./listening.ts";
import { anyOf, bindName, connectName, portOf } from "./names.ts";
import { drain, narrow, plant, prepareNear } from "./pair.ts";
import type { Binding } from "./ports.ts";
import { type RelayEnd, type RelayOwner, StreamRelay } from "./relay.ts";
import {
  applyAllToPair,
  applyToConnection,
  applyToPair,
  connectionOptions,
  isNative,
  widenFor,
} from "./stream_options.ts";
import type { Streams } from "./streams.ts";
import { writeIdleInfo, writeTcpInfo } from "./tcp_info.ts";

/** Linux' `SOMAXCONN`. */
const SOMAXCONN = 4_096;
const IPV6_V6ONLY = 26;

type Phase = "idle" | "connecting" | "connected" | "listening";

const name = new SocketAddress();

/** A socket of type `SOCK_STREAM` and protocol TCP. */
export class StreamSocket extends GuestSocket
  implements TcpObserver, OptionOwner, RelayOwner, ListeningOwner {
  readonly values = new OptionValues();
  readonly #streams: Streams;
  #phase: Phase = "idle";
  /** The guest knows how its connect() ended. */
  #told = true;
  /** `sk_err`. */
  #error = 0;
  /** The pair has been used up: it cannot become a stream any more. */
  #spent = false;
  /** The pair is closed at our end. */
  #detached = false;
  #gone = false;
  /** Bytes of padding that wait in our end. */
  #padding = 0;
  #narrow = true;
  #binding: Binding | undefined;
  /** The port was chosen by `bind`, so it outlives the connection. */
  #connection: TcpConnection | undefined;
  #relay: StreamRelay | undefined;
  #listening: Listening | undefined;
  readonly #connecting: HeldCall[] = [];

  constructor(streams: Streams, domain: number, near: number, inode: number) {
    super(near, inode, domain, SOCK.STREAM, SOL.TCP);
    this.#streams = streams;
  }

  /** Makes the ends of a pair that was just made those of a socket without a connection. */
  prepare(near: number, far: number): void {
    prepareNear(near);
    this.#padding = narrow(far);
    this.#narrow = true;
    this.#spent = false;
    this.#detached = false;
  }

  // ── what the pair, the stack and the relay tell ──────────────────────────────────────────────────────────────

  onReady(events: number): void {
    this.#relay?.onReady(events);
  }

  closed(): void {
    // With a relay, it decides: what the guest wrote last is still to be read, and it may only have shut down.
    if (this.#relay !== undefined && !this.#detached) return;
    if (this.#gone) return;
    this.#gone = true;
    const now = this.#streams.now();
    for (const held of this.#connecting.splice(0)) held.settle().call.fail(Errno.EBADF);
    this.#stopListening(Errno.EBADF, now);
    this.#relay?.stop();
    this.#connection?.close(now);
    this.#unbind();
    this.#streams.context.supervisor.release(this);
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if (connection !== this.#connection) return;
    if (this.#phase === "connecting") {
      if ((events & TcpEvent.closed) !== 0 && connection.error !== undefined) return this.#connectFailed(now);
      if ((events & TcpEvent.established) === 0) return;
      this.#connected(now);
    }
    if ((events & TcpEvent.closed) !== 0 && connection.error !== undefined) {
      return this.#reset(connection, now);
    }
    this.#relay?.pump(now);
  }

  relayEnded(end: RelayEnd): void {
    if (end === "closed") {
      this.#relay = undefined;
      this.#connection = undefined;
      return this.closed();
    }
    this.#detach();
  }

  get resetsOnClose(): boolean {
    return this.values.get(SOL.SOCKET, SO.LINGER) === 1 && this.values.get(SOL.SOCKET, SO_LINGER_TIME) === 0;
  }

  get acceptTimeout(): number {
    return this.values.get(SOL.SOCKET, SO.RCVTIMEO) ?? 0;
  }

  /** For the guest's end at a time when the guest has not called. */
  reachGuest(): number {
    return this.#streams.context.supervisor.reach(this);
  }

  giveBack(far: number): void {
    close(far);
  }

  // ── bind, listen, accept ─────────────────────────────────────────────────────────────────────────────────────

  override bind(call: Call): void {
    const given = call.readSockaddr(call.arg(1), call.int(2));
    if (given === undefined) return;
    const address = bindName(given, call, this.domain, this.#v6Only);
    if (typeof address === "number") return void call.fail(address);
    const { stack } = this.#streams.context;
    if (!address.isUnspecified() && !stack.owns(address)) return void call.fail(Errno.EADDRNOTAVAIL);
    if (this.#phase !== "idle" || this.#binding !== undefined) return void call.fail(Errno.EINVAL);
    const binding = this.#bindingFor(address, portOf(given, call));
    if (binding === undefined) return void call.fail(Errno.EADDRINUSE);
    this.#streams.ports.add(this.#binding = binding);
    call.reply(0);
  }

  override listen(call: Call): void {
    const backlog = Math.min(call.int(1) >>> 0, SOMAXCONN);
    if (this.#phase === "listening") {
      this.#listening!.backlog = backlog;
      this.#listening!.group.setBacklog(backlog + 1);
      return void call.reply(0);
    }
    if (this.#phase !== "idle") return void call.fail(Errno.EINVAL);
    const errno = this.#ensureFreshPair(call) || this.#startListening(backlog);
    if (errno !== 0) call.fail(errno);
    else call.reply(0);
  }

  override accept(call: Call, flags: number): void {
    if (this.#listening === undefined) return void call.fail(Errno.EINVAL);
    this.#listening.accept(call, flags);
  }

  /** For {@linkcode Listening}: hands an accepted connection to the guest. */
  deliver(connection: TcpConnection, call: Call, flags: number): boolean {
    const streams = this.#streams;
    name.set(connection.remoteAddress, connection.remotePort);
    if (!call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) return false;
    const make = (near: number, inode: number, far: number) => {
      const socket = new StreamSocket(streams, this.domain, near, inode);
      socket.values.copyFrom(this.values);
      inheritDevice(this, socket);
      prepareNear(near);
      widenFor(far, socket.values);
      applyAllToPair(far, socket.values);
      socket.#narrow = false;
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
    const { binding } = { binding: this.#binding };
    if (binding !== undefined) {
      streams.ports.add(socket.#binding = { ...binding, address: connection.localAddress, listening: false });
    }
    socket.thread = call.tid;
    socket.#join(connection, streams.now());
    return true;
  }

  #startListening(backlog: number): number {
    const { ports, groups, context } = this.#streams;
    const now = this.#streams.now();
    const before = this.#binding;
    const binding = before === undefined
      ? this.#bindingFor(anyOf(this.domain), 0, true)
      : { ...before, listening: true };
    if (binding === undefined || ports.conflicts(binding, before)) return Errno.EADDRINUSE;
    const { address, port } = binding;
    const both = address.family === 6 && address.isUnspecified() && !this.#v6Only;
    const key = `${both ? "*" : address.toString()} ${port}`;
    let group = groups.get(key);
    if (group === undefined) {
      group = new ListenGroup();
      const options = connectionOptions(this);
      const failed = group.open(context.stack, both ? undefined : address, port, backlog + 1, options, now);
      if (failed !== undefined) return failed === "address-in-use" ? Errno.EADDRINUSE : errnoOf(failed);
      groups.set(key, group);
    }
    this.#listening = new Listening(this.#streams, this, group, backlog);
    group.join(this.#listening);
    if (before !== undefined) ports.remove(before);
    ports.add(this.#binding = binding);
    this.#phase = "listening";
    return 0;
  }

  #stopListening(errno: number, now: Instant): void {
    const listening = this.#listening;
    if (listening === undefined) return;
    this.#listening = undefined;
    if (!listening.close(errno, now)) return;
    const { groups } = this.#streams;
    for (const [key, group] of groups) if (group === listening.group) groups.delete(key);
  }

  // ── connect ──────────────────────────────────────────────────────────────────────────────────────────────────

  override connect(call: Call): void {
    const length = call.int(2);
    const given = call.readSockaddr(call.arg(1), length);
    if (given === undefined) return;
    if (given.rawFamily === AF.UNSPEC) return this.#disconnect(call);
    if (this.#phase === "listening") return void call.fail(Errno.EISCONN);
    if (this.#phase === "connecting") {
      if (!call.blocking) return void call.fail(Errno.EALREADY);
      return this.#wait(call);
    }
    if (this.#phase === "connected") {
      if (this.#told) return void call.fail(Errno.EISCONN);
      this.#told = true;
      return void call.reply(0);
    }
    if (!this.#told) {
      // The attempt has failed behind the caller's back.
      this.#told = true;
      return void call.fail(this.#takeError() || Errno.ECONNABORTED);
    }
    const remote = connectName(given, length, this.domain, this.#v6Only);
    if (typeof remote === "number") return void call.fail(remote);
    const port = given.port;
    const errno = this.#ensureFreshPair(call) || this.#start(remote, port);
    if (errno !== 0) return void call.fail(errno);
    if (call.blocking) return this.#wait(call);
    this.#told = false;
    call.fail(Errno.EINPROGRESS);
  }

  /** Sends the SYN. Returns an errno. */
  #start(remoteAddress: IpAddress, remotePort: number): number {
    const { context: { stack }, ports } = this.#streams;
    const now = this.#streams.now();
    const nic = this.#device();
    const bound = this.#binding;
    let source = bound !== undefined && !bound.address.isUnspecified() ? bound.address : undefined;
    if (source !== undefined && source.family !== remoteAddress.family) return Errno.ENETUNREACH;
    const path = stack.paths.resolve(remoteAddress, now, source, nic);
    if (typeof path === "string") return errnoOf(path);
    source = path.source;
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
    this.#error = 0;
    this.#connection = connection;
    this.#phase = "connecting";
    return 0;
  }

  /** Holds a blocking connect. */
  #wait(call: Call): void {
    const { supervisor } = this.#streams.context;
    const timeout = this.values.get(SOL.SOCKET, SO.SNDTIMEO) ?? 0;
    const forget = (held: HeldCall) => {
      this.#connecting.splice(this.#connecting.indexOf(held), 1);
      // The attempt goes on without its caller, as after EINTR.
      this.#told = false;
    };
    const onTimeout = (held: HeldCall) => {
      forget(held);
      held.call.fail(Errno.EINPROGRESS);
    };
    this.#connecting.push(new HeldCall(supervisor, call, 0, timeout, this.#streams.now(), onTimeout, forget));
  }

  #connected(now: Instant): void {
    this.#phase = "connected";
    this.#widen();
    drain(this.near, this.#padding);
    this.#padding = 0;
    this.#join(this.#connection!, now);
    for (const held of this.#connecting.splice(0)) {
      if (held.settle().call.reply(0)) this.#told = true;
      else this.#told = false;
    }
  }

  #connectFailed(now: Instant): void {
    const errno = errnoOf(this.#connection!.error!);
    this.#connection!.close(now);
    this.#connection = undefined;
    this.#phase = "idle";
    if (this.#binding === undefined || this.#binding.port === 0) this.#unbind();
    let heard = false;
    for (const held of this.#connecting.splice(0)) if (held.settle().call.fail(errno)) heard = true;
    if (heard) {
      this.#told = true;
      return;
    }
    this.#told = false;
    this.#error = errno;
    this.#detach();
  }

  /** `connect` to AF_UNSPEC: back to the beginning. */
  #disconnect(call: Call): void {
    const now = this.#streams.now();
    if (this.#phase === "listening") this.#stopListening(Errno.EINVAL, now);
    if (this.#phase === "connecting" || this.#phase === "connected") {
      this.#relay?.stop();
      this.#relay = undefined;
      if (this.#connection !== undefined) {
        this.#connection.observer = undefined;
        this.#connection.abort(now);
      }
      this.#connection = undefined;
      for (const held of this.#connecting.splice(0)) held.settle().call.fail(Errno.ECONNABORTED);
      // Who waits in a read is woken, as by tcp_disconnect's ECONNRESET.
      this.#spoil();
    }
    this.#phase = "idle";
    this.#told = true;
    this.#error = 0;
    call.reply(0);
  }

  /** A spent pair is replaced under the same number. Returns an errno. */
  #ensureFreshPair(call: Call): number {
    if (!this.#spent) return 0;
    const { supervisor } = this.#streams.context;
    const result = supervisor.replacePair(this, call, SOCK.STREAM, (near, far) => {
      this.prepare(near, far);
      applyAllToPair(far, this.values);
    });
    return result < 0 ? -result : 0;
  }

  // ── connected ────────────────────────────────────────────────────────────────────────────────────────────────

  #join(connection: TcpConnection, now: Instant): void {
    this.#connection = connection;
    this.#phase = "connected";
    connection.observer = this;
    const relay = new StreamRelay(this.#streams, this, connection);
    this.#relay = relay;
    if (connection.error !== undefined) return this.#reset(connection, now);
    relay.pump(now);
  }

  /** Gives the guest's end the room of a connected stream, now or as soon as it can be reached. */
  #widen(): void {
    if (!this.#narrow) return;
    const far = this.reachGuest();
    if (far < 0) return;
    widenFor(far, this.values);
    this.#narrow = false;
    close(far);
  }

  /** The connection has ended with an error: so does the stream of the guest. */
  #reset(connection: TcpConnection, _now: Instant): void {
    this.#error = errnoOf(connection.error!);
    this.#relay?.stop();
    this.#spoil();
  }

  /** Ends the guest's stream with ECONNRESET. */
  #spoil(): void {
    const far = this.reachGuest();
    if (far >= 0) {
      plant(far);
      close(far);
    } else this.#streams.context.counters.bump("sockets.tcp.quiet-reset");
    this.#detach();
  }

  #detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#spent = true;
    this.#streams.context.supervisor.detach(this);
  }

  override shutdown(call: Call): void {
    const how = call.int(1);
    if (how < 0 || how > 2) return void call.fail(Errno.EINVAL);
    const now = this.#streams.now();
    if (this.#phase === "listening") {
      if (how !== SHUT.WR) {
        this.#stopListening(Errno.EINVAL, now);
        this.#phase = "idle";
        this.#detach();
      }
      return void call.reply(0);
    }
    if (this.#phase === "connecting") {
      this.#connection!.close(now);
      this.#connection = undefined;
      this.#phase = "idle";
      this.#told = true;
      for (const held of this.#connecting.splice(0)) held.settle().call.fail(Errno.ECONNABORTED);
      this.#detach();
      return void call.reply(0);
    }
    const relay = this.#relay;
    if (relay === undefined || !this.#isAlive) return void call.fail(Errno.ENOTCONN);
    const far = call.borrow();
    if (far < 0) return void call.fail(Errno.ENOTCONN);
    if (how !== SHUT.WR) relay.readShut = true;
    if (how !== SHUT.RD) relay.writeShut = true;
    shutdown(far, how);
    close(far);
    call.reply(0);
    // The end of file is an edge of the pair, and what it means is read then.
  }

  /** Connected, and not over. */
  get #isAlive(): boolean {
    const state = this.#connection?.state;
    return this.#phase === "connected" && state !== undefined && state !== "closed" && state !== "time-wait";
  }

  // ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

  override getsockname(call: Call): void {
    const connection = this.#connection;
    if (connection !== undefined) name.set(connection.localAddress, connection.localPort);
    else if (this.#binding !== undefined) name.set(this.#binding.address, this.#binding.port);
    else name.set(anyOf(this.domain), 0);
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) call.reply(0);
  }

  override getpeername(call: Call): void {
    if (!this.#isAlive) return void call.fail(Errno.ENOTCONN);
    const connection = this.#connection!;
    name.set(connection.remoteAddress, connection.remotePort);
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) call.reply(0);
  }

  #bindingFor(address: IpAddress, port: number, listening = false): Binding | undefined {
    const { ports } = this.#streams;
    const binding: Binding = {
      address,
      port: port === 0 ? ports.pickForBind() : port,
      v6Only: this.domain === AF.INET6 && this.#v6Only,
      reuseAddress: this.values.get(SOL.SOCKET, SO.REUSEADDR) === 1,
      reusePort: this.values.get(SOL.SOCKET, SO.REUSEPORT) === 1,
      listening,
    };
    return binding.port === 0 || ports.conflicts(binding) ? undefined : binding;
  }

  #unbind(): void {
    if (this.#binding === undefined) return;
    this.#streams.ports.remove(this.#binding);
    this.#binding = undefined;
  }

  get #v6Only(): boolean {
    return this.values.get(SOL.IPV6, IPV6_V6ONLY) === 1;
  }

  #device(): Nic | undefined {
    const device = boundDevice(this);
    return device === undefined ? undefined : this.#streams.context.stack.nic(device);
  }

  // ── options ──────────────────────────────────────────────────────────────────────────────────────────────────

  override getsockopt(call: Call): void {
    if (this.#narrow && this.#phase === "connected") this.#widen();
    answerGet(call, this);
  }

  override setsockopt(call: Call): void {
    answerSet(call, this);
  }

  get listening(): boolean {
    return this.#phase === "listening";
  }

  get bound(): boolean {
    return this.#binding !== undefined || this.#phase !== "idle";
  }

  get connected(): boolean {
    return this.#phase === "connected";
  }

  hasInterface(device: string): boolean {
    return this.#streams.context.stack.nic(device) !== undefined;
  }

  takeError(): number {
    const error = this.#takeError();
    if (error !== 0) {
      // The guest's end has an error of its own, which SO_ERROR would have cleared.
      const far = this.reachGuest();
      if (far >= 0) {
        socketError(far);
        close(far);
      }
    }
    return error;
  }

  #takeError(): number {
    const error = this.#error;
    this.#error = 0;
    return error;
  }

  describe(view: DataView): number {
    if (this.#connection !== undefined) return writeTcpInfo(view, this.#connection);
    const listening = this.#listening;
    return listening === undefined
      ? writeIdleInfo(view)
      : writeIdleInfo(view, listening.available, listening.backlog);
  }

  changed(level: number, option: number): number {
    if (isNative(level, option)) {
      const far = this.reachGuest();
      if (far >= 0) {
        applyToPair(far, this.values, option);
        close(far);
      }
    } else if (level === SOL.SOCKET && option === SO.SNDBUF && !this.#narrow) {
      this.#narrow = true;
      this.#widen();
    } else if (level === SOL.SOCKET && (option === SO.REUSEADDR || option === SO.REUSEPORT)) this.#rebind();
    if (this.#connection !== undefined) {
      applyToConnection(this.#connection, this.values, level, option, this.#streams.now());
    }
    return 0;
  }

  /** Options that a binding remembers have changed. */
  #rebind(): void {
    const binding = this.#binding;
    if (binding === undefined) return;
    this.#unbind();
    this.#binding = {
      ...binding,
      reuseAddress: this.values.get(SOL.SOCKET, SO.REUSEADDR) === 1,
      reusePort: this.values.get(SOL.SOCKET, SO.REUSEPORT) === 1,
    };
    this.#streams.ports.add(this.#binding);
  }

  // ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

  override sendto(call: Call): void {
    if (this.#phase === "idle" || this.#phase === "listening") return void call.fail(Errno.EPIPE);
    const flags = call.int(3);
    const length = Math.min(call.arg(2), 65_536);
    // The address of a stream's sendto is ignored, but the pair would say EISCONN.
    if (call.readBytes(call.arg(1), length) === undefined) return;
    const far = call.borrow();
    if (far < 0) return void call.fail(Errno.EPIPE);
    const n = send(far, call.scratch.address, length, MSG.DONTWAIT | MSG.NOSIGNAL);
    close(far);
    if (n >= 0) return void call.reply(n);
    if (n === -Errno.EAGAIN && call.blocking && (flags & MSG.DONTWAIT) === 0) return this.#sendLater(call);
    if (n === -Errno.EPIPE && (flags & MSG.NOSIGNAL) === 0) kill(call.tid, SIG.PIPE);
    call.fail(-n);
  }

  /** Nobody tells us when the pair has room again: ask now and then. */
  #sendLater(call: Call): void {
    const again = () => this.sendto(call);
    if (call.open) {
      new HeldCall(this.#streams.context.supervisor, call, 0, 2_000, this.#streams.now(), again, () => {});
    }
  }

  override recvfrom(call: Call): void {
    if (this.#phase === "idle" || this.#phase === "listening") {
      return void call.fail(this.#takeError() || Errno.ENOTCONN);
    }
    // The pair's peer has no name, so the kernel writes a length of 0, as TCP does.
    call.pass();
  }

  override sendmsg(call: Call): void {
    if (this.#phase === "idle" || this.#phase === "listening") return void call.fail(Errno.EPIPE);
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

  override ioctl(call: Call): void {
    const SIOCATMARK = 0x8905;
    if (call.int(1) === SIOCATMARK) {
      if (call.writeInt(call.arg(2), 0)) call.reply(0);
    } else super.ioctl(call);
  }
}
