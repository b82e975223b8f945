/**
 * The epoll handler of one pair: passes events to the socket, and hang-ups to its end.
 *
 * Apart from the socket, because a socket may be given a fresh pair while events of the old one are on their way.
 *
 * @module
 */

import { EpollEvents, type Reactor, type ReadyHandler } from "../../host/reactor.ts";
import type { GuestSocket } from "./guest_socket.ts";

/** Watches `socket.near` as it is now. */
export class PairWatch implements ReadyHandler {
  readonly #reactor: Reactor;
  readonly #socket: GuestSocket;
  readonly #fd: number;
  #open = true;

  constructor(reactor: Reactor, socket: GuestSocket) {
    this.#reactor = reactor;
    this.#socket = socket;
    this.#fd = socket.near;
  }

  onReady(events: number): void {
    this.#socket.onReady(events);
    if (this.#open && (events & EpollEvents.hup) !== 0) this.#socket.closed();
  }

  /** Stops watching; the caller closes the descriptor next. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#reactor.forget(this.#fd);
  }
}
