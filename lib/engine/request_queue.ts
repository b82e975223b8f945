/**
 * Requests on their way to the engine, which reads them between two turns of its loop: what its socket has no room for waits,
 * in order. A socket holds some two hundred, and clients of an API may ask for more at one time.
 *
 * @module
 */

import { Errno } from "../host/errno.ts";
import { NativeMemory } from "../host/memory.ts";
import { write } from "../host/sys.ts";
import { REQUEST_MAX } from "./requests.ts";

/** Requests that wait at most; one more is refused. */
export const REQUESTS_WAITING = 4_096;
/** Milliseconds between two tries. */
const RETRY = 2;

/** A request. */
export interface QueuedRequest {
  readonly text: Uint8Array;
  /** It cannot be sent: `gone`, nobody listens; `timed-out`, too many wait. */
  onLost(code: "gone" | "timed-out"): void;
}

/** Writes requests, each at most {@linkcode REQUEST_MAX} bytes long, to a socket that does not block and stays the caller's. */
export class RequestQueue {
  readonly #fd: number;
  readonly #memory = new NativeMemory(REQUEST_MAX);
  readonly #waiting: QueuedRequest[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Sends now or later. */
  send(request: QueuedRequest): void {
    if (this.#waiting.length >= REQUESTS_WAITING) return request.onLost("timed-out");
    this.#waiting.push(request);
    if (this.#timer === undefined) this.#write();
  }

  /** Forgets what waits. */
  close(): void {
    clearTimeout(this.#timer);
    for (const { onLost } of this.#waiting.splice(0)) onLost("gone");
  }

  #write(): void {
    this.#timer = undefined;
    let done = 0;
    for (const { text, onLost } of this.#waiting) {
      this.#memory.bytes.set(text);
      const sent = write(this.#fd, this.#memory.address, text.length);
      if (sent === -Errno.EAGAIN) {
        this.#timer = setTimeout(() => this.#write(), RETRY);
        break;
      }
      done++;
      if (sent < 0) onLost("gone");
    }
    this.#waiting.splice(0, done);
  }
}
