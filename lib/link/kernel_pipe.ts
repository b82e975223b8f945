/**
 * Bytes of a stream that stay in the kernel while the stack carries them.
 *
 * Theory of operation
 *
 * ```text
 *   descriptor ──splice──▶ pipe ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ splice──▶ descriptor
 *                   buffer without bytes ──▶ send queue ──▶ segments ──▶ receive queue
 * ```
 *
 * Between two sockets of this machine the bytes of a bulk stream are of no interest to anybody on the way: the stack counts,
 * cuts, queues, acknowledges and sends again by length. So they are moved into a pipe, by reference, and what the stack gets
 * is a packet buffer that stands for them ({@linkcode PacketBuffer.source}). Who takes them off the receive queue at the
 * other end moves them on. The machine copies nothing where the two calls `read` and `writev` copied twice.
 *
 * A pipe is first in, first out, and so is a stream; but somebody may look at a segment in its middle (a capture), or
 * a queue may be thrown away (a reset). Whoever wants bytes calls `load`, which reads the pipe up to them and gives every
 * buffer on the way the bytes that it stands for: from then on they are ordinary buffers. What has left the pipe is gone:
 * a segment that is sent again although its bytes were delivered reads as zeros, and TCP drops it.
 *
 * Pipes count against a limit of the user (`pipe-user-pages-soft`), so only streams that have proved to be bulk get one, and
 * no more than {@linkcode MAX_PIPES} at a time.
 *
 * @module
 */

import { O } from "../host/arch.ts";
import { F } from "../host/constants.ts";
import { check, Errno } from "../host/errno.ts";
import { addressOf, NativeMemory } from "../host/memory.ts";
import { close, fcntl, pipe2, read, splice } from "../host/sys.ts";
import type { ChunkQueue } from "../stack/buffer/chunk_queue.ts";
import { type ByteSource, PacketBuffer, type Recycler } from "../stack/buffer/packet.ts";
import type { Counters } from "../stack/counters.ts";

/** Pipes of one pool; streams beyond copy (`stream.limit.pipes`). */
export const MAX_PIPES = 16;
/** Bytes that one call moves into a pipe. */
export const PIPED_AT_ONCE = 524_288;
/** Capacity asked for; each page of it can hold one piece of a socket buffer, of whatever size. Less will do. */
const CAPACITY = 1_048_576;
/** `SPLICE_F_MOVE`, `SPLICE_F_NONBLOCK`. */
const FLAGS = 1 | 2;

/** What a kernel or its filter says that does not splice such descriptors. */
export function cannotSplice(result: number): boolean {
  return result === -Errno.EINVAL || result === -Errno.ENOSYS || result === -Errno.EPERM;
}

const NOTHING = new Uint8Array(0);
const descriptors = new NativeMemory(8);

/** Pipes for bulk streams. */
export class PipePool {
  readonly #counters: Counters;
  readonly #idle: KernelPipe[] = [];
  #made = 0;

  /** @param counters get `stream.limit.pipes` */
  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** An empty pipe, or undefined: they are all in use, or cannot be had. */
  take(): KernelPipe | undefined {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#made === MAX_PIPES || pipe2(descriptors.address, O.CLOEXEC | O.NONBLOCK) < 0) {
      this.#counters.bump("stream.limit.pipes");
      return undefined;
    }
    this.#made++;
    const [from, to] = descriptors.words;
    fcntl(to!, F.SETPIPE_SZ, CAPACITY);
    return new KernelPipe(this, from!, to!);
  }

  /** For pipes that nothing refers to: an empty one waits for the next stream. */
  giveBack(pipe: KernelPipe): void {
    if (pipe.isEmpty) this.#idle.push(pipe);
    else {
      this.#made--;
      pipe.destroy();
    }
  }
}

/** A pipe, and the buffers that stand for its bytes. */
export class KernelPipe implements ByteSource, Recycler {
  readonly #pool: PipePool;
  readonly #from: number;
  readonly #to: number;
  /** Buffers whose bytes may be in the pipe, in their order. */
  readonly #parts: PacketBuffer[] = [];
  readonly #idle: PacketBuffer[] = [];
  /** Buffers that somebody holds. */
  #held = 0;
  /** Stream positions of the pipe's first byte and of the one behind its last. */
  #head = 0;
  #tail = 0;
  #left = false;

  constructor(pool: PipePool, from: number, to: number) {
    this.#pool = pool;
    this.#from = from;
    this.#to = to;
  }

  get isEmpty(): boolean {
    return this.#head === this.#tail;
  }

  /** Whether nobody holds a buffer of it. */
  get isIdle(): boolean {
    return this.#held === 0 && this.isEmpty;
  }

  /**
   * Moves bytes from a descriptor into the pipe.
   *
   * @returns how many, for which {@linkcode take} then has a buffer; 0 or −errno: none. −EAGAIN also when the pipe is full
   */
  receive(fd: number, most: number): number {
    return splice(fd, 0, this.#to, 0, most, FLAGS);
  }

  /** The buffer that stands for the `length` bytes that were received last. */
  take(length: number): PacketBuffer {
    const buffer = this.#idle.pop() ?? new PacketBuffer(NOTHING, 0, 0, this);
    buffer.reset(0, length);
    buffer.source = this;
    buffer.sourceAt = this.#tail;
    this.#tail += length;
    this.#parts.push(buffer);
    this.#held++;
    return buffer;
  }

  /**
   * Moves what `queue` begins with to a descriptor; consumes nothing.
   *
   * @returns how many bytes the kernel took, or −errno; 0: they must be copied, or are not the pipe's
   */
  send(fd: number, queue: ChunkQueue): number {
    let end = this.#head;
    for (let i = 0; i < queue.count; i++) {
      const { buffer, start, end: to } = queue.at(i);
      if (buffer.source !== this || buffer.sourceAt + start !== end) break;
      end += to - start;
    }
    if (end === this.#head) return 0;
    const n = splice(this.#from, 0, fd, 0, end - this.#head, FLAGS);
    if (n > 0) this.#advance(this.#head + n);
    return cannotSplice(n) ? 0 : n;
  }

  load(buffer: PacketBuffer): void {
    while (buffer.source === this) {
      const part = this.#parts[0];
      if (part === undefined || part.sourceAt > buffer.sourceAt) return this.#fill(buffer);
      this.#fill(part);
    }
  }

  recycle(buffer: PacketBuffer): void {
    this.#held--;
    // What has bytes of its own is not used again, nor what the pipe still remembers.
    const isPast = buffer.sourceAt + buffer.end <= this.#head;
    if (buffer.source === this && isPast) this.#idle.push(buffer);
    if (this.#left && this.#held === 0) this.#pool.giveBack(this.#renewed());
  }

  /** The stream is over, or bulk no more: the pipe is somebody else's as soon as its buffers are let go. */
  leave(): void {
    this.#left = true;
    if (this.#held === 0) this.#pool.giveBack(this.#renewed());
  }

  /** Closes both ends. */
  destroy(): void {
    close(this.#from);
    close(this.#to);
  }

  #renewed(): this {
    this.#left = false;
    return this;
  }

  #advance(head: number): void {
    this.#head = head;
    while (this.#parts.length > 0 && this.#parts[0]!.sourceAt + this.#parts[0]!.end <= head) {
      const part = this.#parts.shift()!;
      if (part.references === 0 && part.source === this) this.#idle.push(part);
    }
  }

  /** Gives `part` bytes of its own: of the pipe, what is left of them there. It is the first that has any there. */
  #fill(part: PacketBuffer): void {
    const end = part.sourceAt + part.end;
    const bytes = new Uint8Array(part.end);
    const address = addressOf(bytes);
    while (this.#head < end) {
      const at = this.#head - part.sourceAt;
      const n = read(this.#from, address + at, part.end - at);
      if (n === -Errno.EINTR) continue;
      // The bytes are there, or our books are wrong, which is a bug that must not loop.
      if (check(n, "read a pipe") === 0) {
        throw new RangeError("Cannot read a pipe: it has fewer bytes than it should");
      }
      this.#head += n;
    }
    part.source = undefined;
    part.own(bytes, address);
    this.#advance(this.#head);
  }
}
