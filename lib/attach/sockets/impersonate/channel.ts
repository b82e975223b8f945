/**
 * One direction of a relayed stream: from a socket to a socket, through a pipe.
 *
 * Readiness is remembered from edges until the kernel says EAGAIN. Nothing is taken from a socket while the other is known
 * to be full, so that a pipe is seldom kept, and back-pressure is the kernel's own.
 *
 * @module
 */

import { MSG, SPLICE } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { recv, send, splice } from "../../../host/sys.ts";
import type { Pipe, Pipes } from "./pipes.ts";

/** Bytes that one splice moves at most. */
const CHUNK = 1 << 20;
/** Bytes that one direction moves in one turn, before others have theirs. */
export const TURN_BYTES = 1 << 20;
/** Room of the copy that is made when there is no pipe to be had. */
const COPY = 65_536;

const copy = new NativeMemory(COPY);

/**
 * How a {@linkcode Channel.move} ended: `all` there is has been moved, the turn is over and there is `more`, the source is at
 * its `end` and all of it has been passed on, or one side failed with {@linkcode Channel.errno}.
 */
export type Moved = "all" | "more" | "end" | "source-failed" | "target-failed";

/** Bytes on their way from one socket to another. */
export class Channel {
  readable = true;
  writable = true;
  /** Bytes passed on. */
  bytes = 0;
  /** Positive. */
  errno = 0;
  readonly #pipes: Pipes;
  #pipe: Pipe | undefined;
  /** Bytes in the pipe. */
  #held = 0;
  #ended = false;
  /** It was the write of a {@linkcode Channel.#copy} that failed. */
  #targetFailed = false;

  constructor(pipes: Pipes) {
    this.#pipes = pipes;
  }

  /** Bytes that are neither here nor there. */
  get held(): number {
    return this.#held;
  }

  /** Moves what can be moved. */
  move(from: number, to: number): Moved {
    let budget = TURN_BYTES;
    for (;;) {
      if (this.#held > 0) {
        if (!this.writable) return "all";
        const n = splice(this.#pipe!.read, 0, to, 0, this.#held, SPLICE.NONBLOCK | SPLICE.MOVE);
        if (n > 0) {
          this.#held -= n;
          this.bytes += n;
          budget -= n;
          if (this.#held === 0) this.#release();
        } else if (n === -Errno.EAGAIN) {
          this.writable = false;
          return "all";
        } else {
          this.errno = -n;
          return "target-failed";
        }
        continue;
      }
      if (this.#ended) return "end";
      if (!this.readable || !this.writable) return "all";
      if (budget <= 0) return "more";
      this.#pipe ??= this.#pipes.take();
      const n = this.#pipe === undefined
        ? this.#copy(from, to)
        : splice(from, 0, this.#pipe.write, 0, CHUNK, SPLICE.NONBLOCK | SPLICE.MOVE);
      if (n > 0) {
        if (this.#pipe === undefined) {
          this.bytes += n;
          budget -= n;
        } else this.#held = n;
        continue;
      }
      this.#release();
      if (n === 0) {
        this.#ended = true;
      } else if (n === -Errno.EAGAIN) {
        if (this.writable) this.readable = false;
        return "all";
      } else if (n !== -Errno.EINTR) {
        this.errno = -n;
        return this.#targetFailed ? "target-failed" : "source-failed";
      }
    }
  }

  /** No more bytes; what is in the pipe is lost. */
  close(): void {
    if (this.#pipe === undefined) return;
    if (this.#held > 0) this.#pipes.discard(this.#pipe);
    else this.#pipes.give(this.#pipe);
    this.#pipe = undefined;
    this.#held = 0;
  }

  #release(): void {
    if (this.#pipe !== undefined) this.#pipes.give(this.#pipe);
    this.#pipe = undefined;
  }

  /** Without a pipe: looks, writes what fits, and then takes just that. */
  #copy(from: number, to: number): number {
    const n = recv(from, copy.address, COPY, MSG.PEEK | MSG.DONTWAIT);
    if (n <= 0) return n;
    const sent = send(to, copy.address, n, MSG.DONTWAIT | MSG.NOSIGNAL);
    if (sent > 0) recv(from, copy.address, sent, MSG.DONTWAIT);
    else if (sent === -Errno.EAGAIN) this.writable = false;
    else this.#targetFailed = true;
    return sent;
  }
}
