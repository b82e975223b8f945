/**
 * The state machine of RFC 9293: segments in, packets out, events and the end of a connection.
 *
 * Homework before working on this file: RFC 9293 section 3.10 (it is the code, in prose), RFC 5961, RFC 7323 sections 4 and 5.
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
 * The machine wires a {@linkcode Sender} and a {@linkcode Receiver}, which own their numbers and know nothing of it. What the
 * user calls, and time, and ICMP, is {@linkcode TcpConnection}'s.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { type Instant, later, type Microseconds, NEVER } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { Ecn, type IpHeader } from "../wire/ip.ts";
import { TcpFlag, type TcpHeader } from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import type { ConnectionSeed, TcpAcceptor } from "./connection_seed.ts";
import type { TcpContext, TcpPath } from "./context.ts";
import { type TcpError, TcpEvent, type TcpObserver } from "./events.ts";
import { examine } from "./examine.ts";
import { Handshake } from "./handshake.ts";
import { KeepAlive } from "./keep_alive.ts";
import type { MemoryAccount } from "./memory.ts";
import type { TcpOptions } from "./options.ts";
import { PeerSyn } from "./peer_syn.ts";
import { OUT_OF_WINDOW_INTERVAL } from "./rate_limit.ts";
import { Arrival, Receiver } from "./receiver.ts";
import { SegmentOutput } from "./segment_output.ts";
import { segmentLength } from "./segment_writer.ts";
import { SendBuffer } from "./send_buffer.ts";
import { AckEffect, Sender } from "./sender.ts";
import { seqAdd, seqGt, seqLe, seqLt } from "./sequence.ts";
import type { TcpState } from "./state.ts";
import { timestampClock, Timestamps } from "./timestamps.ts";

/** The machine below {@linkcode TcpConnection}. */
export abstract class StateMachine {
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
  /** For the list of connections in TIME-WAIT. */
  waitsLonger: TcpConnection | undefined = undefined;
  waitsLess: TcpConnection | undefined = undefined;
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

  protected readonly context: TcpContext;
  protected readonly output: SegmentOutput;
  protected readonly handshake: Handshake;
  protected readonly keepAlive: KeepAlive;
  protected readonly sendBuffer: SendBuffer;
  /** Since the user was told last: a mask of {@linkcode TcpEvent}. */
  protected events = 0;
  /** The user is gone. */
  protected orphan = false;
  #resetDue = false;
  /** RST for a bad acknowledgement during the handshake; its sequence number. */
  #strayResetDue = false;
  #strayReset = 0;
  /** The peer offered to scale windows, and so do we. */
  #scaled = false;
  /** End of FIN-WAIT-2 or TIME-WAIT. */
  protected lingerAt: Instant = NEVER;
  protected userTimeout: Microseconds;
  #answeredAt = -1;
  readonly #memory: MemoryAccount;
  /** What it was charged with. */
  #charged = 0;
  protected softError: TcpError | undefined = undefined;

  /** Use `TcpConnection.open`, `answer` or `resume`. */
  constructor(context: TcpContext, seed: ConnectionSeed, now: Instant) {
    const { options } = seed;
    this.context = context;
    this.localAddress = seed.localAddress;
    this.localPort = seed.localPort;
    this.remoteAddress = seed.remoteAddress;
    this.remotePort = seed.remotePort;
    this.path = seed.path;
    this.options = options;
    this.#memory = seed.memory;
    this.timestamps = new Timestamps(seed.timestampOffset);
    this.receiver = new Receiver(
      context.pool,
      options.receiveBuffer,
      options.receiveBufferMax,
      options.delayedAck,
      seed.memory,
    );
    this.output = new SegmentOutput(seed, context.pool, this.timestamps, this.receiver);
    this.sender = new Sender(options.congestion, seqAdd(seed.sequence, 1), this.output.mss(seed.path, now));
    this.sender.noDelay = options.noDelay;
    this.sender.cork = options.cork;
    this.sendBuffer = new SendBuffer(this.sender.queue, context.pool, options, seed.memory);
    this.handshake = new Handshake(seed.sequence, options);
    this.keepAlive = new KeepAlive(options, now);
    this.userTimeout = options.userTimeout;
  }

  /** This connection, as its surroundings know it. */
  protected abstract get self(): TcpConnection;

  /** DSCP and ECN bits for the IP header of the packet that the last `dispatch` returned. */
  get trafficClass(): number {
    return this.output.trafficClass;
  }

  /** Both sides do ECN (RFC 3168). */
  get ecn(): boolean {
    return this.output.ecn;
  }

  protected get canWrite(): boolean {
    return !this.sender.finQueued && this.state !== "closed" && this.state !== "time-wait";
  }

  // ── segments in ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A segment with a good checksum for this connection, its cursor at the payload. Does not own `packet`. */
  onSegment(header: TcpHeader, packet: PacketBuffer, ip: IpHeader, now: Instant): void {
    if (this.state === "closed") return;
    this.keepAlive.heard(now);
    if (this.state === "syn-sent") this.#onSynSent(header, now);
    else this.#onSynchronized(header, packet, ip, now);
    this.settle();
    if (this.isDispatchDue) this.context.wantsDispatch(this.self);
    this.arm();
  }

  protected get isDispatchDue(): boolean {
    return this.receiver.ackDue || this.handshake.due || this.#resetDue || this.#strayResetDue ||
      this.sender.wantsToSend;
  }

  /** RFC 9293 section 3.10.7.3. */
  #onSynSent(header: TcpHeader, now: Instant): void {
    const { flags, acknowledgment } = header;
    const acked = (flags & TcpFlag.ack) !== 0;
    if (acked && acknowledgment !== seqAdd(this.handshake.sequence, 1)) {
      if ((flags & TcpFlag.rst) === 0) this.#resetStray(acknowledgment);
      return;
    }
    if ((flags & TcpFlag.rst) !== 0) {
      // "If the ACK was acceptable, then signal to the user "error: connection reset"": Linux says ECONNREFUSED.
      if (acked) this.end("refused", false);
      return;
    }
    if ((flags & TcpFlag.syn) === 0) return;
    this.negotiate(PeerSyn.of(header), now);
    if (acked) {
      this.#establish(header, now);
      this.receiver.ackDue = true;
      return;
    }
    // Simultaneous open (RFC 9293 section 3.5, figure 7).
    this.state = "syn-received";
    this.context.counters.bump("tcp.simultaneous-open");
    this.handshake.begin(now);
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
        this.context.counters.bump("tcp.paws");
        return this.#answerDuplicate(sequence, payload, now);
      case "out-of-window":
        return this.#answerDuplicate(sequence, payload, now);
      case "out-of-window-reset":
        return this.context.counters.bump("tcp.out-of-window-reset");
      case "challenge":
        return this.#challenge(now);
      case "reset":
        return this.#onReset();
      case "repeat-syn-ack":
        this.context.counters.bump("tcp.syn-retransmitted");
        this.handshake.due = true;
        return;
    }
    if (this.state === "syn-received") {
      if (header.acknowledgment !== seqAdd(this.handshake.sequence, 1)) {
        return this.#resetStray(header.acknowledgment);
      }
      if (this.acceptor !== undefined && !this.acceptor.hasRoom()) {
        // Linux drops the ACK that has no place in the accept queue; the SYN-ACK is repeated, and asks again.
        return this.context.counters.bump("tcp.accept-queue-full");
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
    // Sixth, URG.
    if ((header.flags & TcpFlag.urg) !== 0 && !receiver.finished) {
      receiver.urgent.onPointer(sequence, header.urgentPointer, receiver.next);
    }
    // Seventh and eighth: payload and FIN.
    this.#onPayload(header, packet, payload, ip, now);
  }

  #onReset(): void {
    this.context.counters.bump("tcp.resets-received");
    const { state } = this;
    if (state === "time-wait" || state === "last-ack" || state === "closing") {
      return this.end(undefined, false);
    }
    this.end(state === "syn-received" ? "refused" : "reset", false);
  }

  /** Returns false if the segment must be dropped, or ended the connection. */
  #onAcknowledgment(header: TcpHeader, length: number, now: Instant): boolean {
    const { sender, timestamps } = this;
    const ack = header.acknowledgment;
    if (seqGt(ack, sender.nxt)) {
      // "If the ACK acks something not yet sent, then send an ACK, drop the segment".
      this.context.counters.bump("tcp.ack-unsent");
      this.#challenge(now);
      return false;
    }
    if (seqLt(ack, seqAdd(sender.una, -sender.maxWindow))) {
      // RFC 5961 section 5.2: older than any window ever offered.
      this.context.counters.bump("tcp.ack-too-old");
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
      this.softError = undefined;
      if (this.canWrite && this.sendBuffer.shouldTell(sender.congestion.cwnd)) {
        this.sendBuffer.wanted = false;
        this.raise(TcpEvent.writable);
      }
    }
    if ((effect & AckEffect.finAcked) !== 0) this.#onFinAcked(now);
    return this.state !== "closed";
  }

  #onPayload(header: TcpHeader, packet: PacketBuffer, payload: number, ip: IpHeader, now: Instant): void {
    const fin = (header.flags & TcpFlag.fin) !== 0;
    const { receiver } = this;
    if (this.ecn) {
      if ((header.flags & TcpFlag.cwr) !== 0) this.output.echoDue = false;
      if ((ip.trafficClass & 3) === Ecn.congestionExperienced) {
        this.output.echoDue = true;
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
    if (this.orphan && payload > 0 && seqGt(seqAdd(header.sequence, payload), receiver.next)) {
      // RFC 1122 section 4.2.2.13: "SHOULD send a RST to show that data was lost".
      this.context.counters.bump("tcp.data-after-close");
      return this.end(undefined, true);
    }
    const arrival = receiver.onData(header.sequence, packet, payload, fin, now);
    if ((arrival & Arrival.overflow) !== 0) this.context.counters.bump("tcp.out-of-order-full");
    if ((arrival & Arrival.unpaid) !== 0) this.context.counters.bump("tcp.memory-full");
    if ((arrival & Arrival.delivered) !== 0) this.raise(TcpEvent.readable);
    if ((arrival & Arrival.fin) !== 0) this.#onFin(now);
  }

  #onFin(now: Instant): void {
    this.raise(TcpEvent.peerClosed | TcpEvent.readable);
    if (this.state === "established") this.state = "close-wait";
    else if (this.state === "fin-wait-1") this.state = "closing";
    else if (this.state === "fin-wait-2") this.#enterTimeWait(now);
  }

  #onFinAcked(now: Instant): void {
    if (this.state === "fin-wait-1") {
      this.state = "fin-wait-2";
      if (this.orphan) this.lingerAt = later(now, this.options.finTimeout);
    } else if (this.state === "closing") this.#enterTimeWait(now);
    else if (this.state === "last-ack") this.end(undefined, false);
  }

  #enterTimeWait(now: Instant): void {
    this.sender.clear();
    this.state = "time-wait";
    this.lingerAt = later(now, this.options.timeWait);
    this.context.enterTimeWait(this.self);
    this.raise(TcpEvent.closed);
  }

  /** RFC 9293: "The only thing that can arrive in this state is a retransmission of the remote FIN. Acknowledge it, and
   * restart the 2 MSL timeout". */
  #onTimeWait(header: TcpHeader, payload: number, now: Instant): void {
    if ((header.flags & TcpFlag.fin) === 0 && payload === 0) return;
    this.lingerAt = later(now, this.options.timeWait);
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

  /** The connection in TIME-WAIT gives up its four-tuple to a new one, or its place. */
  yieldTuple(): void {
    this.end(undefined, false);
  }

  /** What the peer's SYN offers and ours does (or will): an option counts only if both have it. */
  protected negotiate(syn: PeerSyn, now: Instant): void {
    const { options, receiver } = this;
    receiver.synchronize(syn.sequence);
    this.output.pathMss.setPeer(syn.mss);
    this.#scaled = options.windowScale && syn.windowScale >= 0;
    if (this.#scaled) {
      this.sendScale = syn.windowScale;
      receiver.scale = this.handshake.windowScale;
    }
    if (options.timestamps && syn.hasTimestamp) this.timestamps.synchronize(syn.timestampValue, now);
    receiver.sack = options.sack && syn.sackPermitted;
    this.output.ecn = this.handshake.agreesOnEcn(syn, this.state === "syn-sent");
    const mss = this.output.mss(this.context.route(this.self), now);
    this.sender.establish(syn.window, syn.sequence, mss, receiver.sack, this.handshake.sent > 1);
    receiver.mss = Math.min(Math.max(mss, 536), 1_448);
  }

  #establish(header: TcpHeader, now: Instant): void {
    const { sender } = this;
    const handshake = this.handshake;
    // RFC 7323 section 2.2: the window in a SYN is not scaled; the third segment's is.
    const window = (header.flags & TcpFlag.syn) !== 0 ? header.window : header.window * 2 ** this.sendScale;
    sender.establish(window, header.sequence, sender.mss, this.receiver.sack, handshake.sent > 1);
    if (handshake.sent === 1) sender.rtt.sample(now - handshake.sentAt, now);
    handshake.stop();
    this.state = sender.finQueued ? "fin-wait-1" : "established";
    this.raise(TcpEvent.established | TcpEvent.writable);
    this.acceptor?.established(this.self, now);
  }

  #resetStray(sequence: number): void {
    this.context.counters.bump("tcp.handshake-bad-ack");
    this.#strayResetDue = true;
    this.#strayReset = sequence;
  }

  /** RFC 5961: an ACK that a true peer will answer, limited per connection and in total. */
  #challenge(now: Instant): void {
    if (this.#recentlyAnswered(now) || !this.context.allowChallenge(now)) {
      return this.context.counters.bump("tcp.challenge-suppressed");
    }
    this.context.counters.bump("tcp.challenge-acks");
    this.receiver.ackDue = true;
  }

  /** "If an incoming segment is not acceptable, an acknowledgment should be sent in reply": but two endpoints that disagree must
   * not talk for ever. */
  #answerOutOfWindow(now: Instant): void {
    this.context.counters.bump("tcp.out-of-window");
    if (this.#recentlyAnswered(now)) return this.context.counters.bump("tcp.out-of-window-suppressed");
    this.receiver.ackDue = true;
  }

  /** Payload that came twice is reported each time (Linux' `tcp_oow_rate_limited` lets it pass as well): the peer takes a needless
   * reduction back for it. No loop can come of it, for the answer has no payload. */
  #answerDuplicate(sequence: number, payload: number, now: Instant): void {
    const { receiver } = this;
    receiver.reportDuplicate(sequence, payload);
    if (payload === 0 || !seqLt(sequence, receiver.next)) return this.#answerOutOfWindow(now);
    this.context.counters.bump("tcp.out-of-window");
    receiver.ackDue = true;
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
    if (this.state !== "closed") this.arm();
    return packet;
  }

  #dispatch(now: Instant): PacketBuffer | undefined {
    const { receiver, sender } = this;
    const output = this.output;
    if (this.#strayResetDue) {
      this.#strayResetDue = false;
      this.context.counters.bump("tcp.resets-sent");
      return output.reset(this.#strayReset, false);
    }
    if (this.#resetDue) {
      this.#resetDue = false;
      this.context.counters.bump("tcp.resets-sent");
      this.context.closed(this.self);
      return output.reset(sender.nxt, true);
    }
    if (this.handshake.due) return this.#emitSyn(now);
    if (this.state === "closed" || this.state === "syn-sent") return undefined;
    if (this.state === "syn-received" || this.state === "time-wait") {
      return receiver.ackDue ? output.acknowledgement(sender.nxt, now) : undefined;
    }
    // Blocks would shorten the segments; duplicates must not be taken for data. Both go alone.
    if (receiver.duplicatesDue > 0 || (receiver.ackDue && receiver.hasBlocks)) {
      return output.acknowledgement(sender.nxt, now);
    }
    if (sender.wantsToSend) {
      const path = this.context.route(this.self);
      const mss = output.mss(path, now);
      if (mss !== sender.mss) sender.setMss(mss);
      // Who cuts super-segments does not move the pointer with them.
      const capacity = sender.urgent.active ? mss : output.capacity(path, mss);
      if (sender.next(capacity, timestampClock(now), now)) {
        if (sender.planRetransmission) this.context.counters.bump("tcp.retransmits");
        return output.planned(sender, now);
      }
      if (sender.recordsFull) {
        sender.recordsFull = false;
        this.context.counters.bump("tcp.records-full");
      }
    }
    return receiver.ackDue ? output.acknowledgement(sender.nxt, now) : undefined;
  }

  #emitSyn(now: Instant): PacketBuffer {
    const handshake = this.handshake;
    if (handshake.sent > 0) this.context.counters.bump("tcp.syn-resent");
    const mss = this.output.pathMss.advertised(
      this.context.route(this.self).mtu,
      this.options.maximumSegment,
    );
    const flags = this.state === "syn-sent"
      ? handshake.fillSyn(mss, this.timestamps, now)
      : handshake.fillSynAck(mss, this.timestamps, this.receiver, this.#scaled, this.ecn, now);
    return this.output.syn(flags, handshake.sequence);
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

  protected get keepAliveAt(): Instant {
    const idle = this.state === "time-wait" || this.state === "syn-sent" || this.state === "syn-received";
    return idle ? NEVER : this.keepAlive.at;
  }

  protected get userTimeoutAt(): Instant {
    const { sender } = this;
    if (this.userTimeout === 0 || (sender.outstanding === 0 && sender.persists === 0)) return NEVER;
    return later(sender.stalledSince, this.userTimeout);
  }

  /** Arms the one timer, unless it fires before anything is due anyway. */
  protected arm(): void {
    if (this.state === "closed") return;
    let at = this.sender.timerAt;
    if (this.sender.pacer.wakeAt < at) at = this.sender.pacer.wakeAt;
    if (this.receiver.timerAt < at) at = this.receiver.timerAt;
    if (this.handshake.at < at) at = this.handshake.at;
    if (this.lingerAt < at) at = this.lingerAt;
    if (this.keepAlive.enabled && this.keepAliveAt < at) at = this.keepAliveAt;
    if (this.userTimeout > 0 && this.userTimeoutAt < at) at = this.userTimeoutAt;
    if (at < this.timerAt) this.context.setTimer(this.self, at);
  }

  // ── events and the end ───────────────────────────────────────────────────────────────────────────────────────

  protected raise(events: number): void {
    if (this.orphan || this.acceptor !== undefined) return;
    if (this.events === 0) this.context.notify(this.self);
    this.events |= events;
  }

  /** Charges what the queues hold now. After whatever may have changed that. */
  protected settle(): void {
    const held = this.sender.queue.memory + this.receiver.memory;
    if (held === this.#charged) return;
    this.#memory.charge(held - this.#charged);
    this.#charged = held;
  }

  protected wake(): void {
    if (this.state === "syn-sent" || this.state === "syn-received" || this.state === "closed") return;
    if (this.isDispatchDue) this.context.wantsDispatch(this.self);
  }

  /**
   * The only way to `closed`. What the user has not read stays readable after an orderly end.
   *
   * @param reset tell the peer, if it knows of us
   */
  protected end(error: TcpError | undefined, reset: boolean): void {
    const { state } = this;
    if (state === "closed") return;
    const context = this.context;
    this.state = "closed";
    this.error = state === "time-wait" ? undefined : error;
    this.sender.clear();
    this.receiver.timerAt = NEVER;
    this.receiver.ackDue = false;
    if (this.orphan || error !== undefined) this.receiver.clear();
    this.settle();
    this.handshake.stop();
    this.lingerAt = NEVER;
    context.setTimer(this.self, NEVER);
    if (state !== "time-wait") this.raise(TcpEvent.closed);
    this.acceptor?.abandoned(this.self);
    if (reset && state !== "syn-sent" && state !== "time-wait") {
      // The table forgets us when the RST has left.
      this.#resetDue = true;
      context.wantsDispatch(this.self);
    } else context.closed(this.self);
  }
}
