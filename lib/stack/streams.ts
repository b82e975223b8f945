/**
 * TCP as WHATWG streams: `connect` and `listen` for users of the library.
 *
 * The stack stays without a clock and without a loop of its own. {@linkcode TcpStreams} is given a way to read the
 * clock, and a `wake` to call when a stream's user did something that the pump should look at. Everything else happens
 * inside of the pump's `stack.poll`.
 *
 * Back-pressure is real in both directions: bytes leave the connection's receive queue only when somebody reads, so the
 * window closes on a peer whose bytes nobody wants; and `write` is done when the send queue took all of it.
 *
 * @module
 */

import type { Stack, TcpConnectOptions } from "./stack.ts";
import { TcpConnection } from "./tcp/connection.ts";
import { type TcpError, TcpEvent, type TcpObserver } from "./tcp/events.ts";
import { TcpListener, type TcpListenRequest } from "./tcp/listener.ts";
import type { Instant } from "./time.ts";

/** A connection that failed, or could not begin. */
export class TcpStreamError extends Error {
  override readonly name: string = "TcpStreamError";
  constructor(readonly code: TcpError, what: string) {
    super(`Cannot ${what}: ${code}`);
  }
}

/** How streams reach the world of their stack. */
export interface StreamDriver {
  readonly stack: Stack;
  /** Microseconds, the same clock that the pump hands to the stack. */
  now(): Instant;
  /** Something may be ready to be sent: pump soon. Called often; must not call back into the stack. */
  wake(): void;
}

/** A connection as a pair of streams. */
export class TcpStream implements TcpObserver {
  /** What the peer sends; ends with its FIN, errs with a {@linkcode TcpStreamError}. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What is sent to the peer; closing it sends FIN, aborting it RST. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves at the orderly end of the connection, rejects with a {@linkcode TcpStreamError}. */
  readonly closed: Promise<void>;
  readonly connection: TcpConnection;
  readonly #driver: StreamDriver;
  readonly #ended = Promise.withResolvers<void>();
  readonly #opened: PromiseWithResolvers<TcpStream> | undefined;
  #reader: ReadableStreamDefaultController<Uint8Array> | undefined;
  #writer: WritableStreamDefaultController | undefined;
  /** Somebody waits for bytes. */
  #wanted: PromiseWithResolvers<void> | undefined;
  /** Bytes that the send queue did not take yet. */
  #rest: Uint8Array | undefined;
  #written: PromiseWithResolvers<void> | undefined;
  #readDone = false;
  #discard = false;
  #over = false;

  /** Use {@linkcode TcpStreams}. */
  constructor(driver: StreamDriver, connection: TcpConnection, opened?: PromiseWithResolvers<TcpStream>) {
    this.#driver = driver;
    this.connection = connection;
    this.#opened = opened;
    this.closed = this.#ended.promise;
    this.closed.catch(() => {}); // Nobody has to look.
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#reader = controller;
      },
      pull: () => this.#pull(),
      cancel: () => {
        this.#discard = true;
        this.#readDone = true;
        this.#drain(driver.now());
      },
    }, { highWaterMark: 0 });
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writer = controller;
      },
      write: (bytes) => this.#write(bytes),
      close: () => {
        connection.shutdown(driver.now());
        driver.wake();
      },
      abort: () => {
        connection.abort(driver.now());
        driver.wake();
      },
    });
    connection.observer = this;
  }

  /** Sends what was written, then FIN; reads no more. For an end at once: `writable.abort()`. */
  close(): void {
    if (this.#over) return;
    this.connection.shutdown(this.#driver.now());
    this.#discard = true;
    this.#drain(this.#driver.now());
    this.#driver.wake();
  }

  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if ((events & TcpEvent.established) !== 0) this.#opened?.resolve(this);
    if (this.#rest !== undefined && connection.sendSpace > 0) this.#push(now);
    if (this.#wanted !== undefined || this.#discard) this.#drain(now);
    if ((events & TcpEvent.closed) !== 0) this.#end(connection.error);
  }

  #pull(): Promise<void> | undefined {
    if (this.#readDone) return undefined;
    this.#wanted = Promise.withResolvers();
    const { promise } = this.#wanted;
    this.#drain(this.#driver.now());
    return promise;
  }

  /** Hands what has arrived to the reader, as far as it wants it. */
  #drain(now: Instant): void {
    const { connection } = this;
    const { receiveQueue } = connection;
    const { length } = receiveQueue;
    if (length > 0) {
      if (this.#discard) connection.consume(length, now);
      else {
        const bytes = new Uint8Array(length);
        let at = 0;
        for (let i = 0; i < receiveQueue.count; i++) {
          const { buffer, start, end } = receiveQueue.at(i);
          bytes.set(buffer.load().bytes.subarray(start, end), at);
          at += end - start;
        }
        connection.consume(length, now);
        this.#reader?.enqueue(bytes);
        this.#satisfied();
      }
      this.#driver.wake();
      return;
    }
    if (connection.peerClosed && !this.#readDone) {
      this.#readDone = true;
      this.#reader?.close();
      this.#satisfied();
    }
  }

  #satisfied(): void {
    this.#wanted?.resolve();
    this.#wanted = undefined;
  }

  #write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#over) throw new TcpStreamError(this.connection.error ?? "aborted", "write to the connection");
    this.#rest = bytes;
    this.#push(this.#driver.now());
    this.#driver.wake();
    if (this.#rest === undefined) return undefined;
    this.#written = Promise.withResolvers();
    return this.#written.promise;
  }

  #push(now: Instant): void {
    const rest = this.#rest!;
    const taken = this.connection.writeBytes(rest, now);
    if (taken < rest.length) {
      this.#rest = rest.subarray(taken);
      return;
    }
    this.#rest = undefined;
    this.#written?.resolve();
    this.#written = undefined;
  }

  #end(error: TcpError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const failure = error === undefined ? undefined : new TcpStreamError(error, "keep the connection");
    this.#opened?.reject(failure ?? new TcpStreamError("aborted", "connect"));
    if (failure !== undefined) {
      if (!this.#readDone) this.#reader?.error(failure);
      this.#readDone = true;
      this.#writer?.error(failure);
      this.#ended.reject(failure);
    } else this.#ended.resolve();
    this.#satisfied();
    if (failure === undefined) this.#written?.resolve();
    else this.#written?.reject(failure);
    this.#written = undefined;
    this.connection.close(this.#driver.now());
  }
}

/** A listener whose connections are an async iterable. */
export class TcpStreamListener implements AsyncIterable<TcpStream> {
  readonly listener: TcpListener;
  readonly #driver: StreamDriver;
  #waiting: PromiseWithResolvers<TcpStream | undefined> | undefined;
  #closed = false;

  /** Use {@linkcode TcpStreams}. */
  constructor(driver: StreamDriver, request: Omit<TcpListenRequest, "observer">) {
    this.#driver = driver;
    const observer = { onTcpAccept: (_listener: TcpListener, now: Instant) => this.#serve(now) };
    const listener = driver.stack.tcpListen({ ...request, observer }, driver.now());
    if (!(listener instanceof TcpListener)) {
      throw new TcpStreamError(listener, `listen on port ${request.port}`);
    }
    this.listener = listener;
  }

  /** The next connection; undefined once the listener is closed. One call at a time. */
  accept(): Promise<TcpStream | undefined> {
    this.#waiting ??= Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#serve(this.#driver.now());
    return promise;
  }

  /** Stops; connections that wait are reset. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.listener.close(this.#driver.now());
    this.#driver.wake();
    this.#serve(this.#driver.now());
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TcpStream, void, undefined> {
    for (let stream = await this.accept(); stream !== undefined; stream = await this.accept()) yield stream;
  }

  #serve(now: Instant): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const connection = this.#closed ? undefined : this.listener.accept(now);
    if (connection === undefined && !this.#closed) return;
    this.#waiting = undefined;
    waiting.resolve(connection && new TcpStream(this.#driver, connection));
  }
}

/** The door: connections of one stack as streams. */
export class TcpStreams {
  readonly #driver: StreamDriver;

  constructor(driver: StreamDriver) {
    this.#driver = driver;
  }

  /** Opens a connection. Rejects with a {@linkcode TcpStreamError}. */
  connect(request: Omit<TcpConnectOptions, "observer">): Promise<TcpStream> {
    const driver = this.#driver;
    const opened = Promise.withResolvers<TcpStream>();
    const connection = driver.stack.tcpConnect(request, driver.now());
    if (connection instanceof TcpConnection) new TcpStream(driver, connection, opened);
    else opened.reject(new TcpStreamError(connection, `connect to ${request.remoteAddress}`));
    driver.wake();
    return opened.promise;
  }

  /** Listens. Throws a {@linkcode TcpStreamError}. */
  listen(request: Omit<TcpListenRequest, "observer">): TcpStreamListener {
    return new TcpStreamListener(this.#driver, request);
  }
}
