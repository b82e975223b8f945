/**
 * Connections that have something to send, in turn: a ring that grows by doubling and allocates nothing else.
 *
 * @module
 */

import type { TcpConnection } from "./tcp/connection.ts";

/** In which order connections are asked for packets. Holds each at most once; `connection.ready` tells whether it does. */
export interface ReadyQueue {
  readonly length: number;
  /** Puts a connection in, unless it is in already. */
  push(connection: TcpConnection): void;
  /** Takes the next one; undefined if there is none, or none may send now. */
  shift(): TcpConnection | undefined;
  /** The connection that was taken last has sent so many bytes. */
  sent(bytes: number): void;
}

/** A queue of connections without duplicates; `connection.ready` tells whether it is in one. */
export class ReadyRing implements ReadyQueue {
  #slots: (TcpConnection | undefined)[] = new Array<TcpConnection | undefined>(64).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Puts a connection at the end, unless it is in a ring already. */
  push(connection: TcpConnection): void {
    if (connection.ready) return;
    connection.ready = true;
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = connection;
    this.#length++;
  }

  /** Takes the first connection. */
  shift(): TcpConnection | undefined {
    if (this.#length === 0) return undefined;
    const connection = this.#slots[this.#head]!;
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    connection.ready = false;
    return connection;
  }

  /** All take turns packet by packet. */
  sent(): void {}

  #grow(): void {
    const old = this.#slots;
    const slots = new Array<TcpConnection | undefined>(old.length * 2).fill(undefined);
    for (let i = 0; i < this.#length; i++) slots[i] = old[(this.#head + i) & (old.length - 1)];
    this.#slots = slots;
    this.#head = 0;
  }
}
