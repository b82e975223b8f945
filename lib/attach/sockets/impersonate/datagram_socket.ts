/**
 * A UDP socket of the guest with a socket of the host beside it.
 *
 * What stays inside goes through the guest's stack, as with every {@linkcode UdpSocket}; what leaves goes through the
 * host's socket, which is made when the first datagram leaves, or when a published port is bound. Both feed one inbox, so
 * that each datagram comes with its own true source.
 *
 * A socket whose port is not published hears from outside only those that it has written to.
 *
 * @module
 */

import { AF, IP, IPPROTO, IPV6, MSG, SOCK, SOL, UDP } from "../../../host/constants.ts";
import { realTime } from "../../../host/clock.ts";
import { QueuedError, ReceiveBatch, receiveError } from "../../../host/datagrams.ts";
import { sendAsking } from "../../../host/controlled_send.ts";
import { Errno } from "../../../host/errno.ts";
import { bindTo, connectTo, disconnect, localAddress, socketError } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { EpollEvents } from "../../../host/reactor.ts";
import { SOCKADDR_SIZE, SocketAddress, writeSockaddr } from "../../../host/structs.ts";
import { close, sendto, socket } from "../../../host/sys.ts";
import type { PacketBuffer } from "../../../stack/buffer/packet.ts";
import type { FlowFacts, SocketFacts } from "../../../stack/facts.ts";
import { SECOND } from "../../../stack/time.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";
import type { Call, CallAddress } from "../call.ts";
import type { Arrival } from "../datagram/arrival.ts";
import { orLoopback, targetErrno, toIp } from "../datagram/address.ts";
import type { SendControl } from "../datagram/send_control.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { bindName, portOf } from "../tcp/names.ts";
import { UdpPorts } from "../udp/ports.ts";
import { UdpSocket } from "../udp/udp_socket.ts";
import { fitting } from "./fitting.ts";
import { Correspondents } from "./correspondents.ts";
import { tellHost, tellHostAll } from "./host_options.ts";
import { type BoundOnHost, type HostFlow, type HostNetwork, type Place, placeText } from "./network.ts";
import { socketFacts } from "./socket_facts.ts";

/** Datagrams of one system call, calls of one turn, and room for each datagram and what is told about it. */
const BATCH = 32, BATCHES_PER_TURN = 4, ROOM = 65_536, CONTROL = 256;
const WATCHED = EpollEvents.in | EpollEvents.et;

const name = new SocketAddress();
const target = new NativeMemory(SOCKADDR_SIZE);
const quoted = new NativeMemory(ROOM);
const queued = new QueuedError();

let shared: { readonly batch: ReceiveBatch; readonly room: NativeMemory } | undefined;

/** Reused by all sockets of this thread. */
function batchOf(): NonNullable<typeof shared> {
  if (shared === undefined) {
    shared = { batch: new ReceiveBatch(BATCH, CONTROL), room: new NativeMemory(BATCH * ROOM) };
    for (let i = 0; i < BATCH; i++) shared.batch.setBuffer(i, shared.room.address + i * ROOM, ROOM);
  }
  return shared;
}

/** A UDP socket that reaches what the host reaches. */
export class ImpersonatedDatagram extends UdpSocket implements HostFlow {
  readonly #network: HostNetwork;
  /** The host's socket; −1: none yet. */
  #host = -1;
  #since = 0;
  /** As the guest has named it. */
  #boundTo: Place | undefined;
  #portAsked = false;
  #published: BoundOnHost | undefined;
  /** Whom the host's socket is connected to, by the guest's name. */
  #peer: Place | undefined;
  #peers = new Correspondents();
  /** Where the last datagram went, as the guest named it and as the host has it. */
  #last: Place | undefined;
  readonly #local = new SocketAddress();
  readonly #remote = new SocketAddress();
  #deferred = false;
  #bytesOut = 0;
  #bytesIn = 0;

  constructor(network: HostNetwork, context: SocketsContext, near: number, inode: number, domain: number) {
    super(context, near, inode, domain);
    this.#network = network;
  }

  override get bound(): boolean {
    return this.#host >= 0 || super.bound;
  }
  override get connected(): boolean {
    return this.#peer !== undefined || super.connected;
  }

  protected override localAddress(): SocketAddress {
    const boundTo = this.#boundTo;
    if (this.#host < 0) return super.localAddress();
    localAddress(this.#host, this.#local);
    const port = boundTo?.port ?? (super.bound ? super.localAddress().port : 0);
    if (port !== 0) this.#local.port = port;
    return this.#local;
  }

  protected override peerAddress(): SocketAddress | undefined {
    if (this.#peer === undefined) return super.peerAddress();
    if (this.#peer.port === 0) return undefined;
    return this.#remote.set(this.#peer.address, this.#peer.port);
  }

  // ——— bind and connect ———

  override bind(call: Call): void {
    if (this.#host >= 0) return void call.fail(Errno.EINVAL);
    const given = call.readSockaddr(call.arg(1), call.int(2));
    if (given === undefined) return;
    const address = bindName(given, call, this.domain, this.#v6only);
    if (typeof address === "number" || super.bound) return super.bind(call);
    const port = portOf(given, call);
    const place = this.#network.publishedAs("udp", address, port, this.domain === AF.INET);
    const inside = address.isUnspecified() || address.isLoopback() || address.isMulticast();
    if (place === undefined && (inside || this.context.stack.owns(address))) return super.bind(call);
    const { scope } = given;
    const where = place ?? { address, port: 0 };
    let errno = this.#open() || this.#bindHost(where, scope);
    if (errno === Errno.EADDRINUSE && this.#network.settle("udp", where.port)) {
      errno = this.#bindHost(where, scope);
    }
    if (errno !== 0) {
      this.#closeHost();
      return void call.fail(errno);
    }
    localAddress(this.#host, name);
    this.#portAsked = port !== 0;
    this.#boundTo = { address, port: port === 0 ? name.port : port };
    if (place !== undefined) {
      const bound = { address: place.address, port: name.port };
      const settle = () => void this.letGo();
      this.#published = { protocol: "udp", guestPort: this.#boundTo.port, place: bound, settle };
      this.#network.bound(this.#published);
    }
    call.reply(0);
  }

  override connect(call: Call): void {
    const given = call.readSockaddr(call.arg(1), call.int(2));
    if (given === undefined) return;
    if (given.rawFamily === AF.UNSPEC) {
      this.#disconnect();
      return super.connect(call);
    }
    if (targetErrno(given, this.domain, this.#v6only, true) !== 0) return super.connect(call);
    const { port } = given;
    const address = orLoopback(toIp(given));
    const destination = this.#network.destination("udp", address, port, this.#isInside);
    if (destination.to === "nowhere") return void call.fail(destination.errno);
    if (destination.to === "inside") {
      this.#disconnect();
      return super.connect(call);
    }
    const { place } = destination;
    const errno = this.#open() ||
      -Math.min(connectTo(this.#host, fitting(place.address, this.domain), place.port), 0);
    if (errno !== 0) return void call.fail(errno);
    this.#peer = { address, port };
    call.reply(0);
  }

  #disconnect(): void {
    if (this.#peer === undefined) return;
    this.#peer = undefined;
    // A port that `bind` did not name goes with the association.
    if (this.#published === undefined || !this.#portAsked) this.#closeHost();
    else disconnect(this.#host);
  }

  readonly #isInside = (_address: IpAddress, port: number): boolean =>
    UdpPorts.of(this.context.stack).holders(port).length > 0;

  // ——— datagrams ———

  protected override transmit(
    packet: PacketBuffer,
    given: CallAddress | undefined,
    control: SendControl,
  ): number {
    const unnamed = given === undefined || (this.domain === AF.INET6 && given.rawFamily === AF.UNSPEC);
    if (unnamed) {
      return this.#peer === undefined
        ? super.transmit(packet, given, control)
        : this.#leave(packet, undefined, control);
    }
    const last = this.#last;
    if (last !== undefined && last.port === given.port && last.address.equals(given)) {
      return this.#leave(packet, last, control);
    }
    const wrong = given.port === 0 || targetErrno(given, this.domain, this.#v6only, false) !== 0;
    if (wrong) return super.transmit(packet, given, control);
    const address = orLoopback(toIp(given));
    const destination = this.#network.destination("udp", address, given.port, this.#isInside);
    if (destination.to === "inside") return super.transmit(packet, given, control);
    if (destination.to === "nowhere") {
      packet.release();
      return -destination.errno;
    }
    const { place } = destination;
    // What a loopback address means can change with every bind.
    this.#last = address.isLoopback() ? undefined : place;
    return this.#leave(packet, place, control);
  }

  /** Sends to `place` of the host's network, or to the peer. Owns `packet`; bytes or −errno. */
  #leave(packet: PacketBuffer, place: Place | undefined, control: SendControl): number {
    const { length } = packet;
    const errno = this.takePending() || this.#open();
    const segment = control.segment;
    let result = -errno;
    if (errno === 0 && segment > 0 && length > segment) {
      for (let at = 0; at < length && result >= 0; at += segment) {
        result = this.#send(
          packet.address + packet.start + at,
          Math.min(segment, length - at),
          place,
          control,
        );
      }
    } else if (errno === 0) result = this.#send(packet.address + packet.start, length, place, control);
    packet.release();
    if (result === -Errno.EAGAIN) {
      // The host's buffer is full: lost, as a datagram may be.
      this.#network.counters.bump("tsi.udp.send-buffer-full");
      return length;
    }
    if (result < 0) return result;
    this.#bytesOut += length;
    return length;
  }

  #send(address: number, length: number, place: Place | undefined, control: SendControl): number {
    const flags = MSG.DONTWAIT | MSG.NOSIGNAL;
    let size = 0;
    if (place !== undefined) {
      if (this.#published === undefined && this.#peers.add(place.address)) {
        this.#network.counters.bump("tsi.limit.correspondents");
      }
      size = writeSockaddr(target.view, 0, fitting(place.address, this.domain), place.port);
    }
    const name = size === 0 ? 0 : target.address;
    const asks = control.source !== undefined || control.interfaceIndex > 0 || control.hopLimit >= 0 ||
      control.trafficClass >= 0;
    if (!asks) return sendto(this.#host, address, length, flags, name, size);
    const v6 = (place ?? this.#peer)?.address.family === 6;
    return sendAsking(this.#host, address, length, v6, control, name, size);
  }

  /** The host's socket is ready. */
  readonly #onHost = (events: number): void => {
    if ((events & EpollEvents.err) !== 0) this.lookForErrors();
    this.#receive();
  };

  /** Work list entry of this class or of its parent: the rest of a turn. */
  override run(): void {
    if (!this.#deferred) return super.run();
    this.#deferred = false;
    super.run();
    this.#receive();
  }

  #receive(): void {
    const { batch } = batchOf();
    for (let turn = 0; turn < BATCHES_PER_TURN; turn++) {
      if (this.#host < 0) return;
      const count = batch.receive(this.#host);
      if (count === -Errno.EAGAIN) return;
      if (count < 0) {
        // An error that an earlier datagram has brought about; what waits behind it is still there.
        this.raise(-count);
        continue;
      }
      for (let i = 0; i < count; i++) {
        if (batch.source(i, name)) this.#heard(i, name);
        if (this.released || this.#host < 0) return;
      }
      if (count < BATCH) return;
    }
    if (this.#deferred) return;
    this.#deferred = true;
    this.context.reactor.defer(this);
  }

  /** The datagram in slot `index` of the batch. */
  #heard(index: number, source: SocketAddress): void {
    const { batch, room } = batchOf();
    const length = batch.length(index);
    if (this.#published === undefined && this.#peer === undefined && !this.#peers.has(source)) {
      this.#network.counters.bump("tsi.udp.unsolicited");
      return;
    }
    let { port } = source;
    if (source.family === 4 ? source.d >>> 24 === 127 : source.a === 0 && source.d === 1) {
      port = this.#network.guestPort("udp", { port });
    }
    this.#bytesIn += length;
    const { arrival, context } = this;
    const local = this.localAddress();
    aboutArrival(batch, index, arrival, local);
    arrival.between(source, port, local, local.port);
    const packet = context.pool.take(length);
    packet.bytes.set(room.bytes.subarray(index * ROOM, index * ROOM + length), packet.start);
    packet.end += length;
    const kept = this.arrived(packet);
    packet.release();
    if (!kept) this.closed();
  }

  override takeError(): number {
    this.lookForErrors();
    return super.takeError();
  }

  /** What came back about datagrams that were sent. */
  protected override lookForErrors(): void {
    if (this.#host < 0) return;
    // What the guest has just written has its answer at once, if it is this machine that refuses.
    if (!this.released) this.onReady(EpollEvents.in);
    if (this.#host < 0) return;
    const full = this.values.get(SOL.IP, IP.RECVERR) === 1 || this.values.get(SOL.IPV6, IPV6.RECVERR) === 1;
    for (let i = 0; full && i < BATCH; i++) {
      const length = receiveError(this.#host, quoted.address, ROOM, queued);
      if (length < 0) break;
      const { errno, origin, type, code, info, destination, offender, hasOffender } = queued;
      this.errors.push({
        errno,
        origin,
        type,
        code,
        info,
        destination: new SocketAddress().set(destination, destination.port, destination.scope),
        offender: hasOffender ? new SocketAddress().set(offender, 0) : undefined,
        data: quoted.bytes.subarray(0, length),
        time: realTime(),
      });
      this.raise(errno);
    }
    const errno = socketError(this.#host);
    if (errno !== 0) this.raise(errno);
  }

  // ——— the host's socket ———

  override changed(level: number, option: number): number {
    if (this.#host >= 0) tellHost(this.#host, this, level, option);
    return super.changed(level, option);
  }

  protected override close(): void {
    this.#closeHost();
    super.close();
  }

  get #v6only(): boolean {
    return (this.values.get(SOL.IPV6, IPV6.V6ONLY) ?? 0) !== 0;
  }

  /** Makes the host's socket if there is none. Returns an errno. */
  #open(): number {
    if (this.#host >= 0) return 0;
    const network = this.#network;
    // Bound inside to the loopback: nothing leaves from there (ip_route_output).
    if (super.bound && toIp(super.localAddress()).isLoopback() && !network.config.hostLoopback) {
      return Errno.EINVAL;
    }
    if (!network.take()) return Errno.ENFILE;
    const fd = socket(this.domain, SOCK.DGRAM | SOCK.NONBLOCK | SOCK.CLOEXEC, IPPROTO.UDP);
    if (fd < 0) {
      network.give();
      return fd === -Errno.EMFILE ? Errno.ENFILE : -fd;
    }
    this.#host = fd;
    this.#since = this.now;
    tellHostAll(fd, this);
    const segment = this.values.get(SOL.UDP, UDP.SEGMENT);
    if (segment !== undefined) tellHost(fd, this, SOL.UDP, UDP.SEGMENT);
    network.flows.add(this);
    this.context.reactor.add(fd, WATCHED, { onReady: this.#onHost });
    return 0;
  }

  #closeHost(): void {
    const fd = this.#host;
    if (fd < 0) return;
    this.#host = -1;
    this.#peer = this.#last = this.#boundTo = undefined;
    this.context.reactor.forget(fd);
    close(fd);
    this.#network.give();
    this.#network.flows.delete(this);
    if (this.#published !== undefined) this.#network.unbound(this.#published);
    this.#published = undefined;
  }

  /** Returns an errno. */
  #bindHost({ address, port }: Place, scope: number): number {
    return -Math.min(bindTo(this.#host, fitting(address, this.domain), port, scope), 0);
  }

  facts(now: number): FlowFacts | undefined {
    if (this.#host < 0) return undefined;
    localAddress(this.#host, name);
    const local = placeText(toIp(name), this.#network.guestPort("udp", name));
    const far = this.#peer ?? this.#last;
    const destination = far === undefined ? "*" : placeText(far.address, far.port);
    return {
      protocol: "udp",
      direction: this.#published === undefined ? "out" : "in",
      guest: local,
      destination,
      host: destination,
      state: this.#bytesIn > 0 ? "two-way" : "one-way",
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
      age: Math.max(0, Math.floor((now - this.#since) / SECOND)),
    };
  }

  socket(): SocketFacts | undefined {
    if (this.#host < 0 || !localAddress(this.#host, name)) return undefined;
    const ESTABLISHED = 1, UNCONNECTED = 7;
    const peer = this.#peer === undefined ? undefined : this.#remote.set(this.#peer.address, this.#peer.port);
    return socketFacts("udp", peer === undefined ? UNCONNECTED : ESTABLISHED, name, peer);
  }

  unsent(): number {
    return -1;
  }
}

/** What the host tells about a datagram beside its source, because the guest has asked for it. */
function aboutArrival(batch: ReceiveBatch, index: number, arrival: Arrival, local: SocketAddress): void {
  const { view } = batch;
  arrival.interfaceIndex = 0;
  arrival.hopLimit = 64;
  arrival.trafficClass = 0;
  let at = batch.control(index, SOL.IP, IP.PKTINFO);
  if (at >= 0) {
    arrival.interfaceIndex = view.getInt32(at, true);
    local.set({ family: 4, a: 0, b: 0, c: 0xffff, d: view.getInt32(at + 8) }, local.port);
  }
  at = batch.control(index, SOL.IPV6, IPV6.PKTINFO);
  if (at >= 0) {
    readSockaddrWords(view, at, local);
    arrival.interfaceIndex = view.getInt32(at + 16, true);
  }
  at = batch.control(index, SOL.IP, IP.TTL);
  if (at < 0) at = batch.control(index, SOL.IPV6, IPV6.HOPLIMIT);
  if (at >= 0) arrival.hopLimit = view.getInt32(at, true);
  at = batch.control(index, SOL.IP, IP.TOS);
  if (at >= 0) arrival.trafficClass = view.getUint8(at);
  at = batch.control(index, SOL.IPV6, IPV6.TCLASS);
  if (at >= 0) arrival.trafficClass = view.getInt32(at, true);
}

/** The 16 bytes of an `in6_addr`; a mapped one is IPv4. */
function readSockaddrWords(view: DataView, at: number, into: SocketAddress): void {
  into.a = view.getInt32(at);
  into.b = view.getInt32(at + 4);
  into.c = view.getInt32(at + 8);
  into.d = view.getInt32(at + 12);
  into.family = into.a === 0 && into.b === 0 && into.c === 0xffff ? 4 : 6;
}
