/**
 * One TCP connection of the guest and one of the host, joined.
 *
 * ## Theory of operation
 *
 * Two byte streams cross here, and each has one thing that can stop it:
 *
 * ```text
 *   host socket ──read──▶ connection.write ──▶ guest      stops when sendPiece is 0; TcpEvent.writable resumes it
 *   guest ──▶ connection.receiveQueue ──write──▶ host     stops at EAGAIN;           EPOLLOUT resumes it
 * ```
 *
 * Nothing is buffered in between: what the guest does not acknowledge stays in the host socket and closes its window,
 * what the host does not take stays in the receive queue and closes ours. That is the whole back-pressure.
 *
 * **Readiness.** The descriptor is registered once, edge-triggered. `#readable` and `#writable` remember an edge until
 * the kernel says EAGAIN, or until a read came back short: then the queue was empty at that moment, and what arrives
 * later is a new edge. The exceptions are a FIN or a reset that the last event already announced, for which no new edge
 * follows, and urgent data, at whose mark Linux ends a read early: then (`#ending`) reading goes on until EAGAIN.
 *
 * **Fairness.** A turn moves at most {@linkcode TcpRelays.turn} each way; the rest goes to the reactor's work list, behind
 * everybody else's.
 *
 * **Ends.** A FIN crosses as a FIN, each way for itself; when both have crossed, both ends are closed and the stack keeps
 * the orphan until the guest has everything. A reset crosses as a reset. So does everything else that ends one side
 * early (a time-out, an unreachable host): the other side must not take it for an orderly end of file.
 *
 * **Silence.** A guest may vanish between the two FINs, a host at any time, and neither is noticed as long as we
 * have nothing to send. {@linkcode TcpRelay.guard}, called now and then, asks the guest's stack and the host's
 * kernel to probe. Where guests come and go, those of a guest that is gone are probed soon, and end when nobody answers: it
 * may be back, with the same connections, but what was left behind must not hold what others need.
 *
 * @module
 */

import { EpollEvents, SHUT, SO } from "../../host/constants.ts";
import type { ReadyHandler, Work } from "../../host/reactor.ts";
import { close, shutdown } from "../../host/sys.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { TcpEvent, type TcpObserver } from "../../stack/tcp/events.ts";
import { DEFAULT_TCP_OPTIONS } from "../../stack/tcp/options.ts";
import type { FlowFacts } from "../../stack/facts.ts";
import { type Instant, SECOND } from "../../stack/time.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { age, endpointText, type Flow } from "./flows.ts";
import type { LruItem, LruList } from "./lru_list.ts";
import { setKeepAlive, setNoDelay, setResetOnClose } from "./host_socket.ts";
import { readSize, wouldBlock } from "../../link/stream_io.ts";
import { StreamReader } from "../../link/stream_reader.ts";
import type { TcpRelays } from "./tcp_relays.ts";
import { keepSmall, letGrow, limitBuffer } from "./tcp_room.ts";

/** What a read counts for at least: one that ends at an urgent mark may bring a single byte. */
const READ_COST = 2_048;
/** A flow that was silent for this long is probed. */
const SILENCE = 60 * SECOND;
/** For how long the connections of a guest that is gone wait for it, and how often it is looked for. */
export const ABSENCE = 120 * SECOND;
const CALLS = 3;

/** After these a short read does not mean that the socket is empty. */
const LASTING = EpollEvents.rdhup | EpollEvents.hup | EpollEvents.err | EpollEvents.pri;

/** A relayed connection. Its descriptor is its own until {@linkcode TcpRelay.closed}. */
export class TcpRelay implements TcpObserver, ReadyHandler, Work, Flow, LruItem<TcpRelay> {
  newer: TcpRelay | undefined;
  older: TcpRelay | undefined;
  list: LruList<TcpRelay> | undefined;
  usedAt: Instant;

  readonly direction: "out" | "in";
  readonly fd: number;
  /** Whose share of the connections it is part of; undefined: nobody's. */
  tenant: number | undefined = undefined;
  readonly #relays: TcpRelays;
  readonly #reader: StreamReader;
  readonly #host: IpAddress;
  readonly #hostPort: number;
  readonly #since: Instant;
  #connection: TcpConnection | undefined;

  #readSize = 0;
  #open = false;
  #readable = false;
  #writable = true;
  #ending = false;
  #hostFinished = false;
  #guestFinished = false;
  #deferred = false;
  #guarded = false;
  #absent = false;
  #writes = 0;
  #bytesOut = 0;
  #bytesIn = 0;
  #seenBytes = 0;
  #activeAt: Instant;
  /** How much the host's socket may hold in each direction, until it has been told. */
  readonly #hostMost: number;
  /** How much the guest takes until the host's socket may hold more than at first. */
  #growAt = Infinity;
  #limitIn: number;
  #limitOut: number;

  /**
   * @param hostMost bytes that each buffer of the host's socket may hold
   * @param host the address that the host socket talks to
   */
  constructor(
    relays: TcpRelays,
    direction: "out" | "in",
    fd: number,
    hostMost: number,
    host: IpAddress,
    hostPort: number,
    now: Instant,
  ) {
    this.#relays = relays;
    this.#reader = new StreamReader(relays.io, relays.pipes);
    this.direction = direction;
    this.fd = fd;
    this.#hostMost = this.#limitIn = this.#limitOut = hostMost;
    this.#host = host;
    this.#hostPort = hostPort;
    this.#since = now;
    this.#activeAt = now;
    this.usedAt = now;
  }

  get closed(): boolean {
    return this.#connection === undefined;
  }

  /** Whether the guest has completed the handshake. */
  get open(): boolean {
    return this.#open;
  }

  /** The host's socket holds no more than `bytes` until the guest has taken as much. Before {@linkcode join}. */
  holdBack(bytes: number): void {
    if (bytes === 0) return;
    this.#growAt = bytes;
    keepSmall(this.fd);
  }

  /** Joins the guest's connection, whose observer this is; its handshake may be over. Call once. */
  join(connection: TcpConnection): void {
    this.#connection = connection;
    this.#readSize = readSize(connection.path, connection.remoteAddress.family);
    this.#relays.opened(this);
    if (connection.state === "established" || connection.state === "close-wait") {
      this.#open = true;
      this.#relays.established(this);
    }
  }

  /** What the reactor reports of the host socket. */
  onReady(events: number): void {
    if ((events & (EpollEvents.in | LASTING)) !== 0) this.#readable = true;
    if ((events & LASTING) !== 0) this.#ending = true;
    if ((events & EpollEvents.pri) !== 0) this.#reader.expectUrgent(this.fd);
    if ((events & EpollEvents.out) !== 0) this.#writable = true;
    this.#pump(this.#relays.now());
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if (this.#connection !== connection) return;
    if ((events & TcpEvent.established) !== 0) {
      this.#open = true;
      this.#relays.established(this);
    }
    if ((events & TcpEvent.closed) !== 0 && connection.error !== undefined) {
      const why = this.#absent ? "guest-gone" : this.#open ? "guest-reset" : "guest-refused";
      this.#relays.count(`gateway.tcp.${why}`);
      this.#release(true);
      return;
    }
    // An orderly end (both FINs have crossed) may leave bytes in the receive queue that the host has not taken yet.
    this.#pump(now);
  }

  /** Work list entry: the turn ended before the bytes did. */
  run(): void {
    this.#deferred = false;
    this.#pump(this.#relays.now());
  }

  /** Has a silent flow probed. Called every minute or so. */
  guard(now: Instant): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const absent = this.#relays.isAbsent(connection.remoteAddress);
    if (absent !== this.#absent) this.#wait(connection, absent, now);
    const bytes = this.#bytesIn + this.#bytesOut;
    if (bytes !== this.#seenBytes) {
      this.#seenBytes = bytes;
      this.#activeAt = now;
      return;
    }
    if (this.#guarded || now - this.#activeAt < SILENCE) return;
    this.#guarded = true;
    setKeepAlive(this.fd);
    connection.setKeepAlive(true, now);
  }

  /** For a guest that is gone, or no more for one that is back. */
  #wait(connection: TcpConnection, absent: boolean, now: Instant): void {
    this.#absent = absent;
    connection.setUserTimeout(absent ? ABSENCE : DEFAULT_TCP_OPTIONS.userTimeout, now);
    const { keepAliveIdle, keepAliveInterval, keepAliveCount } = DEFAULT_TCP_OPTIONS;
    if (absent) connection.setKeepAlive(true, now, ABSENCE / CALLS, ABSENCE / CALLS, CALLS);
    else connection.setKeepAlive(this.#guarded, now, keepAliveIdle, keepAliveInterval, keepAliveCount);
  }

  /** Whether the guest has not ended its direction, and so may have bytes on the way. */
  get unfinished(): boolean {
    return this.#connection !== undefined && this.#open && !this.#guestFinished;
  }

  /** Bytes that the host's kernel has taken from the guest. */
  get bytesOut(): number {
    return this.#bytesOut;
  }

  /**
   * Ends both sides because the gateway does. What the guest has ended stays delivered: a reset would discard it in the
   * host's send buffer. Everything else is reset, as nobody may take it for whole.
   */
  leave(now: Instant): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#release(!this.#guestFinished);
    connection.abort(now);
  }

  /** Ends both sides at once, as if each had been reset. */
  abort(now: Instant): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#release(true);
    connection.abort(now);
  }

  facts(now: Instant): FlowFacts {
    const connection = this.#connection!;
    return {
      protocol: "tcp",
      direction: this.direction,
      guest: endpointText(connection.remoteAddress, connection.remotePort),
      destination: endpointText(connection.localAddress, connection.localPort),
      host: endpointText(this.#host, this.#hostPort),
      state: !this.#open ? "opening" : this.#hostFinished || this.#guestFinished ? "closing" : "established",
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
      age: age(this.#since, now),
    };
  }

  #pump(now: Instant): void {
    const connection = this.#connection;
    if (connection === undefined || !this.#open) return;
    const more = this.#toHost(connection, now);
    if (this.#connection === undefined) return;
    const alsoMore = this.#toGuest(connection, now);
    if (this.#connection === undefined) return;
    if (this.#hostFinished && this.#guestFinished) {
      this.#release(false);
      connection.close(now);
      return;
    }
    if ((more || alsoMore) && !this.#deferred) {
      this.#deferred = true;
      this.#relays.reactor.defer(this);
    }
  }

  /** Host to guest. True: stopped only because the turn is over. */
  #toGuest(connection: TcpConnection, now: Instant): boolean {
    let budget = this.#relays.turn;
    while (this.#readable && !this.#hostFinished) {
      // With any room at all a whole chunk is read: a piece that just fits would leave as a short packet.
      const want = connection.sendPiece(this.#readSize);
      if (want <= 0) return false;
      if (budget <= 0) return true;
      const n = this.#reader.receive(this.fd, connection, want, now, budget);
      if (n > 0) {
        budget -= Math.max(n, READ_COST);
        this.#bytesIn += n;
        if (this.#bytesIn - connection.sendQueued > this.#growAt) {
          this.#growAt = Infinity;
          letGrow(this.fd);
        }
        if (this.#bytesIn > this.#limitIn) {
          this.#limitIn = Infinity;
          limitBuffer(this.fd, SO.RCVBUF, this.#hostMost);
        }
        if (this.#reader.drained && !this.#ending) this.#readable = false;
      } else if (n === 0) {
        this.#hostFinished = true;
        connection.shutdown(now);
      } else if (wouldBlock(n)) {
        this.#readable = false;
      } else {
        this.#fail(connection, "gateway.tcp.host-reset", now);
      }
    }
    return false;
  }

  /** Guest to host. True: stopped only because the turn is over. */
  #toHost(connection: TcpConnection, now: Instant): boolean {
    const queue = connection.receiveQueue;
    let budget = this.#relays.turn;
    while (this.#writable && queue.length > 0) {
      if (budget <= 0) return true;
      // Nagle never holds back the first segment, so a connection with one request never pays for this call.
      if (++this.#writes === 2) setNoDelay(this.fd);
      const n = this.#relays.io.deliver(this.fd, connection);
      if (n > 0) {
        budget -= n;
        this.#bytesOut += n;
        connection.consume(n, now);
        if (this.#bytesOut > this.#limitOut) {
          this.#limitOut = Infinity;
          limitBuffer(this.fd, SO.SNDBUF, this.#hostMost);
        }
      } else if (wouldBlock(n)) {
        this.#writable = false;
      } else {
        this.#fail(connection, "gateway.tcp.host-reset", now);
        return false;
      }
    }
    if (queue.length === 0 && connection.peerClosed && !this.#guestFinished) {
      this.#guestFinished = true;
      // If the host has finished too, close() is about to send the FIN.
      if (!this.#hostFinished) shutdown(this.fd, SHUT.WR);
    }
    return false;
  }

  #fail(connection: TcpConnection, counter: string, now: Instant): void {
    this.#relays.count(counter);
    this.#release(false);
    connection.abort(now);
  }

  /** Gives the descriptor back. */
  #release(reset: boolean): void {
    this.#connection = undefined;
    this.#reader.close();
    if (reset) setResetOnClose(this.fd);
    this.#relays.reactor.forget(this.fd);
    close(this.fd);
    this.#relays.closed(this);
  }
}
