/**
 * A TCP socket of the guest that a socket of the host stands for.
 *
 * Theory of operation
 *
 * Until it is connected or listens nobody can tell where it will lead, so it is an ordinary {@linkcode StreamSocket} that
 * gets a socket of the host when it needs one: when it connects to something outside, or is bound to a port that is
 * published. What stays inside remains the stack's, to the end.
 *
 * ```text
 *   guest ══ pair ══ near ── splice ── pipe ── splice ── socket of the host
 * ```
 *
 * @module
 */

import { AF, IPPROTO, SHUT, SOCK, SOL, TCP } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { bindTo, connectTo, localAddress, peerAddress, socketError } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents } from "../../../host/reactor.ts";
import { SocketAddress, writeSockaddr } from "../../../host/structs.ts";
import { close, getsockopt, listen, shutdown, socket } from "../../../host/sys.ts";
import type { FlowFacts, SocketFacts } from "../../../stack/facts.ts";
import { SECOND } from "../../../stack/time.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import type { Call } from "../call.ts";
import { Listening, type ListeningOwner } from "../tcp/listening.ts";
import { bindName, portOf } from "../tcp/names.ts";
import { drain, prepareNear } from "../tcp/pair.ts";
import { applyAllToPair, widenFor } from "../tcp/stream_options.ts";
import { StreamSocket } from "../tcp/stream_socket.ts";
import type { Streams } from "../tcp/streams.ts";
import { fitting } from "./fitting.ts";
import { type HostArrival, HostListener } from "./host_listener.ts";
import { tellHost, tellHostAll } from "./host_options.ts";
import { HostRelay, type HostRelayOwner, resetOnClose } from "./host_relay.ts";
import { type BoundOnHost, type HostFlow, type HostNetwork, type Place, placeText } from "./network.ts";
import { Pipes } from "./pipes.ts";
import { socketFacts } from "./socket_facts.ts";

const SOMAXCONN = 4_096;
const WATCHED = EpollEvents.in | EpollEvents.out | EpollEvents.pri | EpollEvents.rdhup | EpollEvents.et;
/** Bytes of `struct tcp_info` as far as programs know it. */
const TCP_INFO_SIZE = 256;

const name = new SocketAddress();
const info = new NativeMemory(TCP_INFO_SIZE + 8);

/** Who shares what: the host's network, and the pipes that bytes go through. */
export interface Impersonation {
  readonly network: HostNetwork;
  readonly pipes: Pipes;
}

const shared = new WeakMap<HostNetwork, Impersonation>();

/** What the impersonated streams of a network share. */
export function impersonationOf(network: HostNetwork): Impersonation {
  let one = shared.get(network);
  if (one === undefined) shared.set(network, one = { network, pipes: new Pipes() });
  return one;
}

/** A socket of type `SOCK_STREAM` whose other end is outside of the guest. */
export class ImpersonatedStream extends StreamSocket implements HostRelayOwner, HostFlow {
  readonly #shared: Impersonation;
  /** The host's socket; −1: none. */
  #host = -1;
  #since = 0;
  #incoming = false;
  /** What the host's socket is bound to on the guest's behalf. */
  #published: BoundOnHost | undefined;
  /** As the guest has named it. */
  #boundTo: Place | undefined;
  /** Bound to an address that only the host has: nothing may listen there. */
  #sourceOnly = false;
  #named: Place | undefined;
  #hostRelay: HostRelay | undefined;
  #accepting: Listening<HostArrival, HostListener> | undefined;

  constructor(shared: Impersonation, streams: Streams, domain: number, near: number, inode: number) {
    super(streams, domain, near, inode);
    this.#shared = shared;
  }

  get host(): number {
    return this.#host;
  }

  // ── bind, listen, accept ─────────────────────────────────────────────────────────────────────────────────────

  override bind(call: Call): void {
    if (this.#host >= 0) return void call.fail(Errno.EINVAL);
    const given = call.readSockaddr(call.arg(1), call.int(2));
    if (given === undefined) return;
    const address = bindName(given, call, this.domain, this.v6Only);
    if (typeof address === "number") return void call.fail(address);
    if (this.phase !== "idle" || this.binding !== undefined) return void call.fail(Errno.EINVAL);
    const port = portOf(given, call);
    const { network } = this.#shared;
    const place = network.publishedAs("tcp", address, port, this.domain === AF.INET);
    if (place !== undefined) return this.#bindPublished(call, place, { address, port });
    const inside = address.isUnspecified() || this.streams.context.stack.owns(address) ||
      address.isLoopback();
    if (inside) return super.bind(call);
    // An address of the host's: good for connections that leave from it.
    const errno = this.#open() || -Math.min(this.#bindHost(address, 0, given.scope), 0);
    if (errno !== 0) return this.#refuse(call, errno);
    this.#sourceOnly = true;
    this.#boundTo = { address, port };
    call.reply(0);
  }

  #bindPublished(call: Call, place: Place, named: Place): void {
    let errno = this.#open() || -Math.min(this.#bindHost(place.address, place.port, 0), 0);
    if (errno === Errno.EADDRINUSE && this.#shared.network.settle("tcp", place.port)) {
      errno = -Math.min(this.#bindHost(place.address, place.port, 0), 0);
    }
    if (errno !== 0) return this.#refuse(call, errno);
    localAddress(this.#host, name);
    const port = named.port === 0 ? name.port : named.port;
    this.#boundTo = { address: named.address, port };
    this.#published = {
      protocol: "tcp",
      guestPort: port,
      place: { address: place.address, port: name.port },
      settle: () => this.settle(),
    };
    this.#shared.network.bound(this.#published);
    call.reply(0);
  }

  override listen(call: Call): void {
    const { network } = this.#shared;
    const backlog = Math.min(call.int(1) >>> 0, SOMAXCONN);
    if (this.#accepting !== undefined) {
      this.#accepting.backlog = backlog;
      listen(this.#host, backlog);
      return void call.reply(0);
    }
    if (this.#host < 0) {
      const anywhere = new IpAddress(
        this.domain === AF.INET ? 4 : 6,
        0,
        0,
        this.domain === AF.INET ? 0xffff : 0,
        0,
      );
      if (this.phase !== "idle" || this.binding !== undefined || !network.config.publishAll) {
        return super.listen(call);
      }
      const errno = this.#open() || -Math.min(this.#bindHost(anywhere, 0, 0), 0);
      if (errno !== 0) return this.#refuse(call, errno);
      localAddress(this.#host, name);
      this.#boundTo = { address: anywhere, port: name.port };
      this.#published = {
        protocol: "tcp",
        guestPort: name.port,
        place: this.#boundTo,
        settle: () => this.settle(),
      };
      network.bound(this.#published);
    }
    if (this.phase !== "idle") return void call.fail(Errno.EINVAL);
    if (this.#sourceOnly) {
      network.counters.bump("tsi.policy.not-published");
      return void call.fail(Errno.EACCES);
    }
    const errno = this.ensureFreshPair(call) || -Math.min(listen(this.#host, backlog), 0);
    if (errno !== 0) return void call.fail(errno);
    const source = new HostListener(this.#host, this.streams.context.reactor, network);
    source.member = this.#accepting = new Listening(this.streams, new AcceptingSide(this), source, backlog);
    this.phase = "listening";
    call.reply(0);
    source.onReady();
  }

  override accept(call: Call, flags: number): void {
    if (this.#accepting === undefined) super.accept(call, flags);
    else this.#accepting.accept(call, flags);
  }

  /** For {@linkcode AcceptingSide}: hands a connection to the guest. */
  deliverArrival(arrival: HostArrival, call: Call, flags: number): boolean {
    const v6 = this.domain === AF.INET6;
    if (!call.writeSockaddr(call.arg(1), call.arg(2), arrival.peer, v6)) return false;
    const make = (near: number, inode: number, far: number) => {
      const socket = new ImpersonatedStream(this.#shared, this.streams, this.domain, near, inode);
      socket.values.copyFrom(this.values);
      prepareNear(near);
      widenFor(far, socket.values);
      applyAllToPair(far, socket.values);
      socket.isNarrow = false;
      return socket;
    };
    const cloexec = (flags & SOCK.CLOEXEC) !== 0, nonblock = (flags & SOCK.NONBLOCK) !== 0;
    const { supervisor } = this.streams.context;
    const socket = supervisor.openPair(SOCK.STREAM, make, call, cloexec, nonblock) as
      | ImpersonatedStream
      | undefined;
    if (socket === undefined) return false;
    socket.thread = call.tid;
    socket.#adopt(arrival.fd, this.#boundTo);
    return true;
  }

  /** Takes over a connection of the host that has come in. */
  #adopt(fd: number, boundTo: Place | undefined): void {
    this.#host = fd;
    this.#since = this.streams.now();
    this.#incoming = true;
    this.#boundTo = boundTo;
    this.#shared.network.flows.add(this);
    this.#watch();
    this.phase = "connected";
    this.#relay();
  }

  // ── connect ──────────────────────────────────────────────────────────────────────────────────────────────────

  override start(remote: IpAddress, port: number): number {
    const { network } = this.#shared;
    const isInside = (address: IpAddress, at: number) =>
      this.#host < 0 && this.streams.context.stack.tcp.isListening(address, at);
    const destination = network.destination("tcp", remote, port, isInside);
    if (destination.to === "nowhere") return destination.errno;
    if (destination.to === "inside" && this.#host < 0) return super.start(remote, port);
    const { place } = destination.to === "host" ? destination : { place: { address: remote, port } };
    if (destination.to === "inside") return Errno.ECONNREFUSED;
    const fresh = this.#host < 0;
    const errno = fresh ? this.#open() || this.#bindSource(remote) : 0;
    const result = errno !== 0
      ? -errno
      : connectTo(this.#host, fitting(place.address, this.domain), place.port);
    if (result < 0 && result !== -Errno.EINPROGRESS) {
      if (fresh) this.#closeHost();
      return -result;
    }
    this.#named = { address: remote, port };
    this.#since = this.streams.now();
    this.pendingError = 0;
    this.phase = "connecting";
    this.#watch();
    return 0;
  }

  /** A source address that was asked for; a port is not, for nobody listens on it. */
  #bindSource(remote: IpAddress): number {
    const bound = this.binding?.address;
    if (bound === undefined || bound.isUnspecified()) return 0;
    if (bound.family !== remote.family) return Errno.ENETUNREACH;
    return -Math.min(this.#bindHost(bound, 0, 0), 0);
  }

  /** What the reactor reports of the pair. */
  override onReady(events: number): void {
    if (this.#hostRelay === undefined) super.onReady(events);
    else this.#hostRelay.nearReady(events);
  }

  #onHost(events: number): void {
    if (this.phase === "connecting") {
      if ((events & (EpollEvents.out | EpollEvents.err | EpollEvents.hup)) === 0) return;
      const errno = socketError(this.#host);
      if (errno !== 0) return this.#connectFailed(errno);
      this.#established();
    }
    this.#hostRelay?.hostReady(events);
  }

  #established(): void {
    this.phase = "connected";
    this.widen();
    drain(this.near, this.padding);
    this.padding = 0;
    this.#relay();
    for (const held of this.waiters.splice(0)) this.told = held.settle().call.tryReply(0);
  }

  #connectFailed(errno: number): void {
    this.#closeHost();
    this.phase = "idle";
    let heard = false;
    for (const held of this.waiters.splice(0)) if (held.settle().call.tryFail(errno)) heard = true;
    this.told = heard;
    if (heard) return;
    this.pendingError = errno;
    this.detach();
  }

  #relay(): void {
    this.#hostRelay = new HostRelay(this.streams.context, this.#shared.pipes, this);
    this.#hostRelay.pump();
  }

  override disconnect(call: Call): void {
    if (this.#host < 0) return super.disconnect(call);
    const active = this.phase === "connecting" || this.phase === "connected";
    if (active) resetOnClose(this.#host);
    this.#closeHost();
    for (const held of this.waiters.splice(0)) held.settle().call.fail(Errno.ECONNABORTED);
    if (active || this.phase === "listening") this.spoil();
    this.phase = "idle";
    this.told = true;
    this.pendingError = 0;
    call.reply(0);
  }

  override shutdown(call: Call): void {
    const how = call.int(1);
    if (this.#host < 0 || how < 0 || how > 2) return super.shutdown(call);
    if (this.phase === "listening" && how === SHUT.WR) return void call.reply(0);
    if (this.phase === "listening" || this.phase === "connecting") {
      this.#closeHost();
      this.phase = "idle";
      this.told = true;
      for (const held of this.waiters.splice(0)) held.settle().call.fail(Errno.ECONNABORTED);
      this.detach();
      return void call.reply(0);
    }
    const relay = this.#hostRelay;
    const far = relay === undefined || relay.over ? -1 : call.borrow();
    if (relay === undefined || far < 0) return void call.fail(Errno.ENOTCONN);
    if (how !== SHUT.WR) relay.readShut = true;
    if (how !== SHUT.RD) relay.writeShut = true;
    shutdown(far, how);
    close(far);
    call.reply(0);
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

  override closed(): void {
    // What the guest wrote last is still to be passed on.
    if (this.#hostRelay !== undefined && !this.#hostRelay.over && !this.detached) return;
    this.#closeHost();
    super.closed();
  }

  hostRelayEnded(end: "closed" | "finished" | "failed", errno: number): void {
    if (end === "failed") {
      this.pendingError = errno;
      this.#closeHost();
      return this.spoil();
    }
    this.#closeHost();
    if (end === "finished") return this.detach();
    super.closed();
  }

  protected override get isAlive(): boolean {
    if (this.#host < 0) return super.isAlive;
    return this.phase === "connected" && this.#hostRelay?.over === false;
  }

  override get bound(): boolean {
    return this.#host >= 0 || super.bound;
  }

  // ── names and options ────────────────────────────────────────────────────────────────────────────────────────

  override getsockname(call: Call): void {
    if (this.#host < 0 && this.#boundTo === undefined) return super.getsockname(call);
    if (this.#host >= 0) localAddress(this.#host, name);
    else name.set(this.#boundTo!.address, this.#boundTo!.port);
    // A port that was asked for is the guest's name for whatever the host has given instead.
    const asked = this.#boundTo?.port ?? this.binding?.port ?? 0;
    if (asked !== 0) name.port = asked;
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) call.reply(0);
  }

  override getpeername(call: Call): void {
    if (this.#host < 0) return super.getpeername(call);
    if (!this.#peer()) return void call.fail(Errno.ENOTCONN);
    if (call.writeSockaddr(call.arg(1), call.arg(2), name, this.domain === AF.INET6)) call.reply(0);
  }

  override peerName(view: DataView): number {
    if (this.#host < 0) return super.peerName(view);
    return this.#peer() ? writeSockaddr(view, 0, name, name.port) : -Errno.ENOTCONN;
  }

  /** The peer into `name`, as the guest has named it. */
  #peer(): boolean {
    if (!this.isAlive || !peerAddress(this.#host, name)) return false;
    if (this.#named !== undefined) name.set(this.#named.address, this.#named.port);
    return true;
  }

  override describe(view: DataView): number {
    if (this.#host < 0) return super.describe(view);
    info.view.setInt32(TCP_INFO_SIZE, Math.min(view.byteLength, TCP_INFO_SIZE), true);
    const result = getsockopt(this.#host, SOL.TCP, TCP.INFO, info.address, info.address + TCP_INFO_SIZE);
    const length = result < 0 ? 0 : info.view.getInt32(TCP_INFO_SIZE, true);
    for (let i = 0; i < length; i++) view.setUint8(i, info.view.getUint8(i));
    return length;
  }

  override changed(level: number, option: number): number {
    if (this.#host >= 0) tellHost(this.#host, this, level, option);
    return super.changed(level, option);
  }

  // ── the host's socket ────────────────────────────────────────────────────────────────────────────────────────

  /** Makes it. Returns an errno. */
  #open(): number {
    const { network } = this.#shared;
    if (!network.take()) return Errno.ENFILE;
    const fd = socket(this.domain, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, IPPROTO.TCP);
    if (fd < 0) {
      network.give();
      // Our own descriptors have run out, not the guest's.
      return fd === -Errno.EMFILE ? Errno.ENFILE : -fd;
    }
    this.#host = fd;
    network.flows.add(this);
    tellHostAll(fd, this);
    return 0;
  }

  #closeHost(): void {
    const fd = this.#host;
    if (fd < 0) return;
    this.#accepting?.close(Errno.EINVAL, this.streams.now());
    this.#accepting = undefined;
    this.#hostRelay?.stop();
    this.#host = -1;
    this.streams.context.reactor.forget(fd);
    close(fd);
    const { network } = this.#shared;
    network.give();
    network.flows.delete(this);
    if (this.#published !== undefined) network.unbound(this.#published);
    this.#published = undefined;
  }

  #watch(): void {
    this.streams.context.reactor.add(this.#host, WATCHED, { onReady: (events) => this.#onHost(events) });
  }

  /** 0 or −errno. */
  #bindHost(address: IpAddress, port: number, scope: number): number {
    return bindTo(this.#host, fitting(address, this.domain), port, scope);
  }

  #refuse(call: Call, errno: number): void {
    this.#closeHost();
    call.fail(errno);
  }

  // ── for `ss` and the log ─────────────────────────────────────────────────────────────────────────────────────

  facts(now: number): FlowFacts | undefined {
    if (this.#host < 0 || !localAddress(this.#host, name)) return undefined;
    name.port = this.#shared.network.guestPort("tcp", name);
    const local = textOf(name);
    if (!peerAddress(this.#host, name)) return undefined;
    const host = textOf(name);
    const named = this.#named;
    return {
      protocol: "tcp",
      direction: this.#incoming ? "in" : "out",
      guest: local,
      destination: named === undefined ? host : placeText(named.address, named.port),
      host,
      state: this.#hostRelay?.orphaned === true ? "closing" : "established",
      bytesOut: this.#hostRelay?.bytesOut ?? 0,
      bytesIn: this.#hostRelay?.bytesIn ?? 0,
      age: Math.max(0, Math.floor((now - this.#since) / SECOND)),
    };
  }

  socket(): SocketFacts | undefined {
    if (this.#host < 0 || !localAddress(this.#host, name)) return undefined;
    const peer = new SocketAddress();
    const state = this.describe(new DataView(new ArrayBuffer(8))) > 0 ? info.view.getUint8(0) : 0;
    return socketFacts("tcp", state, name, peerAddress(this.#host, peer) ? peer : undefined);
  }

  unsent(): number {
    return this.#hostRelay?.orphaned === true ? this.#hostRelay.bytesOut : -1;
  }
}

/** The owner of a listening half whose connections are the host's. */
class AcceptingSide implements ListeningOwner<HostArrival> {
  readonly #socket: ImpersonatedStream;

  constructor(socket: ImpersonatedStream) {
    this.#socket = socket;
  }

  get near(): number {
    return this.#socket.near;
  }
  get acceptTimeout(): number {
    return this.#socket.acceptTimeout;
  }
  deliver(arrival: HostArrival, call: Call, flags: number): boolean {
    return this.#socket.deliverArrival(arrival, call, flags);
  }
  reachGuest(): number {
    return this.#socket.reachGuest();
  }
  giveBack(far: number): void {
    this.#socket.giveBack(far);
  }
}

/** `address:port` of the host's. */
function textOf({ family, a, b, c, d, port }: SocketAddress): string {
  return placeText(new IpAddress(family, a, b, c, d), port);
}
