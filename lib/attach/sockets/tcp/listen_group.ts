/**
 * The sockets that listen on one port: one, or several with `SO_REUSEPORT`, which share a listener of the stack.
 *
 * One member takes connections straight from the listener's queue, so that the backlog counts there. With several,
 * each new connection is handed to one of them by a hash of the peer, as Linux does, and waits in that member's own queue.
 *
 * @module
 */

import type { SocketFacts } from "../../../stack/facts.ts";
import type { Stack } from "../../../stack/stack.ts";
import type { Instant } from "../../../stack/time.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import type { TcpError } from "../../../stack/tcp/events.ts";
import type { TcpListener, TcpListenerObserver } from "../../../stack/tcp/listener.ts";
import type { TcpOptions } from "../../../stack/tcp/options.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";

/** A socket that listens. */
export interface GroupMember {
  /** A connection is its own from now on. False: its queue is full. */
  take(connection: TcpConnection): boolean;
  /** Connections may wait in the group's listener. */
  arrived(now: Instant): void;
}

/** Sockets on one port. */
export class ListenGroup implements TcpListenerObserver {
  readonly #members: GroupMember[] = [];
  #listener: TcpListener | undefined;

  /**
   * Begins to listen.
   *
   * @param address absent: both families
   * @returns why it cannot, or undefined
   */
  open(
    stack: Stack,
    address: IpAddress | undefined,
    port: number,
    backlog: number,
    options: Partial<TcpOptions>,
    now: Instant,
  ): TcpError | undefined {
    const request = { port, backlog, observer: this, options, ...(address !== undefined && { address }) };
    const listener = stack.tcpListen(request, now);
    if (typeof listener === "string") return listener;
    this.#listener = listener;
    return undefined;
  }

  get size(): number {
    return this.#members.length;
  }

  /** Connections that wait in the stack's listener, for a group's only member. */
  get waiting(): number {
    return this.#members.length === 1 ? this.#listener?.waiting ?? 0 : 0;
  }

  /** What `ss` shows of it. */
  facts(): SocketFacts | undefined {
    return this.#listener?.facts();
  }

  setBacklog(backlog: number): void {
    if (this.#listener !== undefined) this.#listener.backlog = backlog;
  }

  join(member: GroupMember): void {
    this.#members.push(member);
  }

  /** Returns whether it was the last one: the group has ended then, and waiting connections are reset. */
  leave(member: GroupMember, now: Instant): boolean {
    const at = this.#members.indexOf(member);
    if (at >= 0) this.#members.splice(at, 1);
    if (this.#members.length > 0) return false;
    this.#listener?.close(now);
    this.#listener = undefined;
    return true;
  }

  /** The oldest waiting connection, for a group's only member. */
  accept(now: Instant): TcpConnection | undefined {
    return this.#members.length === 1 ? this.#listener?.accept(now) : undefined;
  }

  onTcpAccept(listener: TcpListener, now: Instant): void {
    const members = this.#members;
    if (members.length > 1) this.#distribute(listener, now);
    for (const member of [...members]) member.arrived(now);
  }

  #distribute(listener: TcpListener, now: Instant): void {
    const members = this.#members;
    for (let c = listener.accept(now); c !== undefined; c = listener.accept(now)) {
      const hash = (c.remoteAddress.hash() ^ Math.imul(c.remotePort, 0x9e3779b1)) >>> 0;
      if (!members[hash % members.length]!.take(c)) c.abort(now);
    }
  }
}
