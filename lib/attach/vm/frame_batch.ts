/**
 * Frames by the batch on sockets that keep their bounds (datagrams, sequenced packets): one `recvmmsg` or `sendmmsg` for
 * many.
 *
 * How long the next frame is, nobody knows. Each slot begins in a buffer that fits a usual frame and goes on in memory
 * that all share the use of: the usual frame is received where it stays, a long one is copied once.
 *
 * @module
 */

import { MSG } from "../../host/constants.ts";
import { NativeMemory } from "../../host/memory.ts";
import { IOVEC_SIZE, MMSGHDR_SIZE, Msghdr, writeIovec } from "../../host/structs.ts";
import { recvmmsg, sendmmsg } from "../../host/sys.ts";
import { UNIX_NAME_SIZE } from "../../host/unix_listen.ts";
import { HEADROOM, type PacketBuffer } from "../../stack/buffer/packet.ts";
import { type BufferPool, MEDIUM } from "../../stack/buffer/pool.ts";
import type { FrameQueue } from "./frame_queue.ts";

/** Frames of one system call. */
export const BATCH = 32;
/** Longest frame: libkrun's buffers hold 65550 bytes, a TAP's super-packet less. */
export const MAX_FRAME = 65_550;

const USUAL = MEDIUM - HEADROOM;
const REST = MAX_FRAME + 1 - USUAL;
const NAME = (UNIX_NAME_SIZE + 7) & ~7;

/** Receives frames. One for all sockets of a thread. */
export class FrameReceiver {
  readonly #pool: BufferPool;
  readonly #headers: NativeMemory;
  readonly #rests: NativeMemory;
  readonly #buffers: (PacketBuffer | undefined)[] = [];

  constructor(pool: BufferPool) {
    this.#pool = pool;
    this.#headers = new NativeMemory(BATCH * (MMSGHDR_SIZE + 2 * IOVEC_SIZE + NAME));
    this.#rests = new NativeMemory(BATCH * REST);
    for (let i = 0; i < BATCH; i++) {
      this.#headers.setPointer(i * MMSGHDR_SIZE + Msghdr.iov, this.#headers.address + iovecAt(i));
      this.#headers.setPointer(i * MMSGHDR_SIZE + Msghdr.iovLength, 2);
      this.#headers.setPointer(i * MMSGHDR_SIZE + Msghdr.name, this.#headers.address + nameAt(i));
      writeIovec(this.#headers, iovecAt(i), 1, this.#rests.address + i * REST, REST);
      this.#buffers.push(undefined);
    }
  }

  /** Number of frames received into slots 0, 1, …; −errno if none. */
  receive(fd: number): number {
    const { view } = this.#headers;
    for (let i = 0; i < BATCH; i++) {
      view.setUint32(i * MMSGHDR_SIZE + Msghdr.nameLength, UNIX_NAME_SIZE, true);
      if (this.#buffers[i] !== undefined) continue;
      const buffer = this.#pool.take(USUAL);
      this.#buffers[i] = buffer;
      writeIovec(this.#headers, iovecAt(i), 0, buffer.address + buffer.start, USUAL);
    }
    return recvmmsg(fd, this.#headers.address, BATCH, MSG.DONTWAIT, 0);
  }

  /** Bytes in slot `index`. */
  length(index: number): number {
    return this.#headers.view.getUint32(index * MMSGHDR_SIZE + Msghdr.length, true);
  }

  /** Whether slot `index` holds exactly this text, and not a frame. */
  is(index: number, text: Uint8Array): boolean {
    if (this.length(index) !== text.length) return false;
    const { bytes, start } = this.#buffers[index]!;
    for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
    return true;
  }

  /** The frame in slot `index`, the caller's from now on; undefined if it is longer than a frame can be. */
  take(index: number): PacketBuffer | undefined {
    const length = this.length(index);
    if (length > MAX_FRAME) return undefined;
    const buffer = this.#buffers[index]!;
    if (length <= USUAL) {
      this.#buffers[index] = undefined;
      buffer.end = buffer.start + length;
      return buffer;
    }
    const large = this.#pool.take(length);
    large.bytes.set(buffer.bytes.subarray(buffer.start, buffer.start + USUAL), large.start);
    const rest = this.#rests.bytes.subarray(index * REST, index * REST + length - USUAL);
    large.bytes.set(rest, large.start + USUAL);
    large.end = large.start + length;
    return large;
  }

  /** The sender's name: where its bytes are. Valid until the next call. */
  nameAddress(index: number): number {
    return this.#headers.address + nameAt(index);
  }

  /** Bytes of the sender's name, its family included; 2 or fewer if it has none. */
  nameLength(index: number): number {
    return this.#headers.view.getUint32(index * MMSGHDR_SIZE + Msghdr.nameLength, true);
  }

  /** The bytes of the sender's name. */
  name(index: number): Uint8Array {
    return this.#headers.bytes.subarray(nameAt(index), nameAt(index) + this.nameLength(index));
  }

  close(): void {
    for (let i = 0; i < BATCH; i++) {
      this.#buffers[i]?.release();
      this.#buffers[i] = undefined;
    }
  }
}

/** Sends frames. One for all sockets of a thread. */
export class FrameSender {
  readonly #headers = new NativeMemory(BATCH * (MMSGHDR_SIZE + SEND_IOVECS * IOVEC_SIZE));

  constructor() {
    for (let i = 0; i < BATCH; i++) {
      this.#headers.setPointer(i * MMSGHDR_SIZE + Msghdr.iov, this.#headers.address + sendIovecAt(i));
    }
  }

  /**
   * Sends what `queue` begins with, and drops there what is sent. To the name at `name`, or where the socket is
   * connected. Returns how many were sent, or −errno.
   */
  send(fd: number, queue: FrameQueue, name = 0, nameLength = 0): number {
    const { view } = this.#headers;
    const count = Math.min(queue.length, BATCH);
    for (let i = 0; i < count; i++) {
      const header = i * MMSGHDR_SIZE;
      this.#headers.setPointer(header + Msghdr.name, name);
      view.setUint32(header + Msghdr.nameLength, nameLength, true);
      this.#headers.setPointer(header + Msghdr.iovLength, this.#gather(queue.at(i), sendIovecAt(i)));
    }
    const sent = sendmmsg(fd, this.#headers.address, count, MSG.DONTWAIT | MSG.NOSIGNAL);
    for (let i = 0; i < sent; i++) queue.drop();
    return sent;
  }

  /** Writes the iovecs of a frame; returns how many. */
  #gather(frame: PacketBuffer, at: number): number {
    writeIovec(this.#headers, at, 0, frame.address + frame.start, frame.end - frame.start);
    const { fragments } = frame;
    for (let i = 0; i < fragments.length; i++) {
      const { buffer, start, end } = fragments[i]!;
      writeIovec(this.#headers, at, i + 1, buffer.address + start, end - start);
    }
    return fragments.length + 1;
  }
}

/** Pieces that one frame may have; those of more are joined first. */
export const SEND_IOVECS = 16;

/** Whether a frame can be sent as it is: its pieces have native addresses and are few. */
export function isSendable(frame: PacketBuffer): boolean {
  const { fragments } = frame;
  if (frame.address === 0 || fragments.length >= SEND_IOVECS) return false;
  for (let i = 0; i < fragments.length; i++) if (fragments[i]!.buffer.address === 0) return false;
  return true;
}

function iovecAt(index: number): number {
  return BATCH * MMSGHDR_SIZE + index * 2 * IOVEC_SIZE;
}

function nameAt(index: number): number {
  return BATCH * (MMSGHDR_SIZE + 2 * IOVEC_SIZE) + index * NAME;
}

function sendIovecAt(index: number): number {
  return BATCH * MMSGHDR_SIZE + index * SEND_IOVECS * IOVEC_SIZE;
}
