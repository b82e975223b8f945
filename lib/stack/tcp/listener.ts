/**
 * A listening port: half-open connections, connections that wait to be accepted, and SYN cookies beyond.
 *
 * ```text
 *   SYN ──► half-open (≤ backlog) ──ACK──► accept queue (≤ backlog) ──accept()──► user
 *     └─ when full: a cookie ──ACK──────────────┘
 * ```
 *
 * A flood of SYNs (RFC 4987) therefore costs `backlog` connections and no more. When nobody accepts, the final ACK is dropped,
 * so that the peer finds out by itself, and new SYNs are dropped as well, as in Linux.
 *
 * @module
 */

import type { SocketFacts } from "../facts.ts";
import type { Instant } from "../time.ts";
import { SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { TcpConnection } from "./connection.ts";
import type { TcpAcceptor } from "./connection_seed.ts";
import type { TcpOptions } from "./options.ts";

/** The user of a listener. Called from the stack's poll. */
export interface TcpListenerObserver {
  /** A handshake is over and `listener.accept` returns its connection. Called once per batch: accept until undefined. */
  onTcpAccept(listener: TcpListener, now: Instant): void;
}

/** What `TcpDemux.listen` needs. */
export interface TcpListenRequest {
  /** Absent, or unspecified: all addresses of the family (of both if absent). */
  readonly address?: IpAddress;
  readonly port: number;
  /** Half-open connections, and connections that wait to be accepted: so many of each. 128 if absent. */
  readonly backlog?: number;
  readonly observer: TcpListenerObserver;
  readonly options?: Partial<TcpOptions>;
}

/** What a listener needs of the table. */
export interface ListenerHost {
  notifyListener(listener: TcpListener): void;
  forgetListener(listener: TcpListener): void;
}

/** How long after an overflow a cookie may come back (Linux' `TCP_SYNCOOKIE_VALID`). */
const COOKIE_VALID = 128 * SECOND;
const DEFAULT_BACKLOG = 128;

/** A listening port. */
export class TcpListener implements TcpAcceptor {
  readonly address: IpAddress | undefined;
  readonly port: number;
  readonly observer: TcpListenerObserver;
  readonly options: TcpOptions;
  /** May change while it listens. */
  backlog: number;
  readonly #host: ListenerHost;
  readonly #halfOpen = new Set<TcpConnection>();
  readonly #queue: TcpConnection[] = [];
  #cookieAt = -Infinity;
  #closed = false;

  constructor(request: TcpListenRequest, options: TcpOptions, host: ListenerHost) {
    this.address = request.address?.isUnspecified() === true ? undefined : request.address?.clone();
    this.family = request.address?.family;
    this.port = request.port;
    this.observer = request.observer;
    this.backlog = Math.max(request.backlog ?? DEFAULT_BACKLOG, 1);
    this.options = options;
    this.#host = host;
  }

  /** Only connections of this family; undefined: of both. */
  readonly family: 4 | 6 | undefined;

  /** Connections whose handshake is not over. */
  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** Connections that wait for {@linkcode accept}. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** For `ss -l`. */
  facts(): SocketFacts {
    const family = this.family ?? 6;
    const any = family === 4 ? "0.0.0.0" : "::";
    return {
      protocol: "tcp",
      state: "LISTEN",
      family,
      local: this.address?.toString() ?? any,
      localPort: this.port,
      remote: any,
      remotePort: 0,
      receiveQueue: this.waiting,
      sendQueue: this.backlog,
    };
  }

  /** Whether this listener takes connections to `local`. */
  matches(local: IpAddress): boolean {
    if (this.address !== undefined) return this.address.equals(local);
    return this.family === undefined || this.family === local.family;
  }

  /** A half-open connection more. */
  adopt(connection: TcpConnection): void {
    connection.acceptor = this;
    this.#halfOpen.add(connection);
  }

  /** A SYN was answered by a cookie. */
  onCookieSent(now: Instant): void {
    this.#cookieAt = now;
  }

  /** Whether an unknown ACK may be a cookie that comes back. */
  expectsCookie(now: Instant): boolean {
    return now - this.#cookieAt < COOKIE_VALID;
  }

  hasRoom(): boolean {
    return !this.#closed && this.#queue.length < this.backlog;
  }

  established(connection: TcpConnection, _now: Instant): void {
    this.#halfOpen.delete(connection);
    this.#queue.push(connection);
    this.#host.notifyListener(this);
  }

  abandoned(connection: TcpConnection): void {
    this.#halfOpen.delete(connection);
    const at = this.#queue.indexOf(connection);
    // As in Linux, a connection that was reset while it waited is still accepted: the user gets its end as an event.
    if (at >= 0 && this.#closed) this.#queue.splice(at, 1);
  }

  /** The oldest connection that waits; the caller sets its `observer`, and gets `established` in its next events. */
  accept(_now: Instant): TcpConnection | undefined {
    const connection = this.#queue.shift();
    connection?.handOut();
    return connection;
  }

  /** Connections that wait for `accept` are reset, half-open ones too. Idempotent. */
  close(now: Instant): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.forgetListener(this);
    for (const connection of [...this.#queue, ...this.#halfOpen]) connection.abort(now);
    this.#queue.length = 0;
    this.#halfOpen.clear();
  }
}
