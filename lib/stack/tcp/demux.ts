/**
 * The table of connections: who gets a segment, and what is answered when nobody does.
 *
 * Order of the search, as in RFC 9293 section 3.10 and Linux: a connection of that four-tuple; a request that waits for an
 * answer; a listener, the one bound to the address before the one bound to all; the forwarder; nobody, which is a RST.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { SocketFacts } from "../facts.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { IpHeader } from "../wire/ip.ts";
import { TcpFlag, type TcpHeader } from "../wire/tcp.ts";
import { TcpConnection } from "./connection.ts";
import type { ConnectionSeed } from "./connection_seed.ts";
import type { TcpContext, TcpCounters, TcpEnvironment, TcpPath } from "./context.ts";
import type { TcpError, TcpIcmpError, TcpObserver } from "./events.ts";
import { type RequestHost, type TcpForwarder, type TcpRejection, TcpRequest } from "./forwarder.ts";
import { InitialSequence } from "./isn.ts";
import { type ListenerHost, TcpListener, type TcpListenRequest } from "./listener.ts";
import { DEFAULT_TCP_OPTIONS, type TcpOptions } from "./options.ts";
import { PathMss } from "./path_mss.ts";
import { PeerSyn, windowScaleFor } from "./peer_syn.ts";
import { TcpMemory } from "./memory.ts";
import { EphemeralPorts, type PortUse } from "./ports.ts";
import { PerSecond } from "./rate_limit.ts";
import { emitOutgoing, outgoing, resetFor, segmentLength, takeHeaderBuffer } from "./segment_writer.ts";
import { seqAdd } from "./sequence.ts";
import { cookieOptions, readCookieOptions, SynCookies } from "./syn_cookie.ts";
import { TimeWaitList } from "./time_wait.ts";
import { Timestamps } from "./timestamps.ts";
import { TupleTable } from "./tuple_table.ts";

/** What `TcpDemux.connect` needs. */
export interface TcpConnectRequest {
  readonly localAddress: IpAddress;
  /** 0 or absent: an ephemeral port (RFC 6056). */
  readonly localPort?: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  readonly path: TcpPath;
  readonly observer?: TcpObserver;
  readonly options?: Partial<TcpOptions>;
}

/** Ceilings against hostile peers; every one has a counter. */
export interface TcpLimits {
  /** Connections in all; `tcp.connections-full`. */
  readonly connections: number;
  /** Connections in TIME-WAIT, at least one; `tcp.time-wait-overflow`. */
  readonly timeWait: number;
  /** Bytes in the queues of all connections; `tcp.memory-pressure`, `tcp.memory-full`. */
  readonly memory: number;
  /** SYNs that wait for the forwarder's answer; `tcp.requests-full`. */
  readonly pendingRequests: number;
  /** RSTs to segments without connection; `tcp.resets-suppressed`. */
  readonly resetsPerSecond: number;
  /** RFC 5961 section 7; `tcp.challenge-suppressed`. */
  readonly challengesPerSecond: number;
}

/** Ceilings for one guest. */
export const DEFAULT_TCP_LIMITS: TcpLimits = {
  connections: 65_536,
  timeWait: 8_192,
  memory: 256 * 1_048_576,
  pendingRequests: 4_096,
  resetsPerSecond: 1_000,
  challengesPerSecond: 1_000,
};

/** Most bytes of a SYN that are kept to be quoted: what an ICMPv6 error has room for (RFC 4443 section 2.4 (c)). */
const LONGEST_QUOTE = 1_232;

/** The table of connections. */
export class TcpDemux implements TcpContext, PortUse, ListenerHost, RequestHost {
  /** Takes SYNs that no listener takes. */
  forwarder: TcpForwarder | undefined = undefined;
  readonly pool: BufferPool;
  readonly counters: TcpCounters;
  readonly options: TcpOptions;
  readonly limits: TcpLimits;
  readonly memory: TcpMemory;
  readonly #environment: TcpEnvironment;
  readonly #connections: TupleTable<TcpConnection>;
  readonly #requests: TupleTable<TcpRequest>;
  readonly #listeners = new Map<number, TcpListener[]>();
  readonly #timeWait = new TimeWaitList<TcpConnection>();
  readonly #sequences: InitialSequence;
  readonly #ports: EphemeralPorts;
  readonly #cookies: SynCookies;
  readonly #resets: PerSecond;
  readonly #challenges: PerSecond;

  constructor(
    environment: TcpEnvironment,
    options: Partial<TcpOptions> = {},
    limits: Partial<TcpLimits> = {},
  ) {
    const random = () => environment.random();
    this.#environment = environment;
    this.pool = environment.pool;
    this.counters = environment.counters;
    this.options = { ...DEFAULT_TCP_OPTIONS, ...options };
    this.limits = { ...DEFAULT_TCP_LIMITS, ...limits };
    this.memory = new TcpMemory(this.limits.memory, this.counters);
    this.#connections = new TupleTable(random);
    this.#requests = new TupleTable(random);
    this.#sequences = new InitialSequence(random);
    this.#ports = new EphemeralPorts(random);
    this.#cookies = new SynCookies(random);
    this.#resets = new PerSecond(this.limits.resetsPerSecond);
    this.#challenges = new PerSecond(this.limits.challengesPerSecond);
  }

  // ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Active open. The connection is in SYN-SENT; its observer hears of `established`, or of `closed`. */
  connect(request: TcpConnectRequest, now: Instant): TcpConnection | TcpError {
    const local = request.localAddress.clone();
    const remote = request.remoteAddress.clone();
    const { remotePort } = request;
    if (this.#connections.size >= this.limits.connections) {
      this.counters.bump("tcp.connections-full");
      return "no-ports";
    }
    let port = request.localPort ?? 0;
    if (port === 0) {
      port = this.#ports.pick(local, remote, remotePort, this);
      if (port === 0) return "no-ports";
    }
    const options = this.#optionsOf(request.options);
    let sequence = this.#sequences.sequence(local, port, remote, remotePort, now);
    const previous = this.#connections.find(local, port, remote, remotePort);
    if (previous !== undefined) {
      // RFC 6191 for the active side: with timestamps, old segments cannot be taken for new ones.
      if (previous.state !== "time-wait" || !previous.timestamps.enabled) return "address-in-use";
      sequence = seqAdd(previous.sender.nxt, 65_537);
      previous.yieldTuple();
    }
    const seed = this.#seed(local, port, remote, remotePort, request.path, options, sequence);
    const connection = TcpConnection.open(this, seed, now);
    connection.observer = request.observer;
    this.#connections.add(connection);
    this.counters.bump("tcp.active-opens");
    return connection;
  }

  /** Passive open. */
  listen(request: TcpListenRequest, _now: Instant): TcpListener | TcpError {
    const listener = new TcpListener(request, this.#optionsOf(request.options), this);
    const others = this.#listeners.get(request.port) ?? [];
    for (const other of others) {
      const overlap = other.address === undefined || listener.address === undefined
        ? other.family === undefined || listener.family === undefined || other.family === listener.family
        : other.address.equals(listener.address);
      if (overlap) return "address-in-use";
    }
    others.push(listener);
    this.#listeners.set(request.port, others);
    return listener;
  }

  /** The connection of that four-tuple. */
  lookup(
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
  ): TcpConnection | undefined {
    return this.#connections.find(local, localPort, remote, remotePort);
  }

  /** All connections, TIME-WAIT included. */
  connections(): IterableIterator<TcpConnection> {
    return this.#connections[Symbol.iterator]();
  }

  /** All listeners. */
  *listeners(): IterableIterator<TcpListener> {
    for (const listeners of this.#listeners.values()) yield* listeners;
  }

  /** Whether a SYN for that address and port would find a listener. */
  isListening(address: IpAddress, port: number): boolean {
    return this.#findListener(address, port) !== undefined;
  }

  /** For `ss -ta`. */
  facts(): SocketFacts[] {
    const facts: SocketFacts[] = [];
    for (const listener of this.listeners()) facts.push(listener.facts());
    for (const connection of this.#connections) facts.push(connection.facts());
    return facts;
  }

  #optionsOf(options: Partial<TcpOptions> | undefined): TcpOptions {
    return options === undefined ? this.options : { ...this.options, ...options };
  }

  #seed(
    localAddress: IpAddress,
    localPort: number,
    remoteAddress: IpAddress,
    remotePort: number,
    path: TcpPath,
    options: TcpOptions,
    sequence: number,
  ): ConnectionSeed {
    const timestampOffset = this.#sequences.timestampOffset(localAddress, remoteAddress);
    const memory = this.memory.account(this.#environment.tenantOf?.(remoteAddress) ?? 0);
    return {
      localAddress,
      localPort,
      remoteAddress,
      remotePort,
      path,
      options,
      memory,
      sequence,
      timestampOffset,
    };
  }

  // ── segments ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A segment with a good checksum for an address that is ours (or anybody's, on a promiscuous NIC). Does not own `packet`. */
  handle(ip: IpHeader, header: TcpHeader, packet: PacketBuffer, path: TcpPath, now: Instant): void {
    const local = ip.destination;
    const remote = ip.source;
    const connection = this.#connections.find(local, header.destinationPort, remote, header.sourcePort);
    const opening = (header.flags & (TcpFlag.syn | TcpFlag.ack | TcpFlag.rst | TcpFlag.fin)) === TcpFlag.syn;
    if (connection !== undefined) {
      if (!opening || !connection.isReusableBy(header)) return connection.onSegment(header, packet, ip, now);
      this.counters.bump("tcp.time-wait-reused");
      connection.yieldTuple();
    }
    if ((header.flags & TcpFlag.rst) !== 0) return this.#onStrayReset(ip, header);
    const listener = this.#findListener(local, header.destinationPort);
    if (opening) {
      if (listener !== undefined) return this.#onSyn(listener, ip, header, path, now);
      if (this.forwarder !== undefined) {
        return this.#onForeignSyn(this.forwarder, ip, header, packet, path, now);
      }
    } else if (listener !== undefined && this.#onCookie(listener, ip, header, packet, path, now)) return;
    this.#reset(ip, header, packet, path, now);
  }

  /** An ICMP error that quotes a segment of ours; `sequence` is the quoted one, `mtu` 0 if absent. */
  handleIcmpError(
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
    kind: TcpIcmpError,
    mtu: number,
    sequence: number,
    now: Instant,
  ): void {
    const connection = this.#connections.find(local, localPort, remote, remotePort);
    if (connection === undefined) this.counters.bump("tcp.icmp-stray");
    else connection.onIcmpError(kind, mtu, sequence, now);
  }

  #findListener(local: IpAddress, port: number): TcpListener | undefined {
    const listeners = this.#listeners.get(port);
    if (listeners === undefined) return undefined;
    let best: TcpListener | undefined;
    for (let i = 0; i < listeners.length; i++) {
      const listener = listeners[i]!;
      if (listener.matches(local) && (best === undefined || listener.address !== undefined)) best = listener;
    }
    return best;
  }

  /** Nobody knows this segment (RFC 9293 section 3.10.7.1). */
  #reset(ip: IpHeader, header: TcpHeader, packet: PacketBuffer, path: TcpPath, now: Instant): void {
    this.counters.bump("tcp.strays");
    if (!this.#resets.allow(now)) {
      this.counters.bump("tcp.resets-suppressed");
      return;
    }
    const length = segmentLength(header.flags, packet.totalLength);
    this.counters.bump("tcp.resets-sent");
    const reset = resetFor(header, length, ip.destination, ip.source, this.pool);
    this.#environment.transmit(reset, ip.destination, ip.source, path, now);
  }

  #onStrayReset(ip: IpHeader, header: TcpHeader): void {
    const request = this.#requests.find(ip.destination, header.destinationPort, ip.source, header.sourcePort);
    if (request === undefined || header.sequence !== seqAdd(request.syn.sequence, 1)) return;
    this.counters.bump("tcp.requests-withdrawn");
    this.#forgetRequest(request);
  }

  // ── listeners ────────────────────────────────────────────────────────────────────────────────────────────────────

  #onSyn(listener: TcpListener, ip: IpHeader, header: TcpHeader, path: TcpPath, now: Instant): void {
    if (!listener.hasRoom()) return this.counters.bump("tcp.listen-overflow");
    const syn = PeerSyn.of(header);
    if (listener.halfOpen >= listener.backlog) return this.#sendCookie(listener, ip, header, syn, path, now);
    if (this.#isFull()) return;
    const local = ip.destination.clone();
    const remote = ip.source.clone();
    const { destinationPort, sourcePort } = header;
    const sequence = this.#sequences.sequence(local, destinationPort, remote, sourcePort, now);
    const seed = this.#seed(local, destinationPort, remote, sourcePort, path, listener.options, sequence);
    const connection = TcpConnection.answer(this, seed, syn, now);
    listener.adopt(connection);
    this.#connections.add(connection);
    this.counters.bump("tcp.passive-opens");
  }

  #isFull(): boolean {
    if (this.#connections.size < this.limits.connections) return false;
    this.counters.bump("tcp.connections-full");
    return true;
  }

  #sendCookie(
    listener: TcpListener,
    ip: IpHeader,
    header: TcpHeader,
    syn: PeerSyn,
    path: TcpPath,
    now: Instant,
  ): void {
    const { destination: local, source: remote } = ip;
    const { destinationPort, sourcePort } = header;
    const { options } = listener;
    listener.onCookieSent(now);
    this.counters.bump("tcp.cookies-sent");
    const mss = syn.mss === 0 ? (local.family === 4 ? 536 : 1_220) : syn.mss;
    outgoing.clearOptions();
    outgoing.sourcePort = destinationPort;
    outgoing.destinationPort = sourcePort;
    outgoing.sequence = this.#cookies.issue(
      local,
      destinationPort,
      remote,
      sourcePort,
      syn.sequence,
      mss,
      now,
    );
    outgoing.acknowledgment = seqAdd(syn.sequence, 1);
    outgoing.flags = TcpFlag.syn | TcpFlag.ack;
    outgoing.window = Math.min(options.receiveBuffer, 65_535);
    outgoing.urgentPointer = 0;
    outgoing.mss = new PathMss(local.family, path.mtu).advertised(path.mtu, options.maximumSegment);
    if (options.timestamps && syn.hasTimestamp) {
      // Without timestamps nothing can remember the other options: they are not offered.
      outgoing.hasTimestamp = true;
      outgoing.timestampValue = new Timestamps(this.#sequences.timestampOffset(local, remote))
        .cookieValue(cookieOptions(syn), now);
      outgoing.timestampEcho = syn.timestampValue;
      outgoing.sackPermitted = options.sack && syn.sackPermitted;
      if (options.windowScale && syn.windowScale >= 0) {
        outgoing.windowScale = windowScaleFor(options.receiveBufferMax);
      }
    }
    const packet = emitOutgoing(takeHeaderBuffer(this.pool), local, remote);
    this.#environment.transmit(packet, local, remote, path, now);
  }

  /** Whether the ACK brought back a cookie, and was taken. */
  #onCookie(
    listener: TcpListener,
    ip: IpHeader,
    header: TcpHeader,
    packet: PacketBuffer,
    path: TcpPath,
    now: Instant,
  ): boolean {
    if (!listener.expectsCookie(now) || (header.flags & (TcpFlag.ack | TcpFlag.syn)) !== TcpFlag.ack) {
      return false;
    }
    const { destination, source } = ip;
    const { destinationPort, sourcePort } = header;
    const sequence = seqAdd(header.sequence, -1);
    const cookie = seqAdd(header.acknowledgment, -1);
    const mss = this.#cookies.verify(destination, destinationPort, source, sourcePort, sequence, cookie, now);
    if (mss === 0) {
      this.counters.bump("tcp.cookies-failed");
      return false;
    }
    this.counters.bump("tcp.cookies-received");
    if (!listener.hasRoom()) {
      this.counters.bump("tcp.accept-queue-full");
      return true;
    }
    if (this.#isFull()) return true;
    const syn = new PeerSyn();
    syn.sequence = sequence;
    syn.mss = mss;
    syn.window = header.window;
    const local = destination.clone();
    const remote = source.clone();
    const seed = this.#seed(local, destinationPort, remote, sourcePort, path, listener.options, cookie);
    if (header.hasTimestamp && listener.options.timestamps) {
      syn.hasTimestamp = true;
      syn.timestampValue = header.timestampValue;
      readCookieOptions((header.timestampEcho - seed.timestampOffset) | 0, syn);
      syn.ecn = false; // the cookie's SYN-ACK did not say ECE
    }
    const connection = TcpConnection.resume(this, seed, syn, now);
    listener.adopt(connection);
    this.#connections.add(connection);
    this.counters.bump("tcp.passive-opens");
    connection.onSegment(header, packet, ip, now);
    return true;
  }

  forgetListener(listener: TcpListener): void {
    const rest = (this.#listeners.get(listener.port) ?? []).filter((other) => other !== listener);
    if (rest.length === 0) this.#listeners.delete(listener.port);
    else this.#listeners.set(listener.port, rest);
  }

  notifyListener(listener: TcpListener): void {
    this.#environment.notifyListener(listener);
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #onForeignSyn(
    forwarder: TcpForwarder,
    ip: IpHeader,
    header: TcpHeader,
    packet: PacketBuffer,
    path: TcpPath,
    now: Instant,
  ): void {
    const { destinationPort, sourcePort } = header;
    const pending = this.#requests.find(ip.destination, destinationPort, ip.source, sourcePort);
    if (pending !== undefined) {
      this.counters.bump("tcp.syn-absorbed");
      if (pending.syn.sequence !== header.sequence) pending.syn = PeerSyn.of(header);
      return;
    }
    if (this.#requests.size >= this.limits.pendingRequests) return this.counters.bump("tcp.requests-full");
    if (this.#isFull()) return;
    // An ICMP error quotes the headers; the whole packet may be a super-packet of 64 KiB, and so may IPv6's options be:
    // a header in front of which there are so many is quoted without itself, and the request is refused in silence.
    const from = ip.headerStart;
    const size = Math.min(packet.start - from, LONGEST_QUOTE);
    const quote = this.pool.take(size);
    quote.bytes.set(packet.bytes.subarray(from, packet.start), quote.end);
    quote.end += size;
    const request = new TcpRequest(
      this,
      ip.destination.clone(),
      destinationPort,
      ip.source.clone(),
      sourcePort,
      path,
      PeerSyn.of(header),
      quote,
    );
    this.#requests.add(request);
    forwarder(request, now);
  }

  #forgetRequest(request: TcpRequest): void {
    request.expired = true;
    this.#requests.remove(request);
    request.quote.release();
  }

  acceptRequest(
    request: TcpRequest,
    observer: TcpObserver | undefined,
    options: Partial<TcpOptions> | undefined,
    now: Instant,
  ): TcpConnection {
    const { localAddress, localPort, remoteAddress, remotePort, path, syn } = request;
    const chosen = this.#optionsOf(options);
    const sequence = this.#sequences.sequence(localAddress, localPort, remoteAddress, remotePort, now);
    const seed = this.#seed(localAddress, localPort, remoteAddress, remotePort, path, chosen, sequence);
    const previous = this.#connections.find(localAddress, localPort, remoteAddress, remotePort);
    if (request.expired || previous !== undefined) {
      if (!request.expired) this.#forgetRequest(request);
      return TcpConnection.stillborn(this, seed, observer, now);
    }
    this.#forgetRequest(request);
    const connection = TcpConnection.answer(this, seed, syn, now);
    connection.observer = observer;
    this.#connections.add(connection);
    this.counters.bump("tcp.passive-opens");
    return connection;
  }

  rejectRequest(request: TcpRequest, how: TcpRejection, now: Instant): void {
    if (request.expired) return;
    const { localAddress, localPort, remoteAddress, remotePort, path, syn, quote } = request;
    if (how === "reset") {
      outgoing.clearOptions();
      outgoing.sourcePort = localPort;
      outgoing.destinationPort = remotePort;
      outgoing.sequence = 0;
      outgoing.acknowledgment = seqAdd(syn.sequence, 1);
      outgoing.flags = TcpFlag.rst | TcpFlag.ack;
      outgoing.window = 0;
      outgoing.urgentPointer = 0;
      const reset = emitOutgoing(takeHeaderBuffer(this.pool), localAddress, remoteAddress);
      this.counters.bump("tcp.resets-sent");
      this.#environment.transmit(reset, localAddress, remoteAddress, path, now);
    } else if (how !== "drop") this.#environment.rejectWithIcmp(how, quote, path, now);
    this.#forgetRequest(request);
  }

  // ── what connections need ────────────────────────────────────────────────────────────────────────────────────────

  random(): number {
    return this.#environment.random();
  }

  wantsDispatch(connection: TcpConnection): void {
    this.#environment.wantsDispatch(connection);
  }

  setTimer(connection: TcpConnection, at: Instant): void {
    this.#environment.setTimer(connection, at);
  }

  notify(connection: TcpConnection): void {
    this.#environment.notify(connection);
  }

  route(connection: TcpConnection): TcpPath {
    return this.#environment.route(connection);
  }

  closed(connection: TcpConnection): void {
    this.#timeWait.remove(connection);
    if (this.#connections.remove(connection)) this.#environment.closed(connection);
  }

  enterTimeWait(connection: TcpConnection): void {
    if (this.#timeWait.size >= this.limits.timeWait) {
      this.counters.bump("tcp.time-wait-overflow");
      this.#timeWait.oldest?.yieldTuple();
    }
    this.#timeWait.add(connection);
  }

  allowChallenge(now: Instant): boolean {
    return this.#challenges.allow(now);
  }

  isFree(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): boolean {
    return this.#connections.find(local, localPort, remote, remotePort) === undefined &&
      this.#findListener(local, localPort) === undefined;
  }
}
