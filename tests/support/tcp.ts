/**
 * A bench for TCP in the spirit of packetdrill: one real side, a peer made of hand-written segments, and a clock that only the
 * test moves.
 *
 * Sequence numbers in scripts are relative: `seq` and `ack` of an injected segment count from the peer's and our initial
 * sequence numbers, and so do those of what comes out. The real ones are chosen close to the wrap of 2³².
 *
 * @module
 */

import { HEADROOM, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { TimerQueue } from "../../lib/stack/buffer/timer_queue.ts";
import { Counters } from "../../lib/stack/counters.ts";
import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import type { TcpEnvironment, TcpPath } from "../../lib/stack/tcp/context.ts";
import { TcpDemux, type TcpLimits } from "../../lib/stack/tcp/demux.ts";
import type { TcpListener } from "../../lib/stack/tcp/listener.ts";
import type { TcpOptions } from "../../lib/stack/tcp/options.ts";
import { type Instant, later } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { completeChecksum, verifyTransport } from "../../lib/stack/wire/checksum.ts";
import { IpHeader, IpProtocol } from "../../lib/stack/wire/ip.ts";
import { emitTcp, parseTcp, TcpFlag, TcpHeader } from "../../lib/stack/wire/tcp.ts";

/** A small seeded generator of 32-bit numbers (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** `length` bytes that tell where they belong: each depends on its position. */
export function pattern(length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((from + i) * 31 + ((from + i) >>> 8) * 7) & 255;
  return bytes;
}

/** Surroundings that remember what they were told. */
export class FakeEnvironment implements TcpEnvironment {
  readonly pool = new BufferPool();
  readonly counters = new Counters();
  readonly random: () => number;
  readonly ready = new Set<TcpConnection>();
  readonly notified = new Set<TcpConnection>();
  readonly timers = new TimerQueue<TcpConnection>();
  readonly listeners = new Set<TcpListener>();
  readonly stateless: PacketBuffer[] = [];
  readonly rejections: string[] = [];
  readonly gone: TcpConnection[] = [];
  path: TcpPath;

  constructor(seed: number, path: TcpPath) {
    this.random = seeded(seed);
    this.path = path;
  }
  wantsDispatch(connection: TcpConnection): void {
    this.ready.add(connection);
  }
  setTimer(connection: TcpConnection, at: Instant): void {
    this.timers.set(connection, at);
  }
  notify(connection: TcpConnection): void {
    this.notified.add(connection);
  }
  closed(connection: TcpConnection): void {
    this.timers.cancel(connection);
    this.ready.delete(connection);
    this.gone.push(connection);
  }
  route(): TcpPath {
    return this.path;
  }
  notifyListener(listener: TcpListener): void {
    this.listeners.add(listener);
  }
  transmit(packet: PacketBuffer): void {
    this.stateless.push(packet);
  }
  rejectWithIcmp(kind: string): void {
    this.rejections.push(kind);
  }
}

/** A whole TCP side: what the stack is to it, without IP. */
export class TcpHost {
  now: Instant;
  readonly environment: FakeEnvironment;
  readonly demux: TcpDemux;
  readonly #header = new TcpHeader();
  readonly #ip = new IpHeader();

  constructor(
    seed: number,
    options: Partial<TcpOptions> = {},
    limits: Partial<TcpLimits> = {},
    path: TcpPath = { mtu: 1_500, gsoMaxSize: 0 },
  ) {
    this.now = 1_000_000 as Instant;
    this.environment = new FakeEnvironment(seed, path);
    this.demux = new TcpDemux(this.environment, options, limits);
  }

  /** The next packet that leaves, at its TCP header; undefined: nothing does. */
  pull(): PacketBuffer | undefined {
    const stateless = this.environment.stateless.shift();
    if (stateless !== undefined) return stateless;
    for (const connection of this.environment.ready) {
      this.environment.ready.delete(connection);
      const packet = connection.dispatch(this.now);
      if (packet === undefined) continue;
      this.environment.ready.add(connection); // behind the others: round-robin
      return packet;
    }
    return undefined;
  }

  /** Takes a packet from `source` for `destination`, at its TCP header. */
  push(packet: PacketBuffer, source: IpAddress, destination: IpAddress, trafficClass = 0): void {
    const ip = this.#ip;
    copyAddress(source, ip.source);
    copyAddress(destination, ip.destination);
    ip.family = source.family;
    ip.protocol = IpProtocol.tcp;
    ip.trafficClass = trafficClass;
    ip.headerStart = packet.start - (source.family === 4 ? 20 : 40);
    ip.headerLength = source.family === 4 ? 20 : 40;
    if (!verifyTransport(packet, ip)) throw new Error("Cannot take a packet: its checksum is wrong");
    const malformed = parseTcp(packet, this.#header);
    if (malformed !== undefined) throw new Error(`Cannot take a packet: ${malformed}`);
    this.demux.handle(ip, this.#header, packet, this.environment.path, this.now);
    packet.release();
  }

  /** Fires what is due. */
  fire(): void {
    for (;;) {
      const connection = this.environment.timers.popDue(this.now);
      if (connection === undefined) return;
      connection.onTimer(this.now);
    }
  }

  /** Events as the stack's poll hands them to observers. */
  poll(): void {
    for (const connection of [...this.environment.notified]) {
      this.environment.notified.delete(connection);
      const events = connection.takeEvents();
      if (events !== 0) connection.observer?.onTcpEvent(connection, events, this.now);
    }
    for (const listener of [...this.environment.listeners]) {
      this.environment.listeners.delete(listener);
      listener.observer.onTcpAccept(listener, this.now);
    }
  }
}

/** A segment as scripts see it. */
export interface Segment {
  /** Letters of the flags that are set, in the order `SFRPAUEC`. */
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  readonly length: number;
  readonly data: Uint8Array;
  readonly mss: number;
  readonly windowScale: number;
  readonly sackPermitted: boolean;
  readonly sack: readonly (readonly [number, number])[];
  readonly timestamp: number | undefined;
  readonly timestampEcho: number | undefined;
  readonly gsoSize: number;
  readonly urgentPointer: number;
}

/** A segment that the peer sends; whatever is absent is 0 or off. */
export interface PeerSegment {
  readonly flags: string;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  readonly data?: Uint8Array | number;
  readonly mss?: number;
  readonly windowScale?: number;
  readonly sackPermitted?: boolean;
  readonly sack?: readonly (readonly [number, number])[];
  readonly timestamp?: number;
  readonly timestampEcho?: number;
  readonly ce?: boolean;
  /** With the flag `U`; 1 if absent. */
  readonly urgentPointer?: number;
  readonly from?: number;
  readonly to?: number;
}

const FLAGS: readonly [string, number][] = [
  ["S", TcpFlag.syn],
  ["F", TcpFlag.fin],
  ["R", TcpFlag.rst],
  ["P", TcpFlag.psh],
  ["A", TcpFlag.ack],
  ["U", TcpFlag.urg],
  ["E", TcpFlag.ece],
  ["C", TcpFlag.cwr],
];

/** Where scripts play. */
export const US = IpAddress.parse("10.0.2.2")!;
export const PEER = IpAddress.parse("10.0.2.100")!;
export const PEER_ISS = -20;
export const OUR_PORT = 80;
export const PEER_PORT = 40_000;

/** Options that make scripts short: no timestamps, no scaling; tests of these switch them on. */
export const PLAIN: Partial<TcpOptions> = {
  timestamps: false,
  windowScale: false,
  sack: false,
  congestion: "reno",
};

/** One real side and a scripted peer. */
export class TcpBench {
  readonly host: TcpHost;
  /** Our initial sequence number, known with the first segment that leaves. */
  iss = 0;
  readonly events: number[] = [];
  connection!: TcpConnection;
  /** What was received, in order. */
  readonly #us: IpAddress;
  readonly #peer: IpAddress;
  readonly #header = new TcpHeader();

  constructor(
    options: Partial<TcpOptions> = PLAIN,
    limits: Partial<TcpLimits> = {},
    path: TcpPath = { mtu: 1_500, gsoMaxSize: 0 },
    us: IpAddress = US,
    peer: IpAddress = PEER,
  ) {
    this.host = new TcpHost(7, options, limits, path);
    this.#us = us;
    this.#peer = peer;
  }

  get now(): Instant {
    return this.host.now;
  }

  /** What was counted under `tcp.<name>`. */
  count(name: string): number {
    return this.host.environment.counters.get(`tcp.${name}`);
  }

  observer = {
    onTcpEvent: (_connection: TcpConnection, events: number): void => {
      this.events.push(events);
    },
  };

  /** Moves the clock, stopping at every timer on the way. */
  advance(microseconds: number): void {
    const until = this.now + microseconds;
    for (;;) {
      const next = this.host.environment.timers.next();
      if (next > until) break;
      if (next > this.host.now) this.host.now = next;
      this.host.fire();
    }
    this.host.now = until as Instant;
  }

  /** Moves the clock to the next timer and fires it; returns how far that was. */
  advanceToTimer(): number {
    const next = this.host.environment.timers.next();
    const wait = next - this.now;
    if (wait === Infinity) return Infinity;
    this.advance(Math.max(wait, 0));
    return wait;
  }

  /** Moves the clock without firing timers, for one segment's flight. */
  wait(microseconds: number): void {
    this.host.now = later(this.now, microseconds);
  }

  /** The peer sends a segment. */
  inject(segment: PeerSegment): void {
    const h = this.#header;
    h.clearOptions();
    h.sourcePort = segment.from ?? PEER_PORT;
    h.destinationPort = segment.to ?? OUR_PORT;
    h.flags = 0;
    for (const [letter, bit] of FLAGS) if (segment.flags.includes(letter)) h.flags |= bit;
    h.sequence = (PEER_ISS + (segment.seq ?? 0)) | 0;
    h.acknowledgment = (h.flags & TcpFlag.ack) !== 0 ? (this.iss + (segment.ack ?? 0)) | 0 : 0;
    h.window = segment.window ?? 65_535;
    h.urgentPointer = segment.flags.includes("U") ? segment.urgentPointer ?? 1 : 0;
    h.mss = segment.mss ?? 0;
    h.windowScale = segment.windowScale ?? -1;
    h.sackPermitted = segment.sackPermitted ?? false;
    if (segment.timestamp !== undefined) {
      h.hasTimestamp = true;
      h.timestampValue = segment.timestamp | 0;
      h.timestampEcho = (segment.timestampEcho ?? 0) | 0;
    }
    for (const [left, right] of segment.sack ?? []) {
      h.sackLeft[h.sackCount] = (this.iss + left) | 0;
      h.sackRight[h.sackCount] = (this.iss + right) | 0;
      h.sackCount++;
    }
    const data = typeof segment.data === "number"
      ? pattern(segment.data, (segment.seq ?? 1) - 1)
      : segment.data ?? new Uint8Array(0);
    const packet = new PacketBuffer(new Uint8Array(HEADROOM + 60 + data.length));
    packet.start = HEADROOM + 60;
    packet.bytes.set(data, packet.start);
    emitTcp(packet, h);
    packet.checksum = 2; // as if the link had verified it
    this.host.push(packet, this.#peer, this.#us, segment.ce === true ? 3 : 0);
  }

  /** The next segment that leaves; undefined: nothing does. */
  next(): Segment | undefined {
    const packet = this.host.pull();
    if (packet === undefined) return undefined;
    const gsoSize = packet.gso === 0 ? 0 : packet.gsoSize;
    completeChecksum(packet);
    const flat = new PacketBuffer(packet.toBytes());
    packet.release();
    const h = new TcpHeader();
    const malformed = parseTcp(flat, h);
    if (malformed !== undefined) throw new Error(`Cannot read our own segment: ${malformed}`);
    if ((h.flags & TcpFlag.syn) !== 0) this.iss = h.sequence;
    const sack: [number, number][] = [];
    for (let i = 0; i < h.sackCount; i++) {
      sack.push([(h.sackLeft[i]! - PEER_ISS) | 0, (h.sackRight[i]! - PEER_ISS) | 0]);
    }
    return {
      flags: FLAGS.filter(([, bit]) => (h.flags & bit) !== 0).map(([letter]) => letter).join(""),
      seq: (h.sequence - this.iss) | 0,
      ack: (h.flags & TcpFlag.ack) !== 0 ? (h.acknowledgment - PEER_ISS) | 0 : 0,
      window: h.window,
      length: flat.length,
      data: flat.bytes.slice(flat.start, flat.end),
      mss: h.mss,
      windowScale: h.windowScale,
      sackPermitted: h.sackPermitted,
      sack,
      timestamp: h.hasTimestamp ? h.timestampValue : undefined,
      timestampEcho: h.hasTimestamp ? h.timestampEcho : undefined,
      gsoSize,
      urgentPointer: h.urgentPointer,
    };
  }

  /** Everything that leaves now. */
  all(): Segment[] {
    const segments: Segment[] = [];
    for (let segment = this.next(); segment !== undefined; segment = this.next()) {
      segments.push(segment);
      if (segments.length > 100_000) throw new Error("Cannot finish: segments without end");
    }
    return segments;
  }

  /** Everything that leaves now, one word each: `flags seq:end ack`. */
  brief(): string[] {
    return this.all().map((s) => `${s.flags} ${s.seq}:${s.seq + s.length} ${s.ack}`);
  }

  /** Connects to the peer, and sends the SYN. */
  open(): Segment {
    this.connect();
    return this.next()!;
  }

  /** The same while the wire takes nothing. */
  connect(): void {
    const result = this.host.demux.connect({
      localAddress: this.#us,
      localPort: OUR_PORT,
      remoteAddress: this.#peer,
      remotePort: PEER_PORT,
      path: this.host.environment.path,
      observer: this.observer,
    }, this.now);
    if (typeof result === "string") throw new Error(`Cannot connect: ${result}`);
    this.connection = result;
  }

  /** An established connection, actively opened; the round trip took a millisecond. */
  establish(synAck: Partial<PeerSegment> = {}): this {
    this.open();
    this.wait(1_000);
    this.inject({ flags: "SA", seq: 0, ack: 1, mss: 1_460, ...synAck });
    const third = this.next();
    if (third?.flags !== "A") throw new Error(`Cannot establish: the third segment was ${third?.flags}`);
    this.poll();
    this.events.length = 0;
    return this;
  }

  poll(): void {
    this.host.poll();
  }

  /** Writes bytes of the pattern. */
  write(length: number, from = 0): number {
    return this.connection.writeBytes(pattern(length, from), this.now);
  }

  /** Reads everything that is there. */
  read(): Uint8Array {
    const queue = this.connection.receiveQueue;
    const bytes = new Uint8Array(queue.length);
    queue.copyTo(bytes);
    this.connection.consume(bytes.length, this.now);
    return bytes;
  }
}

function copyAddress(from: IpAddress, to: IpAddress): void {
  to.family = from.family;
  to.a = from.a;
  to.b = from.b;
  to.c = from.c;
  to.d = from.d;
}
