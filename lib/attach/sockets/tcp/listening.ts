/**
 * The listening half of a socket: connections that wait, calls that wait for them, and a byte for each.
 *
 * A listener is readable while connections wait. The pair says so by one byte per waiting connection in the guest's
 * receive queue, so that each arrival is an edge of its own for who watches edges. The byte is taken back, through the
 * guest's own end, when its connection is accepted.
 *
 * A connection that was handed out is ours until the guest has its descriptor: if the call was interrupted meanwhile,
 * it goes back to the front of the queue.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import type { Instant } from "../../../stack/time.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import type { Call } from "../call.ts";
import { HeldCall } from "./held_call.ts";
import { offer, takeBack } from "./pair.ts";
import type { Streams } from "./streams.ts";

/** A connection that waits to be accepted. */
export interface Acceptable {
  abort(now: Instant): void;
}

/** Who takes connections from a source. */
export interface AcceptMember<Connection extends Acceptable> {
  /** A connection is its own from now on. False: its queue is full. */
  take(connection: Connection): boolean;
  /** Connections may wait in the source. */
  arrived(now: Instant): void;
}

/** Where connections come from. */
export interface AcceptSource<Connection extends Acceptable> {
  /** Connections that wait there. */
  readonly waiting: number;
  accept(now: Instant): Connection | undefined;
  /** One member less. True: it was the last, and connections that waited have been reset. */
  leave(member: AcceptMember<Connection>, now: Instant): boolean;
}

/** Whose listening half it is. */
export interface ListeningOwner<Connection extends Acceptable = TcpConnection> {
  readonly near: number;
  /** `SO_RCVTIMEO`, microseconds; 0: none. */
  readonly acceptTimeout: number;
  /**
   * Gives the guest a socket for `connection` and answers `call`.
   *
   * @returns false: the guest did not get it, and `call` is over
   */
  deliver(connection: Connection, call: Call, flags: number): boolean;
  /** Our duplicate of the guest's end, to be closed with {@linkcode giveBack}, or −errno. */
  reachGuest(): number;
  giveBack(far: number): void;
}

/** What a listening socket has beside its pair. */
export class Listening<
  Connection extends Acceptable = TcpConnection,
  Group extends AcceptSource<Connection> = AcceptSource<Connection>,
> implements AcceptMember<Connection> {
  readonly group: Group;
  /** As given to `listen`. */
  backlog: number;
  readonly #streams: Streams;
  readonly #owner: ListeningOwner<Connection>;
  /** Connections that are ours already: dealt to us, or given back by an interrupted call. */
  readonly #own: Connection[] = [];
  readonly #waiting: HeldCall[] = [];
  /** Bytes in the guest's receive queue. */
  #tokens = 0;

  constructor(streams: Streams, owner: ListeningOwner<Connection>, group: Group, backlog: number) {
    this.#streams = streams;
    this.#owner = owner;
    this.group = group;
    this.backlog = backlog;
  }

  /** Connections that wait for `accept`. */
  get available(): number {
    return this.#own.length + this.group.waiting;
  }

  /** Answers `accept`, or holds it. */
  accept(call: Call, flags: number): void {
    // Who waits longer comes first.
    if (this.#waiting.length === 0 && this.available > 0) {
      // The byte goes first: who has accepted the last connection must not find the listener readable.
      this.#balance(this.available - 1);
      this.#serve(call, flags);
      return this.#balance(this.available);
    }
    if (!call.blocking) return void call.fail(Errno.EAGAIN);
    const timeout = this.#owner.acceptTimeout;
    if (timeout < 0) return void call.fail(Errno.EAGAIN);
    const forget = (held: HeldCall) => this.#forget(held);
    const onTimeout = (held: HeldCall) => {
      this.#forget(held);
      held.call.fail(Errno.EAGAIN);
    };
    const { supervisor } = this.#streams.context;
    this.#waiting.push(
      new HeldCall(supervisor, call, flags, timeout, this.#streams.now(), onTimeout, forget),
    );
  }

  take(connection: Connection): boolean {
    if (this.#own.length > this.backlog) return false;
    this.#own.push(connection);
    return true;
  }

  arrived(_now: Instant): void {
    while (this.#waiting.length > 0 && this.available > 0) {
      const held = this.#waiting.shift()!.settle();
      this.#serve(held.call, held.flags);
    }
    this.#balance(this.available);
  }

  /** The end of listening. Calls that wait fail with `errno`. */
  close(errno: number, now: Instant): boolean {
    for (const held of this.#waiting.splice(0)) held.settle().call.fail(errno);
    for (const connection of this.#own.splice(0)) connection.abort(now);
    return this.group.leave(this, now);
  }

  #serve(call: Call, flags: number): void {
    const connection = this.#own.shift() ?? this.group.accept(this.#streams.now());
    if (connection === undefined) return void call.fail(Errno.EAGAIN);
    if (!this.#owner.deliver(connection, call, flags)) this.#own.unshift(connection);
  }

  #forget(held: HeldCall): void {
    const at = this.#waiting.indexOf(held);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  /** Has `wanted` bytes wait in the guest's queue. */
  #balance(wanted: number): void {
    if (wanted > this.#tokens) this.#tokens += offer(this.#owner.near, wanted - this.#tokens);
    if (wanted >= this.#tokens) return;
    const far = this.#owner.reachGuest();
    if (far < 0) return;
    const taken = takeBack(far, this.#tokens - wanted);
    // Somebody has read the listener, which on TCP is an error and here is a byte lost: begin anew.
    this.#tokens = taken > 0 ? this.#tokens - taken : wanted;
    this.#owner.giveBack(far);
  }
}
