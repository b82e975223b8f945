/**
 * A TCP connection as its user, its NIC and its timer see it.
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
 * @module
 */

import type { ChunkQueue } from "../buffer/chunk_queue.ts";
import type { PacketBuffer } from "../buffer/packet.ts";
import type { SocketFacts } from "../facts.ts";
import { type Instant, later, type Microseconds, NEVER } from "../time.ts";
import { describe } from "./connection_facts.ts";
import type { ConnectionSeed } from "./connection_seed.ts";
import type { TcpContext } from "./context.ts";
import { TcpEvent, type TcpIcmpError, type TcpObserver } from "./events.ts";
import { isHopeless } from "./hopeless.ts";
import { ICMP_ERROR } from "./icmp_errors.ts";
import { PeerSyn } from "./peer_syn.ts";
import { seqAdd, seqLe, seqLt } from "./sequence.ts";
import { StateMachine } from "./state_machine.ts";

/** A connection. */
export class TcpConnection extends StateMachine {
  protected override get self(): TcpConnection {
    return this;
  }

  /** Active open. */
  static open(context: TcpContext, seed: ConnectionSeed, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-sent";
    connection.handshake.begin(now);
    connection.arm();
    context.wantsDispatch(connection);
    return connection;
  }

  /** Passive open: answers a SYN. */
  static answer(context: TcpContext, seed: ConnectionSeed, syn: PeerSyn, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-received";
    connection.negotiate(syn, now);
    connection.handshake.begin(now);
    connection.arm();
    context.wantsDispatch(connection);
    return connection;
  }

  /** Passive open whose SYN-ACK was a cookie: `syn` is what the cookie remembered. The next segment establishes it. */
  static resume(context: TcpContext, seed: ConnectionSeed, syn: PeerSyn, now: Instant): TcpConnection {
    const connection = new TcpConnection(context, seed, now);
    connection.state = "syn-received";
    connection.negotiate(syn, now);
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
    connection.raise(TcpEvent.closed);
    return connection;
  }
  // ── the user's side ──────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes that `write` takes now; 0 after `shutdown`. */
  get sendSpace(): number {
    return this.canWrite ? this.sendBuffer.room(this.sender.congestion.cwnd) : 0;
  }

  /** How much of a piece of `most` bytes to write now, where {@linkcode sendSpace} is no limit to the byte; 0: nothing. */
  sendPiece(most: number): number {
    return this.canWrite ? this.sendBuffer.piece(most, this.sender.congestion.cwnd) : 0;
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

  /**
   * Queues the bytes `[start, end)` of `chunk` by reference and takes it over. After the end of the connection, or after
   * `shutdown`, they are dropped and counted.
   *
   * @throws RangeError if there is not as much {@linkcode sendSpace}, with 64 KiB to spare
   */
  write(chunk: PacketBuffer, _now: Instant): void {
    if (!this.canWrite) {
      this.context.counters.bump("tcp.write-after-end");
      return chunk.release();
    }
    this.sendBuffer.write(chunk, this.sender.congestion.cwnd);
    this.settle();
    this.wake();
  }

  /** Copies as many of `bytes` as there is room for; returns how many. */
  writeBytes(bytes: Uint8Array, _now: Instant): number {
    if (!this.canWrite) return 0;
    const length = this.sendBuffer.writeBytes(bytes, this.sender.congestion.cwnd);
    this.settle();
    if (length > 0) this.wake();
    return length;
  }

  /**
   * The octet that was written last is urgent (RFC 9293 section 3.8.5): what was urgent before is not any more. Without effect
   * if none was written.
   */
  markUrgent(_now: Instant): void {
    const { sender } = this;
    if (!this.canWrite || sender.queue.length === 0) return;
    sender.urgent.mark(seqAdd(sender.una, sender.queue.length));
    this.wake();
  }

  /** How many bytes of {@linkcode receiveQueue} are before one that the peer has marked urgent; −1: none has arrived. */
  get urgentMark(): number {
    return this.receiver.urgentMark;
  }

  /** Takes `n` bytes off the receive queue; the window opens. */
  consume(n: number, now: Instant): void {
    const tell = this.receiver.consume(n, this.sender.rtt.srtt, now);
    this.settle();
    if (tell && this.state !== "closed" && this.state !== "time-wait") this.context.wantsDispatch(this);
  }

  /** FIN follows what is queued. Idempotent. */
  shutdown(_now: Instant): void {
    if (!this.canWrite) return;
    this.sender.finQueued = true;
    if (this.state === "established") this.state = "fin-wait-1";
    else if (this.state === "close-wait") this.state = "last-ack";
    this.wake();
  }

  /** Ends the connection with a RST. The user gets `closed` with the error `aborted`. */
  abort(_now: Instant): void {
    if (this.state === "closed") this.#forgetUnread();
    this.end("aborted", true);
  }

  #forgetUnread(): void {
    this.receiver.clear();
    this.settle();
  }

  /**
   * The user goes away: no more events. Unread bytes are answered by a RST (RFC 1122 section 4.2.2.13), else what is queued is
   * still delivered, followed by a FIN.
   */
  close(now: Instant): void {
    this.observer = undefined;
    this.orphan = true;
    this.events = 0;
    const unread = this.receiver.queue.length > 0;
    if (this.state === "closed" || this.state === "time-wait") return this.#forgetUnread();
    if (unread) this.context.counters.bump("tcp.reset-unread");
    if (unread || this.state === "syn-sent" || this.state === "syn-received") {
      return this.end(undefined, true);
    }
    this.shutdown(now);
    if (this.state === "fin-wait-2") this.lingerAt = later(now, this.options.finTimeout);
    this.arm();
  }

  /** Nagle's algorithm off or on. */
  setNoDelay(on: boolean, _now: Instant): void {
    this.sender.noDelay = on;
    this.wake();
  }

  /** Hold partial segments back, or let them go. */
  setCork(on: boolean, _now: Instant): void {
    this.sender.cork = on;
    this.wake();
  }

  /** Keep-alive probes; times that are not given stay as they are. */
  setKeepAlive(
    on: boolean,
    _now: Instant,
    idle?: Microseconds,
    interval?: Microseconds,
    count?: number,
  ): void {
    const keepAlive = this.keepAlive;
    keepAlive.enabled = on;
    keepAlive.idle = idle ?? keepAlive.idle;
    keepAlive.interval = interval ?? keepAlive.interval;
    keepAlive.count = count ?? keepAlive.count;
    this.arm();
  }

  /** RFC 5482; 0: none. */
  setUserTimeout(timeout: Microseconds, _now: Instant): void {
    this.userTimeout = timeout;
    this.arm();
  }

  /** The events since the last call, a mask; 0: none. For the stack's poll. */
  takeEvents(): number {
    const events = this.events;
    this.events = 0;
    return events;
  }

  /** For `ss`. */
  facts(): SocketFacts {
    return describe(this, this.output.pathMss.mtu);
  }
  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The timer fired, perhaps early. */
  onTimer(now: Instant): void {
    this.timerAt = NEVER;
    if (this.state === "closed") return;
    this.#runTimers(now);
    if (this.isDispatchDue) this.context.wantsDispatch(this);
    this.arm();
  }

  #runTimers(now: Instant): void {
    const { receiver, sender } = this;
    const { counters } = this.context;
    const passive = this.state === "syn-received";
    receiver.onTimer(now);
    if (this.handshake.at <= now && !this.handshake.repeat(passive, now)) {
      counters.bump("tcp.handshake-timeout");
      return this.end(this.softError ?? "timed-out", false);
    }
    if (this.lingerAt <= now) {
      if (this.state === "fin-wait-2") counters.bump("tcp.fin-timeout");
      return this.end(undefined, false);
    }
    if (this.userTimeoutAt <= now) return this.end(this.softError ?? "timed-out", true);
    if (sender.onTimer(now) && !this.#onRetransmitTimeout(now)) return;
    if (this.orphan && sender.persists > this.options.orphanRetries) {
      // Nobody waits for this data any more, and a peer that never opens its window must not keep it here.
      counters.bump("tcp.orphan-zero-window");
      return this.end("timed-out", true);
    }
    if (this.keepAliveAt <= now) this.#onKeepAlive(now);
  }

  /** Returns false if it was the last one. */
  #onRetransmitTimeout(now: Instant): boolean {
    const { sender } = this;
    this.context.counters.bump("tcp.timeouts");
    if (isHopeless(sender, this.orphan ? this.options.orphanRetries : this.options.retries, now)) {
      this.end(this.softError ?? "timed-out", true);
      return false;
    }
    if (this.options.blackHoles && this.output.pathMss.onTimeouts(sender.timeouts, sender.mss, now)) {
      this.context.counters.bump("tcp.black-hole");
      sender.setMss(this.output.mss(this.context.route(this), now));
    }
    return true;
  }

  #onKeepAlive(now: Instant): void {
    const { sender } = this;
    // With data in flight the retransmission timer finds out.
    if (sender.outstanding > 0 || sender.unsent > 0) return this.keepAlive.heard(now);
    if (this.keepAlive.probe()) return sender.requestProbe();
    this.context.counters.bump("tcp.keep-alive-timeout");
    this.end(this.softError ?? "timed-out", true);
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
    const { counters } = this.context;
    const handshake = this.state === "syn-sent" || this.state === "syn-received";
    const valid = handshake
      ? sequence === this.handshake.sequence
      : !seqLt(sequence, sender.una) && seqLe(sequence, sender.nxt);
    if (!valid || this.state === "closed") return counters.bump("tcp.icmp-out-of-window");
    if (kind === "packet-too-big") {
      this.output.pathMss.onTooBig(mtu, now);
      const mss = this.output.mss(this.context.route(this), now);
      if (mss >= sender.mss) return;
      counters.bump("tcp.path-mtu-reduced");
      sender.setMss(mss);
      return this.context.wantsDispatch(this);
    }
    if (handshake) {
      // Linux: during the handshake every one of them ends the attempt; afterwards none does.
      counters.bump("tcp.icmp-refused");
      return this.end(ICMP_ERROR[kind], false);
    }
    this.softError = ICMP_ERROR[kind];
    if (sender.timeouts > 0 && (kind === "host-unreachable" || kind === "network-unreachable")) {
      sender.revertBackoff(now);
      this.arm();
    }
  }
  /** The listener hands the connection out: from now on there are events. */
  handOut(): void {
    this.acceptor = undefined;
    let events: number = TcpEvent.established | TcpEvent.writable;
    if (this.receiver.queue.length > 0) events |= TcpEvent.readable;
    if (this.receiver.finished) events |= TcpEvent.readable | TcpEvent.peerClosed;
    if (this.state === "closed" || this.state === "time-wait") events |= TcpEvent.closed;
    this.raise(events);
  }
}
