/**
 * A TCP connection: the state machine of RFC 9293 that wires a {@linkcode Sender} and a {@linkcode Receiver}.
 *
 * Homework before working on this file: RFC 9293 section 3.10 (it is the code, in prose), RFC 5961, RFC 7323 sections 4
 * and 5.
 *
 * Theory of operation
 * -------------------
 * The connection is pure: it is called, and answers through its {@linkcode TcpContext}. Four doors:
 *
 * - `onSegment`: a segment for this four-tuple. Changes numbers and state, never sends; what must be sent is remembered as
 *   something due, and `context.wantsDispatch` tells the NIC to ask.
 * - `dispatch`: at most one packet, in this order: a reset, a SYN, an acknowledgement that carries SACK blocks, probes and
 *   retransmissions and new data (`Sender.next`), an acknowledgement. Pulling has a virtue: all segments of one batch are
 *   acknowledged by one packet, and a full queue below stops the connection instead of losing its packets.
 * - `onTimer`: one timer, the earliest of handshake, delayed ACK, sender, keep-alive, linger and user time-out. It is armed
 *   lazily: a deadline that moves into the future leaves the timer alone, which then fires early, finds nothing to do, and is
 *   armed anew. So the usual segment costs no heap operation.
 * - the user's calls: `write`, `consume`, `shutdown`, `close`, `abort`.
 *
 * Events for the user are gathered in a mask and fetched by `takeEvents` from the stack's poll, so that no user code runs
 * inside of segment processing.
 *
 * ```text
 *  open() ─► syn-sent ──SYN,ACK──► established ──shutdown──► fin-wait-1 ─ACK─► fin-wait-2 ─FIN─► time-wait ─► closed
 *               │ SYN                  ▲  │ FIN                  │ FIN ─► closing ─ACK─► time-wait
 *               ▼                      │  └─► close-wait ──shutdown──► last-ack ─ACK─► closed
 *  answer() ► syn-received ───ACK──────┘
 * ```
 *
 * A state that waits for our FIN to be acknowledged is entered when the FIN is queued, not when it leaves, as in Linux.
 *
 * @module
 */

import type { ChunkQueue } from "../buffer/chunk_queue.ts";
import { HEADROOM, type PacketBuffer } from "../buffer/packet.ts";
import { LARGE, MEDIUM } from "../buffer/pool.ts";
import type { SocketFacts } from "../facts.ts";
import { type Instant, later, type Microseconds, NEVER, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { Ecn, type IpHeader } from "../wire/ip.ts";
import { TcpFlag, type TcpHeader } from "../wire/tcp.ts";
import type { TcpContext, TcpPath } from "./context.ts";
import { type TcpError, TcpEvent, type TcpIcmpError, type TcpObserver } from "./events.ts";
import { describe } from "./connection_facts.ts";
import type { TcpOptions } from "./options.ts";
import { headersOf, PathMss } from "./path_mss.ts";
import { PeerSyn, windowScaleFor } from "./peer_syn.ts";
import { OUT_OF_WINDOW_INTERVAL } from "./rate_limit.ts";
import { Arrival, Receiver } from "./receiver.ts";
import {
  emitOutgoing,
  outgoing,
  requestSegmentation,
  segmentLength,
  takeHeaderBuffer,
} from "./segment_writer.ts";
import { AckEffect, isHopeless, Sender } from "./sender.ts";
import { seqAdd, seqGt, seqLe, seqLt } from "./sequence.ts";
import type { TcpState } from "./state.ts";
import { timestampClock, Timestamps } from "./timestamps.ts";

/** Bytes of the timestamp option with its padding. */
const TIMESTAMP_OPTION = 12;
/** Shorter chunks are copied into their predecessor rather than held: they bound the fragments of a packet. */
const COPY_BELOW = 2_048;
/** RFC 6298 section 2.1 and 5.7: "If the timer expires awaiting the ACK of a SYN segment ... RTO MUST be re-initialized". */
const SYN_TIMEOUT = SECOND;

/** Who is told how a passive open goes: a listener. */
export interface TcpAcceptor {
  /** Whether one more connection may wait to be accepted. */
  hasRoom(): boolean;
  established(connection: TcpConnection, now: Instant): void;
  /** The connection ended before it was established. */
  abandoned(connection: TcpConnection): void;
}

/** The name of a connection, and what it begins with. */
export interface ConnectionSeed {
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  readonly path: TcpPath;
  readonly options: TcpOptions;
  /** Initial sequence number. */
  readonly sequence: number;
  readonly timestampOffset: number;
}

/** A connection. */
export class TcpConnection {
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  /** The path given to connect(), or the one the SYN came by. `TcpContext.route` may return something else. */
  path: TcpPath;
  /** The user. Not told anything after `close`. */
  observer: TcpObserver | undefined = undefined;
  /** For the round-robin of the NIC; TCP never touches it. */
  ready = false;
  /** For the table of connections: the next one in the same slot, and the hash of the four-tuple. */
  chain: TcpConnection | undefined = undefined;
  hash = 0;
  timerAt: Instant = NEVER;
  timerIndex = -1;

  state: TcpState = "closed";
  /** Why it ended; undefined after an orderly end, and before. */
  error: TcpError | undefined = undefined;
  readonly options: TcpOptions;
  readonly sender: Sender;
  readonly receiver: Receiver;
  readonly timestamps: Timestamps;
  /** Shift count of the peer's windows. */
  sendScale = 0;
  /** Both sides do ECN (RFC 3168). */
  ecn = false;
  /** DSCP and ECN bits for the IP header of the packet that the last `dispatch` returned. */
  trafficClass = 0;
  /** The listener that has not handed it out yet. */
  acceptor: TcpAcceptor | undefined = undefined;

  readonly #context: TcpContext;
  readonly #pathMss: PathMss;
  readonly #iss: number;
  #events = 0;
  #orphan = false;
  #resetDue = false;
  /** RST for a bad acknowledgement during the handshake; its sequence number. */
  #strayResetDue = false;
  #strayReset = 0;
  #synDue = false;
  #synsSent = 0;
  #synSentAt = 0 as Instant;
  #handshakeAt: Instant = NEVER;
  #ecnRefused = false;
  /** CE was seen, and the peer has not said CWR yet. */
  #echoDue = false;
  /** End of FIN-WAIT-2 or TIME-WAIT. */
  #lingerAt: Instant = NEVER;
  #lastReceivedAt: Instant;
  #keepAlive: boolean;
  #keepAliveIdle: Microseconds;
  #keepAliveInterval: Microseconds;
  #keepAliveCount: number;
  #keepAliveProbes = 0;
  #userTimeout: Microseconds;
  #lastOutOfWindowAt = -1;
  #softError: TcpError | undefined = undefined;
  /** A write found the queue full: tell when there is room. */
  #wantsRoom = false;
  /** The chunk that `writeBytes` and small writes are copied to. */
  #writeTail: PacketBuffer | undefined = undefined;

  /** Use {@linkcode open}, {@linkcode answer} or {@linkcode resume}. */
  constructor(context: TcpContext, seed: ConnectionSeed, now: Instant) {
    const { options } = seed;
    this.#context = context;
    this.localAddress = seed.localAddress;
    this.localPort = seed.localPort;
    this.remoteAddress = seed.remoteAddress;
    this.remotePort = seed.remotePort;
    this.path = seed.path;
    this.options = options;
    this.#iss = seed.sequence;
    this.#pathMss = new PathMss(seed.localAddress.family, seed.path.mtu);
    this.sender = new Sender(
      options.congestion,
      seqAdd(seed.sequence, 1),
      this.#pathMss.current(seed.path.mtu, now),
    );
    this.sender.noDelay = options.noDelay;
    this.sender.cork = options.cork;
    this.receiver = new Receiver(
      context.pool,
      options.receiveBuffer,
      options.receiveBufferMax,
      options.delayedAck,
    );
    this.timestamps = new Timestamps(seed.timestampOffset);
    this.#lastReceivedAt = now;
    this.#keepAlive = options.keepAlive;
    this.#keepAliveIdle = options.keepAliveIdle;
    this.#keepAliveInterval = options.keepAliveInterval;
    this.#keepAliveCount = options.keepAliveCount;
    this.#userTimeout = options.userTimeout;
  }

  /** Active open. */
  static open(context: TcpContext, seed: ConnectionSeed, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-sent";
    connection.#synDue = true;
    context.wantsDispatch(connection);
    return connection;
  }

  /** Passive open: answers a SYN. */
  static answer(context: TcpContext, seed: ConnectionSeed, syn: PeerSyn, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-received";
    connection.#negotiate(syn, now);
    connection.#synDue = true;
    context.wantsDispatch(connection);
    return connection;
  }

  /** Passive open whose SYN-ACK was a cookie: `syn` is what the cookie remembered. Established at once. */
  static resume(context: TcpContext, seed: ConnectionSeed, syn: PeerSyn, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-received";
    connection.#negotiate(syn, now);
    connection.receiver.advertise(false);
    connection.#synsSent = 1;
    connection.#synSentAt = now;
    return connection;
  }

  /** A connection that ended before it began: its observer hears of `closed`, and nothing is sent. */
  static stillborn(
    context: TcpContext,
    seed: ConnectionSeed,
    observer: TcpObserver | undefined,
    now: Instant,
  ): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.observer = observer;
    connection.error = "reset";
    connection.#raise(TcpEvent.closed);
    return connection;
  }

  // ── the user's side ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes that `write` takes now; 0 after `shutdown`. */
  get sendSpace(): number {
    if (!this.#canWrite) return 0;
    const room = this.#sendCapacity - this.sender.queue.length;
    return room > 0 ? room : 0;
  }

  /** Bytes written and not yet acknowledged. */
  get sendQueued(): number {
    return this.sender.queue.length;
  }

  /** Bytes that arrived in order, to be taken off with {@linkcode consume}. */
  get receiveQueue(): ChunkQueue {
    return this.receiver.queue;
  }

  /** The peer's FIN is in sequence: end of file once the receive queue is empty. */
  get peerClosed(): boolean {
    return this.receiver.finished;
  }

  get #canWrite(): boolean {
    return !this.sender.finQueued && this.state !== "closed" && this.state !== "time-wait";
  }

  /** Linux' auto-tuning: room for what is in flight and as much again. */
  get #sendCapacity(): number {
    const { sendBuffer, sendBufferMax } = this.options;
    return Math.max(sendBuffer, Math.min(sendBufferMax, 2 * this.sender.congestion.cwnd));
  }

  /**
   * Queues the bytes `[start, end)` of `chunk` by reference and takes it over. After the end of the connection, or after
   * `shutdown`, they are dropped and counted.
   *
   * @throws RangeError if there is not as much {@linkcode sendSpace}, with 64 KiB to spare
   */
  write(chunk: PacketBuffer, now: Instant): void {
    if (!this.#canWrite) {
      this.#context.counters.bump("tcp.write-after-end");
      chunk.release();
      return;
    }
    const length = chunk.length;
    const room = this.#sendCapacity - this.sender.queue.length;
    if (length > Math.max(room, 0) + 65_536) {
      throw new RangeError(`Cannot write ${length} bytes: there is room for ${Math.max(room, 0)}`);
    }
    if (length < COPY_BELOW || length * 4 < chunk.bytes.length) {
      this.#copyIn(chunk.bytes, chunk.start, chunk.end);
      chunk.release();
    } else this.sender.queue.push(chunk);
    this.#afterWrite(now);
  }

  /** Copies as many of `bytes` as there is room for; returns how many. */
  writeBytes(bytes: Uint8Array, now: Instant): number {
    const length = Math.min(bytes.length, this.sendSpace);
    if (length < bytes.length) this.#wantsRoom = true;
    if (length === 0) return 0;
    this.#copyIn(bytes, 0, length);
    this.#afterWrite(now);
    return length;
  }

  #copyIn(bytes: Uint8Array, start: number, end: number): void {
    const { queue } = this.sender;
    while (start < end) {
      const last = queue.last();
      let tail = this.#writeTail;
      // The bytes behind what was sent are nobody's: appending to a buffer that is on its way is safe.
      if (
        last === undefined || tail === undefined || last.buffer !== tail || last.end === tail.bytes.length
      ) {
        const want = last === undefined ? end - start : Math.max(end - start, MEDIUM - HEADROOM);
        tail = this.#context.pool.take(Math.min(want, LARGE - HEADROOM));
        this.#writeTail = tail;
        const n = Math.min(end - start, tail.bytes.length - tail.end);
        tail.bytes.set(bytes.subarray(start, start + n), tail.end);
        tail.end += n;
        start += n;
        queue.push(tail, tail.start, tail.end);
        continue;
      }
      const n = Math.min(end - start, tail.bytes.length - last.end);
      tail.bytes.set(bytes.subarray(start, start + n), last.end);
      queue.extendLast(n);
      tail.end = last.end;
      start += n;
    }
  }

  #afterWrite(now: Instant): void {
    if (this.sendSpace === 0) this.#wantsRoom = true;
    this.#wake(now);
  }

  /** Takes `n` bytes off the receive queue; the window opens. */
  consume(n: number, now: Instant): void {
    const tell = this.receiver.consume(n, this.sender.rtt.srtt, now);
    if (tell && this.state !== "closed" && this.state !== "time-wait") this.#context.wantsDispatch(this);
  }

  /** FIN follows what is queued. Idempotent. */
  shutdown(now: Instant): void {
    if (this.sender.finQueued) return;
    if (this.state === "closed" || this.state === "time-wait") return;
    this.sender.finQueued = true;
    if (this.state === "established") this.state = "fin-wait-1";
    else if (this.state === "close-wait") this.state = "last-ack";
    this.#wake(now);
  }

  /** Ends the connection with a RST. The user gets `closed` with the error `aborted`. */
  abort(now: Instant): void {
    this.#end("aborted", this.#owesReset, now);
  }

  get #owesReset(): boolean {
    return this.state !== "syn-sent" && this.state !== "closed" && this.state !== "time-wait";
  }

  /**
   * The user goes away: no more events. Unread bytes are answered by a RST (RFC 1122 section 4.2.2.13), else what is queued is
   * still delivered, followed by a FIN.
   */
  close(now: Instant): void {
    this.observer = undefined;
    this.#orphan = true;
    this.#events = 0;
    const unread = this.receiver.queue.length > 0;
    if (this.state === "closed" || this.state === "time-wait") {
      this.receiver.clear();
      return;
    }
    if (this.state === "syn-sent" || this.state === "syn-received" || unread) {
      if (unread) this.#context.counters.bump("tcp.reset-unread");
      return this.#end(undefined, this.#owesReset, now);
    }
    this.receiver.clear();
    this.shutdown(now);
    if (this.state === "fin-wait-2") this.#lingerAt = later(now, this.options.finTimeout);
    this.#arm();
  }

  /** Nagle's algorithm off or on. */
  setNoDelay(on: boolean, now: Instant): void {
    this.sender.noDelay = on;
    this.#wake(now);
  }

  /** Hold partial segments back, or let them go. */
  setCork(on: boolean, now: Instant): void {
    this.sender.cork = on;
    this.#wake(now);
  }

  /** Keep-alive probes; times that are not given stay as they are. */
  setKeepAlive(
    on: boolean,
    _now: Instant,
    idle: Microseconds = this.#keepAliveIdle,
    interval: Microseconds = this.#keepAliveInterval,
    count: number = this.#keepAliveCount,
  ): void {
    this.#keepAlive = on;
    this.#keepAliveIdle = idle;
    this.#keepAliveInterval = interval;
    this.#keepAliveCount = count;
    this.#arm();
  }

  /** RFC 5482; 0: none. */
  setUserTimeout(timeout: Microseconds, _now: Instant): void {
    this.#userTimeout = timeout;
    this.#arm();
  }

  /** The events since the last call, a mask; 0: none. For the stack's poll. */
  takeEvents(): number {
    const events = this.#events;
    this.#events = 0;
    return events;
  }

  /** For `ss`. */
  facts(): SocketFacts {
    return describe(this, this.#pathMss.mtu);
  }

  // ── segments in ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** A segment with a good checksum for this connection, its cursor at the payload. Does not own `packet`. */
  onSegment(header: TcpHeader, packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    if (this.state === "closed") return;
    this.#lastReceivedAt = now;
    if (this.state === "syn-sent") this.#onSynSent(header, now);
    else this.#onSynchronized(header, packet, ip, now);
    if (this.#isDispatchDue) this.#context.wantsDispatch(this);
    this.#arm();
  }

  get #isDispatchDue(): boolean {
    return this.receiver.ackDue || this.#synDue || this.#resetDue || this.#strayResetDue ||
      this.sender.wantsToSend;
  }

  /** RFC 9293 section 3.10.7.3. */
  #onSynSent(header: TcpHeader, now: Instant): void {
    const { flags, acknowledgment } = header;
    const acked = (flags & TcpFlag.ack) !== 0;
    if (acked && acknowledgment !== seqAdd(this.#iss, 1)) {
      if ((flags & TcpFlag.rst) === 0) this.#resetStray(acknowledgment);
      return;
    }
    if ((flags & TcpFlag.rst) !== 0) {
      // "If the ACK was acceptable, then signal to the user "error: connection reset"": Linux says ECONNREFUSED.
      if (acked) this.#end("refused", false, now);
      return;
    }
    if ((flags & TcpFlag.syn) === 0) return;
    this.#negotiate(PeerSyn.of(header), now);
    if (!acked) {
      // Simultaneous open (RFC 9293 section 3.5, figure 7).
      this.state = "syn-received";
      this.#context.counters.bump("tcp.simultaneous-open");
      this.#synDue = true;
      this.#synsSent = 0;
      this.#handshakeAt = NEVER;
      return;
    }
    this.#establish(header, now);
    this.receiver.ackDue = true;
  }

  /** RFC 9293 section 3.10.7.4: the checks in their order, with RFC 5961's and Linux' refinements. */
  #onSynchronized(header: TcpHeader, packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    const { flags, sequence } = header;
    const payload = packet.fragments.length === 0 ? packet.end - packet.start : packet.totalLength;
    const length = segmentLength(flags, payload);
    const { receiver, timestamps } = this;
    const reset = (flags & TcpFlag.rst) !== 0;
    // RFC 7323 section 5.3 R1. A RST is let through: its sender may have lost all memory of timestamps.
    if (timestamps.enabled && header.hasTimestamp && !reset && timestamps.isOld(header.timestampValue, now)) {
      this.#context.counters.bump("tcp.paws");
      receiver.reportDuplicate(sequence, payload);
      return this.#answerOutOfWindow(now);
    }
    // First: the sequence number.
    if (!receiver.accepts(sequence, length)) {
      if (reset) {
        this.#context.counters.bump("tcp.out-of-window-reset");
        return;
      }
      if ((flags & TcpFlag.syn) !== 0) {
        // Simultaneous open, or the peer has lost our SYN-ACK: a SYN of the same number.
        if (this.state === "syn-received" && seqAdd(sequence, 1) === receiver.next) {
          return this.#repeatSynAck();
        }
        return this.#challenge(now);
      }
      receiver.reportDuplicate(sequence, payload);
      return this.#answerOutOfWindow(now);
    }
    // Second: RST (RFC 5961 section 3.2: exactly RCV.NXT, or be challenged).
    if (reset) {
      if (sequence !== receiver.next) return this.#challenge(now);
      return this.#onReset(now);
    }
    // Fourth: SYN (RFC 5961 section 4.2: challenge, whatever its number).
    if ((flags & TcpFlag.syn) !== 0) {
      if (this.state === "syn-received") {
        if (seqAdd(sequence, 1) !== receiver.next) return this.#challenge(now);
        if ((flags & TcpFlag.ack) === 0) return this.#repeatSynAck();
        // The SYN-ACK of a simultaneous open acknowledges our SYN.
      } else return this.#challenge(now);
    }
    // Fifth: ACK.
    if ((flags & TcpFlag.ack) === 0) return;
    if (this.state === "syn-received") {
      if (header.acknowledgment !== seqAdd(this.#iss, 1)) return this.#resetStray(header.acknowledgment);
      if (this.acceptor !== undefined && !this.acceptor.hasRoom()) {
        // Linux drops the ACK that has no place in the accept queue; the SYN-ACK is repeated, and asks again.
        this.#context.counters.bump("tcp.accept-queue-full");
        return;
      }
      this.#establish(header, now);
      if ((flags & TcpFlag.syn) !== 0) return;
    }
    if (this.state === "time-wait") return this.#onTimeWait(header, payload, now);
    if (timestamps.enabled && header.hasTimestamp && seqLe(sequence, receiver.lastAcked)) {
      timestamps.update(header.timestampValue, now);
    }
    if (!this.#onAcknowledgment(header, length, now)) return;
    // Sixth, URG: the pointer is ignored, urgent data is data (RFC 6093 section 6 asks applications not to use it).
    // Seventh and eighth: payload and FIN.
    this.#onPayload(header, packet, payload, ip, now);
  }

  #onReset(now: Instant): void {
    this.#context.counters.bump("tcp.resets-received");
    if (this.state === "time-wait" || this.state === "last-ack" || this.state === "closing") {
      return this.#end(undefined, false, now);
    }
    this.#end(this.state === "syn-received" ? "refused" : "reset", false, now);
  }

  /** Returns false if the segment must be dropped. */
  #onAcknowledgment(header: TcpHeader, length: number, now: Instant): boolean {
    const { sender } = this;
    const ack = header.acknowledgment;
    if (seqGt(ack, sender.nxt)) {
      // "If the ACK acks something not yet sent, then send an ACK, drop the segment".
      this.#context.counters.bump("tcp.ack-unsent");
      this.#challenge(now);
      return false;
    }
    if (seqLt(ack, seqAdd(sender.una, -sender.maxWindow))) {
      // RFC 5961 section 5.2: older than any window ever offered.
      this.#context.counters.bump("tcp.ack-too-old");
      this.#challenge(now);
      return false;
    }
    if (this.ecn && (header.flags & TcpFlag.ece) !== 0) sender.onCongestionEcho(now);
    if (seqLt(ack, sender.una)) return true; // an old acknowledgement; its payload may still be new
    const { timestamps } = this;
    const echo = timestamps.enabled && header.hasTimestamp ? timestamps.echo(header.timestampEcho, now) : NaN;
    if (echo === echo && length >= this.receiver.mss) {
      this.receiver.buffer.onRtt((timestampClock(now) - echo) * 1_000);
    }
    this.#keepAliveProbes = 0;
    const effect = sender.onAck(header, header.window * 2 ** this.sendScale, length, echo, now);
    if ((effect & AckEffect.advanced) !== 0) {
      this.#softError = undefined;
      this.#announceRoom();
    }
    if ((effect & AckEffect.finAcked) !== 0) this.#onFinAcked(now);
    return this.state !== "closed";
  }

  #announceRoom(): void {
    if (!this.#wantsRoom || !this.#canWrite) return;
    // Linux' sk_stream_is_writeable: a third of the buffer, so that the user writes in large pieces.
    if (3 * (this.#sendCapacity - this.sender.queue.length) < this.#sendCapacity) return;
    this.#wantsRoom = false;
    this.#raise(TcpEvent.writable);
  }

  #onPayload(header: TcpHeader, packet: PacketBuffer, payload: number, ip: IpHeader, now: Instant): void {
    const fin = (header.flags & TcpFlag.fin) !== 0;
    const { receiver } = this;
    if (this.ecn) {
      if ((header.flags & TcpFlag.cwr) !== 0) this.#echoDue = false;
      if ((ip.trafficClass & 3) === Ecn.congestionExperienced) {
        this.#echoDue = true;
        receiver.ackDue = true;
      }
    }
    if (payload === 0 && !fin) {
      // A keep-alive or window probe is one number behind.
      if (header.sequence !== receiver.next && seqLt(header.sequence, receiver.next)) receiver.ackDue = true;
      return;
    }
    if (this.state === "time-wait" || receiver.finished) {
      receiver.ackDue = true;
      return;
    }
    if (this.#orphan && payload > 0 && seqGt(seqAdd(header.sequence, payload), receiver.next)) {
      // RFC 1122 section 4.2.2.13: "SHOULD send a RST to show that data was lost".
      this.#context.counters.bump("tcp.data-after-close");
      return this.#end(undefined, true, now);
    }
    const arrival = receiver.onData(header.sequence, packet, payload, fin, now);
    if ((arrival & Arrival.overflow) !== 0) this.#context.counters.bump("tcp.out-of-order-full");
    if ((arrival & Arrival.delivered) !== 0) this.#raise(TcpEvent.readable);
    if ((arrival & Arrival.fin) !== 0) this.#onFin(now);
  }

  #onFin(now: Instant): void {
    this.#raise(TcpEvent.peerClosed | TcpEvent.readable);
    if (this.state === "established") this.state = "close-wait";
    else if (this.state === "fin-wait-1") this.state = "closing";
    else if (this.state === "fin-wait-2") this.#enterTimeWait(now);
  }

  #onFinAcked(now: Instant): void {
    if (this.state === "fin-wait-1") {
      this.state = "fin-wait-2";
      if (this.#orphan) this.#lingerAt = later(now, this.options.finTimeout);
    } else if (this.state === "closing") this.#enterTimeWait(now);
    else if (this.state === "last-ack") this.#end(undefined, false, now);
  }

  #enterTimeWait(now: Instant): void {
    this.sender.clear();
    if (!this.#context.enterTimeWait(this)) {
      this.#context.counters.bump("tcp.time-wait-overflow");
      // Linux kills it, but the last FIN is still acknowledged: `dispatch` has the acknowledgement first.
      this.#lingerAt = now;
    } else this.#lingerAt = later(now, this.options.timeWait);
    this.state = "time-wait";
    this.#raise(TcpEvent.closed);
  }

  /** RFC 9293: "The only thing that can arrive in this state is a retransmission of the remote FIN. Acknowledge it, and
   * restart the 2 MSL timeout". */
  #onTimeWait(header: TcpHeader, payload: number, now: Instant): void {
    if ((header.flags & TcpFlag.fin) === 0 && payload === 0) return;
    this.#lingerAt = later(now, this.options.timeWait);
    this.#answerOutOfWindow(now);
  }

  /**
   * Whether a SYN may take over the four-tuple from TIME-WAIT: "its initial sequence number is larger than the largest sequence
   * number used in the previous incarnation" (RFC 1122 section 4.2.2.13), or its timestamp is newer (RFC 6191).
   */
  isReusableBy(header: TcpHeader): boolean {
    if (this.state !== "time-wait") return false;
    if (
      this.timestamps.enabled && header.hasTimestamp && seqGt(header.timestampValue, this.timestamps.recent)
    ) return true;
    return seqGt(header.sequence, this.receiver.next);
  }

  /** The connection gives up its four-tuple to a new one. */
  yieldTuple(now: Instant): void {
    this.#end(undefined, false, now);
  }

  // ── handshake ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What the peer's SYN offers and ours does (or will): the option counts only if both sides have it. */
  #negotiate(syn: PeerSyn, now: Instant): void {
    const { options, receiver } = this;
    receiver.synchronize(syn.sequence);
    this.#pathMss.setPeer(syn.mss);
    if (options.windowScale && syn.windowScale >= 0) {
      this.sendScale = syn.windowScale;
      receiver.scale = windowScaleFor(
        receiver.buffer.capacity > options.receiveBufferMax
          ? receiver.buffer.capacity
          : options.receiveBufferMax,
      );
    }
    if (options.timestamps && syn.hasTimestamp) this.timestamps.synchronize(syn.timestampValue, now);
    receiver.sack = options.sack && syn.sackPermitted;
    this.ecn = syn.ecn && options.ecn !== "off" && (this.state !== "syn-sent" || options.ecn === "request") &&
      !this.#ecnRefused;
    this.sender.window = syn.window;
    const mss = this.#currentMss(now);
    this.sender.establish(syn.window, syn.sequence, mss, receiver.sack, this.#synsSent > 1);
    receiver.mss = Math.min(Math.max(mss, 536), 1_448);
  }

  #establish(header: TcpHeader, now: Instant): void {
    const passive = this.state === "syn-received";
    const { sender } = this;
    // RFC 7323 section 2.2: the window in a SYN is not scaled; the third segment's is.
    const scaled = (header.flags & TcpFlag.syn) === 0;
    const window = scaled ? header.window * 2 ** this.sendScale : header.window;
    sender.establish(window, header.sequence, sender.mss, this.receiver.sack, this.#synsSent > 1);
    if (this.#synsSent === 1) {
      const rtt = now - this.#synSentAt;
      if (rtt > 0 || !passive) sender.rtt.sample(rtt, now);
    }
    this.#handshakeAt = NEVER;
    this.#synDue = false;
    this.state = sender.finQueued ? "fin-wait-1" : "established";
    this.#raise(TcpEvent.established | TcpEvent.writable);
    const acceptor = this.acceptor;
    if (acceptor !== undefined) acceptor.established(this, now);
  }

  #repeatSynAck(): void {
    this.#context.counters.bump("tcp.syn-retransmitted");
    this.#synDue = true;
  }

  #emitSyn(now: Instant): PacketBuffer {
    const { options, receiver } = this;
    const answering = this.state === "syn-received";
    this.#synDue = false;
    if (this.#synsSent++ === 0) this.#synSentAt = now;
    else this.#context.counters.bump("tcp.syn-resent");
    this.#handshakeAt = later(now, SYN_TIMEOUT * 2 ** Math.min(this.#synsSent - 1, 6));
    outgoing.clearOptions();
    outgoing.mss = this.#pathMss.advertised(this.#context.route(this).mtu, options.maximumSegment);
    outgoing.sackPermitted = answering ? receiver.sack : options.sack;
    if (answering ? this.timestamps.enabled : options.timestamps) {
      outgoing.hasTimestamp = true;
      outgoing.timestampValue = this.timestamps.value(now);
      outgoing.timestampEcho = answering ? this.timestamps.recent : 0;
    }
    let flags: number = TcpFlag.syn;
    if (answering) {
      flags |= TcpFlag.ack;
      if (this.ecn) flags |= TcpFlag.ece;
      if (receiver.scale > 0 || this.sendScale > 0) outgoing.windowScale = receiver.scale;
    } else {
      if (options.windowScale) {
        outgoing.windowScale = windowScaleFor(Math.max(options.receiveBufferMax, options.receiveBuffer));
      }
      // RFC 3168 section 6.1.1.1: a SYN that was lost may have been dropped for its ECN bits: the next goes without.
      if (options.ecn === "request") {
        if (this.#synsSent > 1) this.#ecnRefused = true;
        else flags |= TcpFlag.ece | TcpFlag.cwr;
      }
    }
    const window = answering ? receiver.advertise(false) : Math.min(receiver.buffer.capacity, 65_535);
    this.trafficClass = 0;
    if (answering) receiver.onAckSent();
    this.#arm();
    return this.#emit(flags, this.#iss, window);
  }

  #resetStray(sequence: number): void {
    this.#context.counters.bump("tcp.handshake-bad-ack");
    this.#strayResetDue = true;
    this.#strayReset = sequence;
  }

  // ── answers to what should not be ────────────────────────────────────────────────────────────────────────────────

  /** RFC 5961: an ACK that a true peer will answer, limited per connection and in total. */
  #challenge(now: Instant): void {
    if (this.#recentlyAnswered(now) || !this.#context.allowChallenge(now)) {
      this.#context.counters.bump("tcp.challenge-suppressed");
      return;
    }
    this.#context.counters.bump("tcp.challenge-acks");
    this.receiver.ackDue = true;
  }

  /** "If an incoming segment is not acceptable, an acknowledgment should be sent in reply": but two endpoints that disagree must
   * not talk for ever. */
  #answerOutOfWindow(now: Instant): void {
    this.#context.counters.bump("tcp.out-of-window");
    if (this.#recentlyAnswered(now)) {
      this.#context.counters.bump("tcp.out-of-window-suppressed");
      return;
    }
    this.receiver.ackDue = true;
  }

  #recentlyAnswered(now: Instant): boolean {
    if (this.#lastOutOfWindowAt >= 0 && now - this.#lastOutOfWindowAt < OUT_OF_WINDOW_INTERVAL) return true;
    this.#lastOutOfWindowAt = now;
    return false;
  }

  // ── packets out ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** At most one packet: TCP header at `start`, payload by reference, checksum partial; undefined: nothing to send now. */
  dispatch(now: Instant): PacketBuffer | undefined {
    if (this.#strayResetDue) {
      this.#strayResetDue = false;
      outgoing.clearOptions();
      return this.#emitReset(TcpFlag.rst, this.#strayReset, false);
    }
    if (this.#resetDue) {
      this.#resetDue = false;
      outgoing.clearOptions();
      const packet = this.#emitReset(TcpFlag.rst | TcpFlag.ack, this.sender.nxt, true);
      this.#context.closed(this);
      return packet;
    }
    if (this.#synDue) return this.#emitSyn(now);
    const { receiver, sender } = this;
    if (this.state === "closed" || this.state === "syn-sent") return undefined;
    if (this.state === "syn-received" || this.state === "time-wait") {
      return receiver.ackDue ? this.#emitAck(now) : undefined;
    }
    // Blocks would shorten the segments; duplicates must not be taken for data. Both go alone.
    if (receiver.duplicatesDue > 0 || (receiver.ackDue && receiver.hasBlocks)) return this.#emitAck(now);
    if (sender.wantsToSend) {
      const mss = this.#currentMss(now);
      if (mss !== sender.mss) sender.setMss(mss);
      if (sender.next(this.#capacity(mss), timestampClock(now), now)) {
        this.#arm();
        return this.#emitPlan(now);
      }
      this.#arm();
    }
    return receiver.ackDue ? this.#emitAck(now) : undefined;
  }

  /** Payload per segment, options taken off. */
  #currentMss(now: Instant): number {
    const mss = this.#pathMss.current(this.#context.route(this).mtu, now);
    return this.timestamps.enabled ? mss - TIMESTAMP_OPTION : mss;
  }

  /** Largest payload of one packet: more than a segment where somebody cuts it. */
  #capacity(mss: number): number {
    const { gsoMaxSize } = this.#context.route(this);
    if (gsoMaxSize === 0) return mss;
    const headers = headersOf(this.localAddress.family) + (this.timestamps.enabled ? TIMESTAMP_OPTION : 0);
    return Math.max(Math.min(gsoMaxSize, 65_535) - headers, mss);
  }

  #emitPlan(now: Instant): PacketBuffer {
    const { sender } = this;
    const { planLength, planFin, planStart } = sender;
    this.#beginSegment(now);
    let flags: number = TcpFlag.ack;
    if (planFin) flags |= TcpFlag.fin;
    if (sender.planPush) flags |= TcpFlag.psh;
    // RFC 3168 section 6.1.5: retransmissions and pure ACKs are not ECN-capable.
    const fresh = planLength > 0 && !sender.planRetransmission;
    if (this.ecn && fresh) {
      this.trafficClass = Ecn.capable0;
      if (sender.cwrDue) {
        flags |= TcpFlag.cwr;
        sender.cwrDue = false;
      }
    }
    if (this.#echoDue) flags |= TcpFlag.ece;
    const window = this.receiver.advertise(true);
    this.receiver.onAckSent();
    const packet = takeHeaderBuffer(this.#context.pool);
    if (planLength > 0) {
      sender.attachPayload(packet);
      if (planLength > sender.mss) requestSegmentation(packet, this.localAddress, sender.mss);
    }
    return this.#emitOn(packet, flags, planStart, window);
  }

  #emitAck(now: Instant): PacketBuffer {
    this.#beginSegment(now);
    this.receiver.writeSack(outgoing);
    const window = this.receiver.advertise(true);
    this.receiver.onAckSent();
    this.#arm();
    return this.#emit(this.#echoDue ? TcpFlag.ack | TcpFlag.ece : TcpFlag.ack, this.sender.nxt, window);
  }

  #emitReset(flags: number, sequence: number, acknowledge: boolean): PacketBuffer {
    this.#context.counters.bump("tcp.resets-sent");
    this.trafficClass = 0;
    const packet = this.#emit(flags, sequence, 0);
    if (!acknowledge) packet.view.setInt32(packet.start + 8, 0);
    return packet;
  }

  #beginSegment(now: Instant): void {
    outgoing.clearOptions();
    this.trafficClass = 0;
    if (this.timestamps.enabled) {
      outgoing.hasTimestamp = true;
      outgoing.timestampValue = this.timestamps.value(now);
      outgoing.timestampEcho = this.timestamps.recent;
    }
  }

  #emit(flags: number, sequence: number, window: number): PacketBuffer {
    return this.#emitOn(takeHeaderBuffer(this.#context.pool), flags, sequence, window);
  }

  #emitOn(packet: PacketBuffer, flags: number, sequence: number, window: number): PacketBuffer {
    outgoing.sourcePort = this.localPort;
    outgoing.destinationPort = this.remotePort;
    outgoing.sequence = sequence;
    outgoing.acknowledgment = (flags & TcpFlag.ack) !== 0 ? this.receiver.next : 0;
    outgoing.flags = flags;
    outgoing.window = window;
    outgoing.urgentPointer = 0;
    return emitOutgoing(packet, this.localAddress, this.remoteAddress);
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The timer fired, perhaps early. */
  onTimer(now: Instant): void {
    this.timerAt = NEVER;
    if (this.state === "closed") return;
    const { receiver, sender } = this;
    if (receiver.timerAt <= now) receiver.onTimer(now);
    if (this.#handshakeAt <= now && !this.#onHandshakeTimeout(now)) return;
    if (this.#lingerAt <= now) {
      if (this.state === "fin-wait-2") this.#context.counters.bump("tcp.fin-timeout");
      return this.#end(undefined, false, now);
    }
    if (this.#userTimeoutAt <= now) return this.#end(this.#softError ?? "timed-out", true, now);
    if (sender.timerAt <= now) {
      const timeout = sender.onTimer(now);
      if (timeout && !this.#onRetransmitTimeout(now)) return;
      if (this.#orphan && sender.persists > this.options.orphanRetries) {
        // Nobody waits for this data any more, and a peer that never opens its window must not keep it here.
        this.#context.counters.bump("tcp.orphan-zero-window");
        return this.#end("timed-out", true, now);
      }
    }
    if (this.#keepAliveAt <= now && !this.#onKeepAlive(now)) return;
    if (this.#isDispatchDue) this.#context.wantsDispatch(this);
    this.#arm();
  }

  /** Returns false if it was the last try. */
  #onHandshakeTimeout(now: Instant): boolean {
    const passive = this.state === "syn-received";
    const retries = passive ? this.options.synAckRetries : this.options.synRetries;
    if (this.#synsSent > retries) {
      this.#context.counters.bump("tcp.handshake-timeout");
      this.#end(this.#softError ?? "timed-out", false, now);
      return false;
    }
    this.#handshakeAt = NEVER;
    this.#synDue = true;
    return true;
  }

  #onRetransmitTimeout(now: Instant): boolean {
    const { sender } = this;
    this.#context.counters.bump("tcp.timeouts");
    const limit = this.#orphan ? this.options.orphanRetries : this.options.retries;
    if (isHopeless(sender, limit, now)) {
      this.#end(this.#softError ?? "timed-out", true, now);
      return false;
    }
    if (this.#pathMss.onTimeouts(sender.timeouts, sender.mss)) {
      this.#context.counters.bump("tcp.black-hole");
      sender.setMss(this.#currentMss(now));
    }
    return true;
  }

  get #keepAliveAt(): Instant {
    if (
      !this.#keepAlive || this.state === "time-wait" || this.state === "syn-sent" ||
      this.state === "syn-received"
    ) {
      return NEVER;
    }
    const wait = this.#keepAliveIdle + this.#keepAliveProbes * this.#keepAliveInterval;
    return later(this.#lastReceivedAt, wait);
  }

  /** Returns false if the peer is dead. */
  #onKeepAlive(now: Instant): boolean {
    const { sender } = this;
    // With data in flight the retransmission timer finds out.
    if (sender.outstanding > 0 || sender.unsent > 0) {
      this.#lastReceivedAt = now;
      this.#keepAliveProbes = 0;
      return true;
    }
    if (this.#keepAliveProbes >= this.#keepAliveCount) {
      this.#context.counters.bump("tcp.keep-alive-timeout");
      this.#end(this.#softError ?? "timed-out", true, now);
      return false;
    }
    this.#keepAliveProbes++;
    sender.requestProbe();
    return true;
  }

  get #userTimeoutAt(): Instant {
    const { sender } = this;
    if (this.#userTimeout === 0 || (sender.outstanding === 0 && sender.persists === 0)) return NEVER;
    return later(sender.stalledSince, this.#userTimeout);
  }

  /** Arms the one timer, if something is due before it fires anyway. */
  #arm(): void {
    if (this.state === "closed") return;
    let at = this.sender.timerAt;
    if (this.receiver.timerAt < at) at = this.receiver.timerAt;
    if (this.#handshakeAt < at) at = this.#handshakeAt;
    if (this.#lingerAt < at) at = this.#lingerAt;
    if (this.#keepAlive && this.#keepAliveAt < at) at = this.#keepAliveAt;
    if (this.#userTimeout > 0 && this.#userTimeoutAt < at) at = this.#userTimeoutAt;
    if (at < this.timerAt) this.#context.setTimer(this, at);
  }

  // ── ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * An ICMP error quotes a segment of ours (RFC 1122 section 4.2.3.9, RFC 5927).
   *
   * @param sequence the quoted one: only who saw our traffic knows one that is in flight
   * @param mtu of `packet-too-big`, 0 if the router did not say
   */
  onIcmpError(kind: TcpIcmpError, mtu: number, sequence: number, now: Instant): void {
    const { sender } = this;
    const handshake = this.state === "syn-sent" || this.state === "syn-received";
    const valid = handshake
      ? sequence === this.#iss
      : !seqLt(sequence, sender.una) && seqLe(sequence, sender.nxt);
    if (!valid || this.state === "closed") {
      this.#context.counters.bump("tcp.icmp-out-of-window");
      return;
    }
    if (kind === "packet-too-big") {
      this.#pathMss.onTooBig(mtu, now);
      const mss = this.#currentMss(now);
      if (mss >= sender.mss) return;
      this.#context.counters.bump("tcp.path-mtu-reduced");
      sender.setMss(mss);
      this.#context.wantsDispatch(this);
      return;
    }
    const error = ICMP_ERRORS[kind];
    if (handshake) {
      // Linux: during the handshake every one of them ends the attempt; afterwards none does.
      this.#context.counters.bump("tcp.icmp-refused");
      return this.#end(error, false, now);
    }
    this.#softError = error;
    if (sender.timeouts > 0 && (kind === "host-unreachable" || kind === "network-unreachable")) {
      sender.revertBackoff(now); // RFC 6069: the time-outs were not congestion
      this.#arm();
    }
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #raise(events: number): void {
    if (this.#orphan || this.acceptor !== undefined) return;
    if (this.#events === 0) this.#context.notify(this);
    this.#events |= events;
  }

  /** The listener hands the connection out: from now on there are events. */
  handOut(): void {
    this.acceptor = undefined;
    let events: number = TcpEvent.established | TcpEvent.writable;
    if (this.receiver.queue.length > 0) events |= TcpEvent.readable;
    if (this.receiver.finished) events |= TcpEvent.readable | TcpEvent.peerClosed;
    if (this.state === "closed" || this.state === "time-wait") events |= TcpEvent.closed;
    this.#raise(events);
  }

  #wake(_now: Instant): void {
    if (this.state === "syn-sent" || this.state === "syn-received" || this.state === "closed") return;
    if (this.#isDispatchDue) this.#context.wantsDispatch(this);
  }

  /** The only way to `closed`. What the user has not read stays readable, unless the user is gone or the peer reset. */
  #end(error: TcpError | undefined, reset: boolean, now: Instant): void {
    if (this.state === "closed") return;
    const waited = this.state === "time-wait";
    this.state = "closed";
    this.error = error;
    this.sender.clear();
    this.receiver.timerAt = NEVER;
    this.receiver.ackDue = false;
    if (this.#orphan || error !== undefined) this.receiver.clear();
    this.#synDue = false;
    this.#handshakeAt = NEVER;
    this.#lingerAt = NEVER;
    this.#context.setTimer(this, NEVER);
    if (!waited) this.#raise(TcpEvent.closed);
    const acceptor = this.acceptor;
    if (acceptor !== undefined) acceptor.abandoned(this);
    void now;
    if (reset) {
      // The table forgets us when the RST has left.
      this.#resetDue = true;
      this.#context.wantsDispatch(this);
    } else this.#context.closed(this);
  }
}

const ICMP_ERRORS: Readonly<Record<Exclude<TcpIcmpError, "packet-too-big">, TcpError>> = {
  "network-unreachable": "network-unreachable",
  "host-unreachable": "host-unreachable",
  "protocol-unreachable": "refused",
  "port-unreachable": "refused",
  "admin-prohibited": "host-unreachable",
  "source-route-failed": "host-unreachable",
  "time-exceeded": "host-unreachable",
  "parameter-problem": "host-unreachable",
};
