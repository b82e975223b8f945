/**
 * What runs on the stacks of a simulation: a source of known bytes, a sink that checks every one of them, and both at
 * once on one connection.
 */

import type { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import { type TcpError, TcpEvent, type TcpObserver } from "../../lib/stack/tcp/events.ts";
import type { Instant } from "../../lib/stack/time.ts";

/** A prime, so that bytes which are shifted by any power of two or by a segment do not look right. */
const PERIOD = 65_521;
const PATTERN = pattern();
const CHUNK = 16_384;

function pattern(): Uint8Array {
  const bytes = new Uint8Array(2 * PERIOD);
  let state = 1;
  for (let i = 0; i < PERIOD; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = bytes[i + PERIOD] = state >>> 24;
  }
  return bytes;
}

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
  received = 0;
  /** Position of the first byte that was not the right one; -1 if there was none. */
  wrongAt = -1;
  established = false;
  peerClosed = false;
  closed = false;
  error: TcpError | undefined;
  /** When the last byte came. */
  lastAt = 0;
  /** Does not read while true. */
  paused = false;

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
      for (let i = 0; i < size;) {
        const from = this.received % PERIOD;
        const run = Math.min(size - i, PERIOD);
        this.#check(buffer.bytes, start + i, from, run);
        this.received += run;
        i += run;
      }
      left -= size;
      this.lastAt = now;
      connection.consume(size, now);
    }
  }

  #check(bytes: Uint8Array, at: number, from: number, length: number): void {
    if (this.wrongAt >= 0) return;
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== PATTERN[from + i]) {
        this.wrongAt = this.received + i;
        return;
      }
    }
  }
}
