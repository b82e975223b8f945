/**
 * The bytes of one connected socket: our end of the pair ⇄ a connection of the stack.
 *
 * Theory of operation
 *
 * ```text
 *   guest ──write──▶ pair ──read──▶ connection.write          stops when sendPiece is 0; TcpEvent.writable resumes it
 *   connection.receiveQueue ──writev──▶ pair ──read──▶ guest  stops at EAGAIN; EPOLLOUT resumes it
 * ```
 *
 * Nothing is buffered in between, so a full pair closes TCP's window, and a closed window fills the pair, whose guest then
 * blocks or polls unwritable. Readiness is remembered from edges until the kernel says EAGAIN or a read came back short; a
 * turn moves a bounded number of bytes and leaves the rest to the reactor's work list.
 *
 * **Ends.** What the pair can tell us, and what TCP must make of it:
 *
 * | our end reads …              | because the guest …                       | TCP           |
 * | ---------------------------- | ----------------------------------------- | ------------- |
 * | end of file, no hang-up      | shut down writing                         | FIN           |
 * | end of file and a hang-up    | closed its last descriptor                | FIN, orphan   |
 * | ECONNRESET                   | closed, with bytes that it had not read   | RST           |
 *
 * A hang-up also comes when both directions are shut down while the guest still has its descriptor. We know when it was
 * the guest who did that, because `shutdown` is trapped; then the pair is of no more use and the socket lives on without
 * (`detach`), to answer what the guest may still ask. The other way round, a FIN shuts our end for writing, and a reset
 * closes it with a byte left unread (see pair.ts).
 *
 * @module
 */

import { EpollEvents, SHUT } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { Work } from "../../../host/reactor.ts";
import { shutdown } from "../../../host/sys.ts";
import { readSize, wouldBlock } from "../../../link/stream_io.ts";
import { StreamReader } from "../../../link/stream_reader.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { type Instant, SECOND } from "../../../stack/time.ts";
import type { Streams } from "./streams.ts";

/** Bytes that one socket moves in one direction before it lets others go first. */
const TURN_BYTES = 256 * 1_024;
/** What a read counts for at least: one that ends at an urgent mark may bring a single byte. */
const READ_COST = 2_048;
/** After these a short read does not mean that the pair is empty. */
const LASTING = EpollEvents.rdhup | EpollEvents.hup | EpollEvents.err | EpollEvents.pri;
/** How long the bytes of a guest that is gone may wait for a peer that takes none. */
const ORPHAN_PATIENCE = 120 * SECOND;

/** How a relay came to its end. */
export type RelayEnd =
  /** The guest's last descriptor is gone. */
  | "closed"
  /** Both directions are over, and the guest may still have a descriptor. */
  | "finished";

/** Who owns a relay. */
export interface RelayOwner {
  readonly near: number;
  /** `SO_LINGER` of 0 seconds: closing means a reset. */
  readonly resetsOnClose: boolean;
  relayEnded(end: RelayEnd): void;
}

/** Moves the bytes of one connected socket. */
export class StreamRelay implements Work {
  /** The guest does not read any more: what arrives is thrown away. */
  readShut = false;
  /** The guest has shut down writing by a call; the end of file is not its last close. */
  writeShut = false;
  readonly #streams: Streams;
  readonly #owner: RelayOwner;
  readonly #connection: TcpConnection;
  readonly #readSize: number;
  readonly #reader: StreamReader;
  #readable: boolean;
  #writable = true;
  #ending = false;
  #hungUp = false;
  #guestFinished = false;
  #peerFinished = false;
  #deferred = false;
  #over = false;

  /** @param readable whether the guest may have written already; if not, an edge will tell of its first byte */
  constructor(streams: Streams, owner: RelayOwner, connection: TcpConnection, readable = true) {
    this.#streams = streams;
    this.#readable = readable;
    this.#owner = owner;
    this.#connection = connection;
    const { stack } = streams.context;
    this.#readSize = readSize(stack.tcp.route(connection), connection.remoteAddress.family);
    this.#reader = new StreamReader(
      streams.io,
      stack.owns(connection.remoteAddress) ? streams.pipes : undefined,
    );
  }

  /** Both directions have come to their end, or will as soon as what is queued has been read. */
  get finished(): boolean {
    return this.#guestFinished && this.#peerFinished;
  }

  /** What the reactor reports of the pair. */
  onReady(events: number): void {
    if ((events & (EpollEvents.in | LASTING)) !== 0) this.#readable = true;
    if ((events & LASTING) !== 0) this.#ending = true;
    if ((events & EpollEvents.pri) !== 0) this.#reader.expectUrgent(this.#owner.near);
    if ((events & EpollEvents.out) !== 0) this.#writable = true;
    if ((events & EpollEvents.hup) !== 0) this.#hungUp = true;
    this.pump(this.#streams.now());
  }

  /** Work list entry: the turn ended before the bytes did. */
  run(): void {
    this.#deferred = false;
    this.pump(this.#streams.now());
  }

  /** No more bytes. */
  stop(): void {
    this.#over = true;
    this.#reader.close();
  }

  /** Moves what can be moved. */
  pump(now: Instant): void {
    if (this.#over) return;
    const more = this.#fromGuest(now);
    if (this.#over) return;
    const alsoMore = this.#toGuest(now);
    if (this.#over) return;
    this.#conclude(now);
    if (!this.#over && (more || alsoMore) && !this.#deferred) {
      this.#deferred = true;
      this.#streams.context.reactor.defer(this);
    }
  }

  /** Guest to stack. True: stopped only because the turn is over. */
  #fromGuest(now: Instant): boolean {
    const connection = this.#connection;
    let budget = TURN_BYTES;
    while (this.#readable && !this.#guestFinished) {
      // With any room at all a whole chunk is read: a piece that just fits would leave as a short packet.
      const want = connection.sendPiece(this.#readSize);
      if (want <= 0 && !this.#isDeaf) return false;
      if (budget <= 0) return true;
      const n = this.#isDeaf
        ? this.#reader.discard(this.#owner.near, this.#readSize)
        : this.#reader.receive(this.#owner.near, connection, want, now);
      if (n > 0) {
        budget -= Math.max(n, READ_COST);
        if (this.#reader.drained && !this.#ending) this.#readable = false;
      } else if (n === 0) {
        this.#guestFinished = true;
        if (!this.#hungUp) connection.shutdown(now);
      } else if (wouldBlock(n)) {
        this.#readable = false;
      } else {
        this.#end(n === -Errno.ECONNRESET, now);
        return false;
      }
    }
    return false;
  }

  /** The connection takes nothing more, although the guest has not finished. */
  get #isDeaf(): boolean {
    const { state } = this.#connection;
    return state === "closed" || state === "time-wait";
  }

  /** Stack to guest. True: stopped only because the turn is over. */
  #toGuest(now: Instant): boolean {
    const connection = this.#connection;
    const queue = connection.receiveQueue;
    let budget = TURN_BYTES;
    while (queue.length > 0 && (this.#writable || this.readShut)) {
      if (budget <= 0) return true;
      if (this.readShut) {
        connection.consume(queue.length, now);
        break;
      }
      const n = this.#streams.io.deliver(this.#owner.near, connection);
      if (n > 0) {
        budget -= n;
        connection.consume(n, now);
      } else if (wouldBlock(n)) {
        this.#writable = false;
      } else {
        // EPIPE: the guest is gone, and this is what it has not read. The end of file says so, too, but may be far behind.
        this.#hungUp = true;
        this.#readable = true;
        this.#ending = true;
        this.#writable = false;
      }
    }
    if (queue.length === 0 && connection.peerClosed && !this.#peerFinished) {
      this.#peerFinished = true;
      if (!this.#hungUp) shutdown(this.#owner.near, SHUT.WR);
    }
    return false;
  }

  #conclude(now: Instant): void {
    if (this.#hungUp && !this.#guestFinished) this.#connection.setUserTimeout(ORPHAN_PATIENCE, now);
    if (!this.#guestFinished) return;
    if (this.#hungUp || this.#peerFinished) this.#end(false, now);
  }

  #end(reset: boolean, now: Instant): void {
    if (this.#over) return;
    this.stop();
    const connection = this.#connection;
    const guestIsThere = this.writeShut && (this.readShut || this.#peerFinished);
    if (reset || (this.#owner.resetsOnClose && !guestIsThere)) {
      connection.abort(now);
      connection.observer = undefined;
    } else {
      // shutdown(SHUT_RD) is no reason to reset what has arrived meanwhile.
      if (this.readShut && connection.receiveQueue.length > 0) {
        connection.consume(connection.receiveQueue.length, now);
      }
      connection.close(now);
    }
    this.#owner.relayEnded(guestIsThere && !reset ? "finished" : "closed");
  }
}
