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
import { atUrgentMark } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { recv, send, splice, write } from "../../../host/sys.ts";
import type { Pipe, Pipes } from "./pipes.ts";

/** Bytes that one splice moves at most. */
const CHUNK = 1 << 20;
/** Bytes that one direction moves in one turn, before others have theirs. */
export const TURN_BYTES = 1 << 20;
/**
 * What is smaller is cheaper to copy: two system calls on one buffer, and no pages to be passed around. Measured with one
 * byte there and back.
 */
const COPY = 65_536, SMALL = 4_096;

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
  /** There is urgent data at the source, which is in line: marks are looked for, and passed on. */
  urgent = false;
  /** Bytes passed on. */
  bytes = 0;
  /** Positive. */
  errno = 0;
  readonly #pipes: Pipes;
  #pipe: Pipe | undefined;
  /** Bytes in the pipe. */
  #held = 0;
  #ended = false;
  /** The last piece was not small. */
  #large = false;
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
      const marked = this.urgent && atUrgentMark(from);
      const n = marked ? this.#copyUrgent(from, to) : this.#large ? this.#splice(from) : this.#copy(from, to);
      if (n > 0) {
        budget -= n;
        continue;
      }
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

  /** From the source into the pipe. */
  #splice(from: number): number {
    this.#pipe ??= this.#pipes.take();
    if (this.#pipe === undefined) {
      this.#large = false;
      return -Errno.EINTR;
    }
    const n = splice(from, 0, this.#pipe.write, 0, CHUNK, SPLICE.NONBLOCK | SPLICE.MOVE);
    if (n > 0) {
      this.#held = n;
      this.#large = n >= SMALL;
    } else this.#release();
    return n;
  }

  /** The urgent byte, which is taken once it has been passed on. */
  #copyUrgent(from: number, to: number): number {
    const n = recv(from, copy.address, 1, MSG.DONTWAIT | MSG.PEEK);
    if (n <= 0) return n;
    let sent = send(to, copy.address, 1, MSG.OOB | MSG.DONTWAIT | MSG.NOSIGNAL);
    // A kernel whose unix sockets know of no urgent data: it goes in line.
    if (sent === -Errno.EOPNOTSUPP) sent = send(to, copy.address, 1, MSG.DONTWAIT | MSG.NOSIGNAL);
    if (sent === -Errno.EAGAIN) this.writable = false;
    else if (sent < 0) this.#targetFailed = true;
    if (sent <= 0) return sent;
    this.bytes++;
    return recv(from, copy.address, 1, MSG.DONTWAIT);
  }

  /** A little from the source to the target. What the target does not take goes into a pipe. */
  #copy(from: number, to: number): number {
    // With no pipe to be had, no more is taken than has been passed on.
    const pipe = this.#pipe ??= this.#pipes.take();
    // What is taken must fit there, whole: the target may be full from the first byte on.
    const most = pipe === undefined ? COPY : Math.min(COPY, pipe.room);
    const n = recv(from, copy.address, most, MSG.DONTWAIT | (pipe === undefined ? MSG.PEEK : 0));
    if (n <= 0) {
      this.#release();
      return n;
    }
    this.#large = n >= SMALL && pipe !== undefined;
    const sent = send(to, copy.address, n, MSG.DONTWAIT | MSG.NOSIGNAL);
    if (sent === -Errno.EAGAIN) this.writable = false;
    else if (sent < 0) {
      this.#targetFailed = true;
      this.#release();
      return sent;
    }
    const passed = Math.max(sent, 0);
    this.bytes += passed;
    if (pipe === undefined) {
      if (sent > 0) recv(from, copy.address, sent, MSG.DONTWAIT);
      return sent;
    }
    if (passed < n) this.#held = write(pipe.write, copy.address + passed, n - passed);
    else this.#release();
    return n;
  }
}
