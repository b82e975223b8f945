/**
 * What runs on the stacks of a simulation: a source of known bytes, a sink that checks every one of them, and both at
 * once on one connection.
 */

import type { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import { type TcpError, TcpEvent, type TcpObserver } from "../../lib/stack/tcp/events.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { PATTERN, PatternCheck, PERIOD } from "./pattern.ts";

const CHUNK = 16_384;

/** What an application does with its connection. */
export interface AppOptions {
  /** Bytes to send; Infinity to send until the end of the world. */
  readonly send?: number;
  /** FIN after the last byte; true if absent. */
  readonly shutdown?: boolean;
  /** Largest number of bytes to read per call; everything if absent. */
  readonly readAtMost?: number;
}

/** One end of a connection: sends the pattern, and checks that it receives it. */
export class App implements TcpObserver {
  connection: TcpConnection | undefined;
  sent = 0;
  established = false;
  peerClosed = false;
  closed = false;
  error: TcpError | undefined;
  /** When the last byte came. */
  lastAt = 0;
  /** Does not read while true. */
  paused = false;

  readonly #check = new PatternCheck();
  readonly #pool: BufferPool;
  readonly #readAtMost: number;
  #shutdown: boolean;
  #total: number;
  #shut = false;

  constructor(pool: BufferPool, options: AppOptions = {}) {
    this.#pool = pool;
    this.#total = options.send ?? 0;
    this.#shutdown = options.shutdown ?? true;
    this.#readAtMost = options.readAtMost ?? Infinity;
  }

  /** Bytes that arrived. */
  get received(): number {
    return this.#check.count;
  }

  /** Position of the first byte that was not the right one; -1 if there was none. */
  get wrongAt(): number {
    return this.#check.wrongAt;
  }

  /** Sends `count` bytes more, and then FIN. */
  send(count: number, now: Instant): void {
    this.#total += count;
    this.#shutdown = true;
    this.write(now);
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    this.connection = connection;
    if ((events & TcpEvent.established) !== 0) this.established = true;
    if ((events & TcpEvent.peerClosed) !== 0) this.peerClosed = true;
    this.read(now);
    if ((events & TcpEvent.closed) !== 0) {
      this.closed = true;
      this.error = connection.error;
      return;
    }
    if (this.established) this.write(now);
  }

  /** Writes what fits. */
  write(now: Instant): void {
    const { connection } = this;
    const total = this.#total;
    if (connection === undefined || this.closed || this.#shut) return;
    while (this.sent < total) {
      const size = Math.min(connection.sendSpace, CHUNK, total - this.sent);
      if (size <= 0) return;
      const chunk = this.#pool.take(size);
      const from = this.sent % PERIOD;
      chunk.bytes.set(PATTERN.subarray(from, from + size), chunk.start);
      chunk.end = chunk.start + size;
      this.sent += size;
      connection.write(chunk, now);
    }
    if (this.#shutdown) {
      this.#shut = true;
      connection.shutdown(now);
    }
  }

  /** Reads and checks what has come. */
  read(now: Instant): void {
    const { connection } = this;
    if (connection === undefined || this.paused) return;
    const queue = connection.receiveQueue;
    let left = this.#readAtMost;
    while (queue.count > 0 && left > 0) {
      const { buffer, start, end } = queue.at(0);
      const size = Math.min(end - start, left);
      this.#check.take(buffer.bytes, start, size);
      left -= size;
      this.lastAt = now;
      connection.consume(size, now);
    }
  }
}
