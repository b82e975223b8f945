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
import type { PacketBuffer } from "../buffer/packet.ts";
import type { SocketFacts } from "../facts.ts";
import { type Instant, later, type Microseconds, NEVER } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { Ecn, type IpHeader } from "../wire/ip.ts";
import { TcpFlag, type TcpHeader } from "../wire/tcp.ts";
import { describe } from "./connection_facts.ts";
import type { ConnectionSeed, TcpAcceptor } from "./connection_seed.ts";
import type { TcpContext, TcpPath } from "./context.ts";
import { type TcpError, TcpEvent, type TcpIcmpError, type TcpObserver } from "./events.ts";
import { examine } from "./examine.ts";
import { Handshake } from "./handshake.ts";
import { ICMP_ERROR } from "./icmp_errors.ts";
import { KeepAlive } from "./keep_alive.ts";
import type { TcpOptions } from "./options.ts";
import { PeerSyn } from "./peer_syn.ts";
import { OUT_OF_WINDOW_INTERVAL } from "./rate_limit.ts";
import { Arrival, Receiver } from "./receiver.ts";
import { SegmentOutput } from "./segment_output.ts";
import { segmentLength } from "./segment_writer.ts";
import { SendBuffer } from "./send_buffer.ts";
import { AckEffect, isHopeless, Sender } from "./sender.ts";
import { seqAdd, seqGt, seqLe, seqLt } from "./sequence.ts";
import type { TcpState } from "./state.ts";
import { timestampClock, Timestamps } from "./timestamps.ts";

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
  /** The listener that has not handed it out yet. */
  acceptor: TcpAcceptor | undefined = undefined;

  readonly #context: TcpContext;
  readonly #output: SegmentOutput;
  readonly #handshake: Handshake;
  readonly #keepAlive: KeepAlive;
  readonly #sendBuffer: SendBuffer;
  #events = 0;
  /** The user is gone. */
  #orphan = false;
  #resetDue = false;
  /** RST for a bad acknowledgement during the handshake; its sequence number. */
  #strayResetDue = false;
  #strayReset = 0;
  /** The peer offered to scale windows, and so do we. */
  #scaled = false;
  /** End of FIN-WAIT-2 or TIME-WAIT. */
  #lingerAt: Instant = NEVER;
  #userTimeout: Microseconds;
  #answeredAt = -1;
  #softError: TcpError | undefined = undefined;

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
    this.timestamps = new Timestamps(seed.timestampOffset);
    this.receiver = new Receiver(
      context.pool,
      options.receiveBuffer,
      options.receiveBufferMax,
      options.delayedAck,
    );
    this.#output = new SegmentOutput(seed, context.pool, this.timestamps, this.receiver);
    this.sender = new Sender(options.congestion, seqAdd(seed.sequence, 1), this.#output.mss(seed.path, now));
    this.sender.noDelay = options.noDelay;
    this.sender.cork = options.cork;
    this.#sendBuffer = new SendBuffer(this.sender.queue, context.pool, options);
    this.#handshake = new Handshake(seed.sequence, options);
    this.#keepAlive = new KeepAlive(options, now);
    this.#userTimeout = options.userTimeout;
  }

  /** Active open. */
  static open(context: TcpContext, seed: ConnectionSeed, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-sent";
    connection.#handshake.due = true;
    context.wantsDispatch(connection);
    return connection;
  }

  /** Passive open: answers a SYN. */
  static answer(context: TcpContext, seed: ConnectionSeed, syn: PeerSyn, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-received";
    connection.#negotiate(syn, now);
    connection.#handshake.due = true;
    context.wantsDispatch(connection);
    return connection;
  }

  /** Passive open whose SYN-ACK was a cookie: `syn` is what the cookie remembered. The next segment establishes it. */
  static resume(context: TcpContext, seed: ConnectionSeed, syn: PeerSyn, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-received";
    connection.#negotiate(syn, now);
    connection.receiver.advertise(false);
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

  // ── the user's side ──────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes that `write` takes now; 0 after `shutdown`. */
  get sendSpace(): number {
    return this.#canWrite ? this.#sendBuffer.room(this.sender.congestion.cwnd) : 0;
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

  /** DSCP and ECN bits for the IP header of the packet that the last `dispatch` returned. */
  get trafficClass(): number {
    return this.#output.trafficClass;
  }

  /** Both sides do ECN (RFC 3168). */
  get ecn(): boolean {
    return this.#output.ecn;
  }

  get #canWrite(): boolean {
    return !this.sender.finQueued && this.state !== "closed" && this.state !== "time-wait";
  }

  /**
   * Queues the bytes `[start, end)` of `chunk` by reference and takes it over. After the end of the connection, or after
   * `shutdown`, they are dropped and counted.
   *
   * @throws RangeError if there is not as much {@linkcode sendSpace}, with 64 KiB to spare
   */
  write(chunk: PacketBuffer, _now: Instant): void {
    if (!this.#canWrite) {
      this.#context.counters.bump("tcp.write-after-end");
      return chunk.release();
    }
    this.#sendBuffer.write(chunk, this.sender.congestion.cwnd);
    this.#wake();
  }

  /** Copies as many of `bytes` as there is room for; returns how many. */
  writeBytes(bytes: Uint8Array, _now: Instant): number {
    if (!this.#canWrite) return 0;
    const length = this.#sendBuffer.writeBytes(bytes, this.sender.congestion.cwnd);
    if (length > 0) this.#wake();
    return length;
  }

  /** Takes `n` bytes off the receive queue; the window opens. */
  consume(n: number, now: Instant): void {
    const tell = this.receiver.consume(n, this.sender.rtt.srtt, now);
    if (tell && this.state !== "closed" && this.state !== "time-wait") this.#context.wantsDispatch(this);
  }

  /** FIN follows what is queued. Idempotent. */
  shutdown(_now: Instant): void {
    if (!this.#canWrite) return;
    this.sender.finQueued = true;
    if (this.state === "established") this.state = "fin-wait-1";
    else if (this.state === "close-wait") this.state = "last-ack";
    this.#wake();
  }

  /** Ends the connection with a RST. The user gets `closed` with the error `aborted`. */
  abort(_now: Instant): void {
    this.#end("aborted", true);
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
    if (this.state === "closed" || this.state === "time-wait") return this.receiver.clear();
    if (unread) this.#context.counters.bump("tcp.reset-unread");
    if (unread || this.state === "syn-sent" || this.state === "syn-received") {
      return this.#end(undefined, true);
    }
    this.shutdown(now);
    if (this.state === "fin-wait-2") this.#lingerAt = later(now, this.options.finTimeout);
    this.#arm();
  }

  /** Nagle's algorithm off or on. */
  setNoDelay(on: boolean, _now: Instant): void {
    this.sender.noDelay = on;
    this.#wake();
  }

  /** Hold partial segments back, or let them go. */
  setCork(on: boolean, _now: Instant): void {
    this.sender.cork = on;
    this.#wake();
  }

  /** Keep-alive probes; times that are not given stay as they are. */
  setKeepAlive(
    on: boolean,
    _now: Instant,
    idle?: Microseconds,
    interval?: Microseconds,
    count?: number,
  ): void {
    const keepAlive = this.#keepAlive;
    keepAlive.enabled = on;
    keepAlive.idle = idle ?? keepAlive.idle;
    keepAlive.interval = interval ?? keepAlive.interval;
    keepAlive.count = count ?? keepAlive.count;
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
    return describe(this, this.#output.pathMss.mtu);
  }

  // ── segments in ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A segment with a good checksum for this connection, its cursor at the payload. Does not own `packet`. */
  onSegment(header: TcpHeader, packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    if (this.state === "closed") return;
    this.#keepAlive.heard(now);
    if (this.state === "syn-sent") this.#onSynSent(header, now);
    else this.#onSynchronized(header, packet, ip, now);
    if (this.#isDispatchDue) this.#context.wantsDispatch(this);
    this.#arm();
  }

  get #isDispatchDue(): boolean {
    return this.receiver.ackDue || this.#handshake.due || this.#resetDue || this.#strayResetDue ||
      this.sender.wantsToSend;
  }

  /** RFC 9293 section 3.10.7.3. */
  #onSynSent(header: TcpHeader, now: Instant): void {
    const { flags, acknowledgment } = header;
    const acked = (flags & TcpFlag.ack) !== 0;
    if (acked && acknowledgment !== seqAdd(this.#handshake.sequence, 1)) {
      if ((flags & TcpFlag.rst) === 0) this.#resetStray(acknowledgment);
      return;
    }
    if ((flags & TcpFlag.rst) !== 0) {
      // "If the ACK was acceptable, then signal to the user "error: connection reset"": Linux says ECONNREFUSED.
      if (acked) this.#end("refused", false);
      return;
    }
    if ((flags & TcpFlag.syn) === 0) return;
    this.#negotiate(PeerSyn.of(header), now);
    if (acked) {
      this.#establish(header, now);
      this.receiver.ackDue = true;
      return;
    }
    // Simultaneous open (RFC 9293 section 3.5, figure 7).
    this.state = "syn-received";
    this.#context.counters.bump("tcp.simultaneous-open");
    this.#handshake.restart();
  }

  /** RFC 9293 section 3.10.7.4. */
  #onSynchronized(header: TcpHeader, packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    const { receiver, timestamps } = this;
    const { sequence } = header;
    const payload = packet.fragments.length === 0 ? packet.end - packet.start : packet.totalLength;
    const length = segmentLength(header.flags, payload);
    switch (examine(header, length, this.state, receiver, timestamps, now)) {
      case "accept":
        break;
      case "ignore":
        return;
      case "old-timestamp":
        this.#context.counters.bump("tcp.paws");
        receiver.reportDuplicate(sequence, payload);
        return this.#answerOutOfWindow(now);
      case "out-of-window":
        receiver.reportDuplicate(sequence, payload);
        return this.#answerOutOfWindow(now);
      case "out-of-window-reset":
        return this.#context.counters.bump("tcp.out-of-window-reset");
      case "challenge":
        return this.#challenge(now);
      case "reset":
        return this.#onReset();
      case "repeat-syn-ack":
        this.#context.counters.bump("tcp.syn-retransmitted");
        this.#handshake.due = true;
        return;
    }
    if (this.state === "syn-received") {
      if (header.acknowledgment !== seqAdd(this.#handshake.sequence, 1)) {
        return this.#resetStray(header.acknowledgment);
      }
      if (this.acceptor !== undefined && !this.acceptor.hasRoom()) {
        // Linux drops the ACK that has no place in the accept queue; the SYN-ACK is repeated, and asks again.
        return this.#context.counters.bump("tcp.accept-queue-full");
      }
      this.#establish(header, now);
      if ((header.flags & TcpFlag.syn) !== 0) return;
    }
    if (this.state === "time-wait") return this.#onTimeWait(header, payload, now);
    // RFC 7323 section 4.3 (2): what begins behind the last acknowledgement must not be echoed.
    if (timestamps.enabled && header.hasTimestamp && seqLe(sequence, receiver.lastAcked)) {
      timestamps.update(header.timestampValue, now);
    }
    if (!this.#onAcknowledgment(header, length, now)) return;
    // Sixth, URG: the pointer is ignored, urgent data is data (RFC 6093 section 6 asks applications not to use it).
    // Seventh and eighth: payload and FIN.
    this.#onPayload(header, packet, payload, ip, now);
  }

  #onReset(): void {
    this.#context.counters.bump("tcp.resets-received");
    const { state } = this;
    if (state === "time-wait" || state === "last-ack" || state === "closing") {
      return this.#end(undefined, false);
    }
    this.#end(state === "syn-received" ? "refused" : "reset", false);
  }

  /** Returns false if the segment must be dropped, or ended the connection. */
  #onAcknowledgment(header: TcpHeader, length: number, now: Instant): boolean {
    const { sender, timestamps } = this;
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
    const echo = timestamps.enabled && header.hasTimestamp ? timestamps.echo(header.timestampEcho, now) : NaN;
    if (echo === echo && length >= this.receiver.mss) {
      this.receiver.buffer.onRtt((timestampClock(now) - echo) * 1_000);
    }
    const effect = sender.onAck(header, header.window * 2 ** this.sendScale, length, echo, now);
    if ((effect & AckEffect.advanced) !== 0) {
      this.#softError = undefined;
      if (this.#canWrite && this.#sendBuffer.shouldTell(sender.congestion.cwnd)) {
        this.#sendBuffer.wanted = false;
        this.#raise(TcpEvent.writable);
      }
    }
    if ((effect & AckEffect.finAcked) !== 0) this.#onFinAcked(now);
    return this.state !== "closed";
  }

  #onPayload(header: TcpHeader, packet: PacketBuffer, payload: number, ip: IpHeader, now: Instant): void {
    const fin = (header.flags & TcpFlag.fin) !== 0;
    const { receiver } = this;
    if (this.ecn) {
      if ((header.flags & TcpFlag.cwr) !== 0) this.#output.echoDue = false;
      if ((ip.trafficClass & 3) === Ecn.congestionExperienced) {
        this.#output.echoDue = true;
        receiver.ackDue = true;
      }
    }
    if (payload === 0 && !fin) {
      // A keep-alive or window probe is one number behind.
      if (seqLt(header.sequence, receiver.next)) receiver.ackDue = true;
      return;
    }
    if (this.state === "time-wait" || receiver.finished) {
      receiver.ackDue = true;
      return;
    }
    if (this.#orphan && payload > 0 && seqGt(seqAdd(header.sequence, payload), receiver.next)) {
      // RFC 1122 section 4.2.2.13: "SHOULD send a RST to show that data was lost".
      this.#context.counters.bump("tcp.data-after-close");
      return this.#end(undefined, true);
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
    else if (this.state === "last-ack") this.#end(undefined, false);
  }

  #enterTimeWait(now: Instant): void {
    this.sender.clear();
    this.state = "time-wait";
    if (this.#context.enterTimeWait(this)) this.#lingerAt = later(now, this.options.timeWait);
    else {
      // Linux kills it. The last FIN is acknowledged all the same: the acknowledgement leaves before the timer fires.
      this.#context.counters.bump("tcp.time-wait-overflow");
      this.#lingerAt = now;
    }
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
    const { timestamps } = this;
    if (timestamps.enabled && header.hasTimestamp && seqGt(header.timestampValue, timestamps.recent)) {
      return true;
    }
    return seqGt(header.sequence, this.receiver.next);
  }

  /** The connection in TIME-WAIT gives up its four-tuple to a new one. */
  yieldTuple(): void {
    this.#end(undefined, false);
  }

  /** What the peer's SYN offers and ours does (or will): an option counts only if both have it. */
  #negotiate(syn: PeerSyn, now: Instant): void {
    const { options, receiver } = this;
    receiver.synchronize(syn.sequence);
    this.#output.pathMss.setPeer(syn.mss);
    this.#scaled = options.windowScale && syn.windowScale >= 0;
    if (this.#scaled) {
      this.sendScale = syn.windowScale;
      receiver.scale = this.#handshake.windowScale;
    }
    if (options.timestamps && syn.hasTimestamp) this.timestamps.synchronize(syn.timestampValue, now);
    receiver.sack = options.sack && syn.sackPermitted;
    this.#output.ecn = this.#handshake.agreesOnEcn(syn, this.state === "syn-sent");
    const mss = this.#output.mss(this.#context.route(this), now);
    this.sender.establish(syn.window, syn.sequence, mss, receiver.sack, this.#handshake.sent > 1);
    receiver.mss = Math.min(Math.max(mss, 536), 1_448);
  }

  #establish(header: TcpHeader, now: Instant): void {
    const { sender } = this;
    const handshake = this.#handshake;
    // RFC 7323 section 2.2: the window in a SYN is not scaled; the third segment's is.
    const window = (header.flags & TcpFlag.syn) !== 0 ? header.window : header.window * 2 ** this.sendScale;
    sender.establish(window, header.sequence, sender.mss, this.receiver.sack, handshake.sent > 1);
    if (handshake.sent === 1) sender.rtt.sample(now - handshake.sentAt, now);
    handshake.stop();
    this.state = sender.finQueued ? "fin-wait-1" : "established";
    this.#raise(TcpEvent.established | TcpEvent.writable);
    this.acceptor?.established(this, now);
  }

  #resetStray(sequence: number): void {
    this.#context.counters.bump("tcp.handshake-bad-ack");
    this.#strayResetDue = true;
    this.#strayReset = sequence;
  }

  /** RFC 5961: an ACK that a true peer will answer, limited per connection and in total. */
  #challenge(now: Instant): void {
    if (this.#recentlyAnswered(now) || !this.#context.allowChallenge(now)) {
      return this.#context.counters.bump("tcp.challenge-suppressed");
    }
    this.#context.counters.bump("tcp.challenge-acks");
    this.receiver.ackDue = true;
  }

  /** "If an incoming segment is not acceptable, an acknowledgment should be sent in reply": but two endpoints that disagree must
   * not talk for ever. */
  #answerOutOfWindow(now: Instant): void {
    this.#context.counters.bump("tcp.out-of-window");
    if (this.#recentlyAnswered(now)) return this.#context.counters.bump("tcp.out-of-window-suppressed");
    this.receiver.ackDue = true;
  }

  #recentlyAnswered(now: Instant): boolean {
    if (this.#answeredAt >= 0 && now - this.#answeredAt < OUT_OF_WINDOW_INTERVAL) return true;
    this.#answeredAt = now;
    return false;
  }

  // ── packets out ──────────────────────────────────────────────────────────────────────────────────────────────

  /** At most one packet: TCP header at `start`, payload by reference, checksum partial; undefined: nothing to send now. */
  dispatch(now: Instant): PacketBuffer | undefined {
    const packet = this.#dispatch(now);
    if (this.state !== "closed") this.#arm();
    return packet;
  }

  #dispatch(now: Instant): PacketBuffer | undefined {
    const { receiver, sender } = this;
    const output = this.#output;
    if (this.#strayResetDue) {
      this.#strayResetDue = false;
      this.#context.counters.bump("tcp.resets-sent");
      return output.reset(this.#strayReset, false);
    }
    if (this.#resetDue) {
      this.#resetDue = false;
      this.#context.counters.bump("tcp.resets-sent");
      this.#context.closed(this);
      return output.reset(sender.nxt, true);
    }
    if (this.#handshake.due) return this.#emitSyn(now);
    if (this.state === "closed" || this.state === "syn-sent") return undefined;
    if (this.state === "syn-received" || this.state === "time-wait") {
      return receiver.ackDue ? output.acknowledgement(sender.nxt, now) : undefined;
    }
    // Blocks would shorten the segments; duplicates must not be taken for data. Both go alone.
    if (receiver.duplicatesDue > 0 || (receiver.ackDue && receiver.hasBlocks)) {
      return output.acknowledgement(sender.nxt, now);
    }
    if (sender.wantsToSend) {
      const path = this.#context.route(this);
      const mss = output.mss(path, now);
      if (mss !== sender.mss) sender.setMss(mss);
      if (sender.next(output.capacity(path, mss), timestampClock(now), now)) {
        return output.planned(sender, now);
      }
    }
    return receiver.ackDue ? output.acknowledgement(sender.nxt, now) : undefined;
  }

  #emitSyn(now: Instant): PacketBuffer {
    const handshake = this.#handshake;
    if (handshake.sent > 0) this.#context.counters.bump("tcp.syn-resent");
    const mss = this.#output.pathMss.advertised(this.#context.route(this).mtu, this.options.maximumSegment);
    const flags = this.state === "syn-sent"
      ? handshake.fillSyn(mss, this.timestamps, now)
      : handshake.fillSynAck(mss, this.timestamps, this.receiver, this.#scaled, this.ecn, now);
    return this.#output.syn(flags, handshake.sequence);
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The timer fired, perhaps early. */
  onTimer(now: Instant): void {
    this.timerAt = NEVER;
    if (this.state === "closed") return;
    this.#runTimers(now);
    if (this.#isDispatchDue) this.#context.wantsDispatch(this);
    this.#arm();
  }

  #runTimers(now: Instant): void {
    const { receiver, sender } = this;
    const { counters } = this.#context;
    const passive = this.state === "syn-received";
    receiver.onTimer(now);
    if (this.#handshake.at <= now && !this.#handshake.repeat(passive)) {
      counters.bump("tcp.handshake-timeout");
      return this.#end(this.#softError ?? "timed-out", false);
    }
    if (this.#lingerAt <= now) {
      if (this.state === "fin-wait-2") counters.bump("tcp.fin-timeout");
      return this.#end(undefined, false);
    }
    if (this.#userTimeoutAt <= now) return this.#end(this.#softError ?? "timed-out", true);
    if (sender.onTimer(now) && !this.#onRetransmitTimeout(now)) return;
    if (this.#orphan && sender.persists > this.options.orphanRetries) {
      // Nobody waits for this data any more, and a peer that never opens its window must not keep it here.
      counters.bump("tcp.orphan-zero-window");
      return this.#end("timed-out", true);
    }
    if (this.#keepAliveAt <= now) this.#onKeepAlive(now);
  }

  /** Returns false if it was the last one. */
  #onRetransmitTimeout(now: Instant): boolean {
    const { sender } = this;
    this.#context.counters.bump("tcp.timeouts");
    if (isHopeless(sender, this.#orphan ? this.options.orphanRetries : this.options.retries, now)) {
      this.#end(this.#softError ?? "timed-out", true);
      return false;
    }
    if (this.#output.pathMss.onTimeouts(sender.timeouts, sender.mss)) {
      this.#context.counters.bump("tcp.black-hole");
      sender.setMss(this.#output.mss(this.#context.route(this), now));
    }
    return true;
  }

  get #keepAliveAt(): Instant {
    const idle = this.state === "time-wait" || this.state === "syn-sent" || this.state === "syn-received";
    return idle ? NEVER : this.#keepAlive.at;
  }

  #onKeepAlive(now: Instant): void {
    const { sender } = this;
    // With data in flight the retransmission timer finds out.
    if (sender.outstanding > 0 || sender.unsent > 0) return this.#keepAlive.heard(now);
    if (this.#keepAlive.probe()) return sender.requestProbe();
    this.#context.counters.bump("tcp.keep-alive-timeout");
    this.#end(this.#softError ?? "timed-out", true);
  }

  get #userTimeoutAt(): Instant {
    const { sender } = this;
    if (this.#userTimeout === 0 || (sender.outstanding === 0 && sender.persists === 0)) return NEVER;
    return later(sender.stalledSince, this.#userTimeout);
  }

  /** Arms the one timer, unless it fires before anything is due anyway. */
  #arm(): void {
    if (this.state === "closed") return;
    let at = this.sender.timerAt;
    if (this.receiver.timerAt < at) at = this.receiver.timerAt;
    if (this.#handshake.at < at) at = this.#handshake.at;
    if (this.#lingerAt < at) at = this.#lingerAt;
    if (this.#keepAlive.enabled && this.#keepAliveAt < at) at = this.#keepAliveAt;
    if (this.#userTimeout > 0 && this.#userTimeoutAt < at) at = this.#userTimeoutAt;
    if (at < this.timerAt) this.#context.setTimer(this, at);
  }

  // ── ICMP ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * An ICMP error quotes a segment of ours (RFC 1122 section 4.2.3.9, RFC 5927).
   *
   * @param sequence the quoted one: only who saw our traffic knows one that is in flight
   * @param mtu of `packet-too-big`, 0 if the router did not say
   */
  onIcmpError(kind: TcpIcmpError, mtu: number, sequence: number, now: Instant): void {
    const { sender } = this;
    const { counters } = this.#context;
    const handshake = this.state === "syn-sent" || this.state === "syn-received";
    const valid = handshake
      ? sequence === this.#handshake.sequence
      : !seqLt(sequence, sender.una) && seqLe(sequence, sender.nxt);
    if (!valid || this.state === "closed") return counters.bump("tcp.icmp-out-of-window");
    if (kind === "packet-too-big") {
      this.#output.pathMss.onTooBig(mtu, now);
      const mss = this.#output.mss(this.#context.route(this), now);
      if (mss >= sender.mss) return;
      counters.bump("tcp.path-mtu-reduced");
      sender.setMss(mss);
      return this.#context.wantsDispatch(this);
    }
    if (handshake) {
      // Linux: during the handshake every one of them ends the attempt; afterwards none does.
      counters.bump("tcp.icmp-refused");
      return this.#end(ICMP_ERROR[kind], false);
    }
    this.#softError = ICMP_ERROR[kind];
    if (sender.timeouts > 0 && (kind === "host-unreachable" || kind === "network-unreachable")) {
      sender.revertBackoff(now);
      this.#arm();
    }
  }

  // ── events and the end ───────────────────────────────────────────────────────────────────────────────────────

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

  #wake(): void {
    if (this.state === "syn-sent" || this.state === "syn-received" || this.state === "closed") return;
    if (this.#isDispatchDue) this.#context.wantsDispatch(this);
  }

  /**
   * The only way to `closed`. What the user has not read stays readable after an orderly end.
   *
   * @param reset tell the peer, if it knows of us
   */
  #end(error: TcpError | undefined, reset: boolean): void {
    const { state } = this;
    if (state === "closed") return;
    const context = this.#context;
    this.state = "closed";
    this.error = state === "time-wait" ? undefined : error;
    this.sender.clear();
    this.receiver.timerAt = NEVER;
    this.receiver.ackDue = false;
    if (this.#orphan || error !== undefined) this.receiver.clear();
    this.#handshake.stop();
    this.#lingerAt = NEVER;
    context.setTimer(this, NEVER);
    if (state !== "time-wait") this.#raise(TcpEvent.closed);
    this.acceptor?.abandoned(this);
    if (reset && state !== "syn-sent" && state !== "time-wait") {
      // The table forgets us when the RST has left.
      this.#resetDue = true;
      context.wantsDispatch(this);
    } else context.closed(this);
  }
}
