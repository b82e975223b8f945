/**
 * Questions over TCP (RFC 7766) where the gateway knows names itself: who is asked shows only when a question has come.
 *
 * ```text
 *   SYN ─▶ accepted at once ─▶ length, message ─┬─ a zone's name ─▶ answered here ─▶ the next question
 *                                    ▲          │                                     │
 *                                    └──────────┼─────────────────────────────────────┘
 *                                               └─ any other name ─▶ a resolver is dialled; the connection is its, from
 *                                                                    this question on
 * ```
 *
 * Theory of operation. A question stays in the connection's receive queue until it is answered; so a connection that is
 * handed over takes along what has not been answered, and the relay that joins it with the resolver's never learns that
 * somebody had it before. Nothing else is buffered: a guest that does not read its answers closes the window of its own
 * questions. From then on the connection is bytes to us, and a zone's name on it is the resolver's to answer: transfers of
 * whole zones, and whatever else has many answers to a question, pass as they always did.
 *
 * Whose name it is shows within {@linkcode HEAD}, so that a question of 64 KiB costs us nothing. A turn answers at most
 * {@linkcode TURN_QUESTIONS} of one connection. Who finishes no question for {@linkcode IDLE} is told goodbye, or reset
 * where he is in the middle of one; half a question does not gain him time. Who is one too many pushes out the one that
 * has been silent longest, of his own guest if there are several.
 *
 * @module
 */

import type { Reactor, Work } from "../../host/reactor.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import type { BufferPool } from "../../stack/buffer/pool.ts";
import { FairShare, oldestOf } from "../../stack/fair_share.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { TcpEvent, type TcpObserver } from "../../stack/tcp/events.ts";
import type { TcpRejection, TcpRequest } from "../../stack/tcp/forwarder.ts";
import type { TcpOptions } from "../../stack/tcp/options.ts";
import { type Instant, NEVER, SECOND } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { DNS_HEADER, isQuery } from "./dns_message.ts";
import type { DnsZones } from "./dns_zones.ts";
import { type LruItem, LruList } from "./lru_list.ts";

/** How long a connection may go without finishing a question (RFC 7766 section 6.2.3: a few seconds). */
export const IDLE = 10 * SECOND;
/** Where the name of a question ends at the latest: header, name, type and class. */
const HEAD = DNS_HEADER + 255 + 4;
/** Longest question about a zone's name; the rest of it is EDNS options, which are few. */
export const MAX_QUESTION = 4_096;
/** Longest message that fits behind its length. */
const MAX_MESSAGE = 65_535;
/** Questions that one connection has answered before it lets others go first. */
const TURN_QUESTIONS = 16;

/** A connection that waits for a far end, whether it has been accepted already or not. */
export type DialRequest = Pick<
  TcpRequest,
  "localAddress" | "localPort" | "remoteAddress" | "remotePort" | "expired" | "accept" | "reject"
>;

/** What the streams need of the gateway. */
export interface DnsStreamSurroundings {
  readonly reactor: Reactor;
  readonly pool: BufferPool;
  readonly zones: DnsZones;
  /** Most connections at once; see {@linkcode GatewayLimits}. */
  readonly limit: number;
  readonly tenantOf: ((address: IpAddress) => number) | undefined;
  count(name: string): void;
  options(): Partial<TcpOptions>;
  /** Joins a connection with a resolver. */
  dial(request: DialRequest, now: Instant): void;
}

/** Connections of guests to the gateway's DNS address, until they are a resolver's. */
export class DnsStreams {
  readonly surroundings: DnsStreamSurroundings;
  readonly #byAge = new LruList<DnsStream>(IDLE);
  readonly #share: FairShare;

  constructor(surroundings: DnsStreamSurroundings) {
    this.surroundings = surroundings;
    this.#share = new FairShare(surroundings.limit);
  }

  /** Connections that are open. */
  get size(): number {
    return this.#byAge.length;
  }

  /** Takes a SYN to the DNS address. */
  accept(request: TcpRequest, now: Instant): void {
    const { zones, limit, tenantOf, options } = this.surroundings;
    if (zones.isEmpty) return this.surroundings.dial(request, now);
    const tenant = tenantOf?.(request.remoteAddress) ?? 0;
    if (tenantOf !== undefined && !this.#share.admits(tenant)) {
      this.count("gateway.dns.guest-stream-limit");
      const own = oldestOf(this.#byAge.oldest, tenant);
      if (own === undefined) return request.reject("drop", now);
      own.abort(now);
    } else if (this.size >= limit) {
      this.count("gateway.dns.stream-limit");
      this.#byAge.oldest?.abort(now);
    }
    const stream = new DnsStream(this, tenant);
    this.#share.add(tenant);
    this.#byAge.touch(stream, now);
    stream.join(request.accept(stream, options(), now));
  }

  pollAt(): Instant {
    return this.#byAge.expiresAt();
  }

  poll(now: Instant): void {
    for (let stream = this.#byAge.expired(now); stream !== undefined; stream = this.#byAge.expired(now)) {
      this.count("gateway.dns.stream-timeout");
      stream.leave(now);
    }
  }

  stop(now: Instant): void {
    for (let stream = this.#byAge.oldest; stream !== undefined; stream = this.#byAge.oldest) {
      stream.abort(now);
    }
  }

  count(name: string): void {
    this.surroundings.count(name);
  }

  /** A question is answered: its connection's time begins again. */
  answered(stream: DnsStream, now: Instant): void {
    this.#byAge.touch(stream, now);
  }

  forget(stream: DnsStream): void {
    this.#byAge.remove(stream);
    this.#share.remove(stream.tenant);
  }
}

/** One connection with questions. */
class DnsStream implements TcpObserver, Work, LruItem<DnsStream> {
  newer: DnsStream | undefined;
  older: DnsStream | undefined;
  list: LruList<DnsStream> | undefined;
  usedAt: Instant = NEVER;

  /** Whose share of the connections it is part of. */
  readonly tenant: number;
  readonly #streams: DnsStreams;
  #connection: TcpConnection | undefined;
  #deferred = false;

  constructor(streams: DnsStreams, tenant: number) {
    this.#streams = streams;
    this.tenant = tenant;
  }

  join(connection: TcpConnection): void {
    this.#connection = connection;
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if (this.#connection !== connection) return;
    if ((events & TcpEvent.closed) !== 0) this.#release();
    else this.#pump(connection, now);
  }

  /** Work list entry: the turn ended before the questions did. */
  run(): void {
    this.#deferred = false;
    if (this.#connection !== undefined) {
      this.#pump(this.#connection, this.#streams.surroundings.reactor.now() as Instant);
    }
  }

  /** Ends the connection, in order if it is between two questions and has its answers. */
  leave(now: Instant): void {
    const connection = this.#connection!;
    if (connection.receiveQueue.length > 0 || connection.sendQueued > 0) return this.abort(now);
    this.#release();
    connection.close(now);
  }

  abort(now: Instant): void {
    const connection = this.#connection!;
    this.#release();
    connection.abort(now);
  }

  #pump(connection: TcpConnection, now: Instant): void {
    const queue = connection.receiveQueue;
    for (let left = TURN_QUESTIONS; connection.sendSpace > 0; left--) {
      if (left === 0) return this.#defer();
      const message = this.#next(connection, now);
      if (message === undefined) break;
      const reply = this.#streams.surroundings.zones.answer(
        message,
        this.#streams.surroundings.pool,
        MAX_MESSAGE,
      );
      const length = message.length;
      message.release();
      // What cannot be answered after all is the resolver's, like what is not a zone's.
      if (reply === undefined) return this.#handOver(connection, now);
      const size = reply.length;
      reply.view.setUint16(reply.prepend(2), size);
      connection.write(reply, now);
      connection.consume(2 + length, now);
      this.#streams.answered(this, now);
    }
    if (this.#connection === undefined || !connection.peerClosed || connection.sendSpace <= 0) return;
    if (queue.length > 0) return this.#refuse("gateway.dns.malformed", now);
    this.#release();
    connection.close(now);
  }

  /** The question at the front, the caller's to release; undefined if it is not whole, or not ours. */
  #next(connection: TcpConnection, now: Instant): PacketBuffer | undefined {
    const { receiveQueue: queue } = connection;
    const { pool, zones } = this.#streams.surroundings;
    const head = pool.take(2 + HEAD);
    head.end = head.start + queue.copyTo(head.bytes.subarray(head.start, head.start + 2 + HEAD));
    const length = head.length < 2 ? MAX_MESSAGE : head.view.getUint16(head.start);
    const isEnough = head.length >= 2 && head.length >= Math.min(2 + length, 2 + HEAD);
    head.consume(Math.min(2, head.length));
    head.end = Math.min(head.end, head.start + length);
    const isOurs = isEnough && zones.knows(head);
    const isMalformed = isEnough && !isQuery(head.view, head.start, head.end);
    head.release();
    if (isMalformed) {
      this.#refuse("gateway.dns.malformed", now);
    } else if (isEnough && !isOurs) {
      this.#handOver(connection, now);
    } else if (isOurs && length > MAX_QUESTION) {
      this.#refuse("gateway.dns.question-too-long", now);
    } else if (isOurs && queue.length >= 2 + length) {
      const message = pool.take(length);
      message.end = message.start +
        queue.copyTo(message.bytes.subarray(message.start, message.start + length), 2);
      return message;
    }
    return undefined;
  }

  #handOver(connection: TcpConnection, now: Instant): void {
    this.#release();
    this.#streams.surroundings.dial(new AcceptedRequest(connection), now);
  }

  #refuse(counter: string, now: Instant): void {
    this.#streams.count(counter);
    this.abort(now);
  }

  #defer(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.#streams.surroundings.reactor.defer(this);
  }

  #release(): void {
    this.#connection = undefined;
    this.#streams.forget(this);
  }
}

/** A connection that was accepted before anybody was dialled for it. */
class AcceptedRequest implements DialRequest, TcpObserver {
  readonly #connection: TcpConnection;
  expired = false;

  constructor(connection: TcpConnection) {
    this.#connection = connection;
    connection.observer = this;
  }

  get localAddress(): IpAddress {
    return this.#connection.localAddress;
  }

  get localPort(): number {
    return this.#connection.localPort;
  }

  get remoteAddress(): IpAddress {
    return this.#connection.remoteAddress;
  }

  get remotePort(): number {
    return this.#connection.remotePort;
  }

  onTcpEvent(_connection: TcpConnection, events: number): void {
    if ((events & TcpEvent.closed) !== 0) this.expired = true;
  }

  accept(observer: TcpObserver | undefined): TcpConnection {
    this.#connection.observer = observer;
    return this.#connection;
  }

  /** Whatever the far side says: a guest that has its connection can only be told that it ends. */
  reject(_how: TcpRejection, now: Instant): void {
    this.#connection.observer = undefined;
    this.#connection.abort(now);
  }
}
