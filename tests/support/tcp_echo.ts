/**
 * Two observers of TCP: one that echoes, one that sends and collects what comes back.
 *
 * @module
 */

import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import type { TcpListener } from "../../lib/stack/tcp/listener.ts";
import type { Instant } from "../../lib/stack/time.ts";

/** Echoes everything, and ends when the other side does. */
export class EchoServer {
  onTcpAccept(listener: TcpListener, now: Instant): void {
    for (let c = listener.accept(now); c !== undefined; c = listener.accept(now)) {
      c.observer = this;
      this.onTcpEvent(c, 0, now);
    }
  }
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    const { receiveQueue } = connection;
    while (receiveQueue.length > 0 && connection.sendSpace > 0) {
      const chunk = receiveQueue.at(0)!;
      const written = connection.writeBytes(chunk.buffer.bytes.subarray(chunk.start, chunk.end), now);
      connection.consume(written, now);
    }
    if (connection.peerClosed && receiveQueue.length === 0) connection.shutdown(now);
  }
}

/** Sends bytes, collects what comes back, closes when all did. */
export class Client {
  readonly received: Uint8Array[] = [];
  count = 0;
  #sent = 0;
  done = false;
  events = 0;
  constructor(readonly bytes: Uint8Array) {}
  onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    this.events |= events;
    if (connection.state === "established" && this.#sent < this.bytes.length) {
      this.#sent += connection.writeBytes(this.bytes.subarray(this.#sent), now);
      if (this.#sent === this.bytes.length) connection.shutdown(now);
    }
    const { receiveQueue } = connection;
    while (receiveQueue.length > 0) {
      const chunk = receiveQueue.at(0)!;
      this.received.push(chunk.buffer.bytes.slice(chunk.start, chunk.end));
      this.count += chunk.end - chunk.start;
      connection.consume(chunk.end - chunk.start, now);
    }
    if (connection.peerClosed) {
      this.done = true;
      connection.close(now);
    }
  }
}
