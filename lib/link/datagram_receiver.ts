/**
 * The reading half of wires that keep the bounds of frames (datagrams, sequenced packets): one `recvmmsg` for many.
 *
 * Theory of operation. How long the next frame is, nobody knows. Each slot begins in a buffer that fits a usual frame and goes on
 * in memory that all share the use of:
 *
 * ```text
 *   usual   | buffer of 2 KiB | rest: 62 KiB, the slot's own |       a usual frame stays where it was received
 *   long    | buffer of 64 KiB                               |       so does a long one
 * ```
 *
 * After a long frame slots are supplied with long buffers, from which usual frames are copied; after {@linkcode CALM} of those,
 * with usual ones again.
 *
 * Frames of one batch that continue each other are merged by reference, as in `frame_reader.ts`, if they come from one sender.
 *
 * @module
 */

import { MSG } from "../host/constants.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, MMSGHDR_SIZE, Msghdr, writeIovec } from "../host/structs.ts";
import { recvmmsg } from "../host/sys.ts";
import { UNIX_NAME_SIZE } from "../host/unix_listen.ts";
import { HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE, MEDIUM } from "../stack/buffer/pool.ts";
import { compact } from "./compact.ts";
import { DATAGRAM_FRAME_MAX } from "./datagram_sender.ts";
import { Merger, type Merging } from "./merger.ts";
import { readVnetHeader } from "./vnet_header.ts";

/** Frames of one system call: as many as a super-packet of a usual guest has, and some. */
export const RECEIVE_BATCH = 64;
/** Usual frames in a row after which slots are supplied with usual buffers again. */
const CALM = 2 * RECEIVE_BATCH;
/** Shortest frame: an Ethernet header. */
const FRAME_MIN = 14;

const USUAL = MEDIUM - HEADROOM;
const NAME = (UNIX_NAME_SIZE + 7) & ~7;

/** Why a datagram is no frame. */
export type NoFrame = "too-short" | "too-long" | "malformed";

/** Receives frames. One may serve all sockets of a thread whose frames have the same header. */
export class DatagramReceiver {
  /** Why {@linkcode take} returned nothing. */
  why: NoFrame = "too-short";
  /** Frames and their bytes, and those that were added to another. */
  frames = 0;
  bytes = 0;
  merged = 0;
  readonly #pool: BufferPool;
  readonly #vnetHeader: number;
  readonly #memory = new NativeMemory(RECEIVE_BATCH * (MMSGHDR_SIZE + 2 * IOVEC_SIZE + NAME));
  readonly #rest: number;
  readonly #rests: NativeMemory;
  readonly #buffers: (PacketBuffer | undefined)[];
  readonly #merger = new Merger();
  /** The datagram at hand, and how many there are. */
  #at = -1;
  #count = 0;
  #long = false;
  /** Usual frames since the last long one. */
  #calm = 0;

  /** @param vnetHeader bytes of the virtio-net header in front of each frame: 0, 10 or 12 */
  constructor(pool: BufferPool, vnetHeader = 0) {
    this.#pool = pool;
    this.#vnetHeader = vnetHeader;
    this.#rest = DATAGRAM_FRAME_MAX + 1 - USUAL;
    this.#rests = new NativeMemory(RECEIVE_BATCH * this.#rest);
    this.#buffers = new Array<PacketBuffer | undefined>(RECEIVE_BATCH).fill(undefined);
    const memory = this.#memory;
    for (let i = 0; i < RECEIVE_BATCH; i++) {
      memory.setPointer(i * MMSGHDR_SIZE + Msghdr.iov, memory.address + iovecAt(i));
      memory.setPointer(i * MMSGHDR_SIZE + Msghdr.iovLength, 2);
      memory.setPointer(i * MMSGHDR_SIZE + Msghdr.name, memory.address + nameAt(i));
      writeIovec(memory, iovecAt(i), 1, this.#rests.address + i * this.#rest, this.#rest);
    }
  }

  /** One system call. Returns how many datagrams there are for {@linkcode next}; −errno if none. */
  receive(fd: number): number {
    const { view } = this.#memory;
    for (let i = 0; i < RECEIVE_BATCH; i++) {
      view.setUint32(i * MMSGHDR_SIZE + Msghdr.nameLength, UNIX_NAME_SIZE, true);
      const buffer = this.#buffers[i];
      if (buffer === undefined || isLarge(buffer) !== this.#long) this.#supply(i);
    }
    this.#at = -1;
    this.#count = 0;
    const count = recvmmsg(fd, this.#memory.address, RECEIVE_BATCH, MSG.DONTWAIT, 0);
    this.#count = Math.max(0, count);
    return count;
  }

  /** Goes on to the next datagram; false: there are no more. */
  next(): boolean {
    return ++this.#at < this.#count;
  }

  /** Bytes of the datagram. */
  get length(): number {
    return this.#lengthOf(this.#at);
  }

  /** Whether the datagram is exactly this text, and no frame. */
  is(text: Uint8Array): boolean {
    if (this.length !== text.length) return false;
    const { bytes } = this.#buffers[this.#at]!;
    const from = HEADROOM - this.#vnetHeader;
    for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
    return true;
  }

  /**
   * The frame of the datagram, the caller's from now on; undefined: it is none, `why` says the rest.
   *
   * @param merging which frames are merged with those behind them, which are passed over then
   */
  take(merging?: Merging): PacketBuffer | undefined {
    const frame = this.#take(this.#at);
    if (frame === undefined) return undefined;
    if (merging === undefined || this.#vnetHeader > 0 || this.#at + 1 >= this.#count) return frame;
    const merger = this.#merger;
    if (!merger.begin(frame, merging)) return frame;
    const first = this.#at;
    for (let i = first + 1; i < this.#count; i++) {
      const length = this.#lengthOf(i);
      const buffer = this.#buffers[i]!;
      if (length > USUAL || isLarge(buffer) || !this.#isSameName(first, i)) break;
      if (!merger.add(buffer, HEADROOM, HEADROOM + length)) break;
      this.#buffers[i] = undefined;
      buffer.release();
      this.#at = i;
      this.frames++;
      this.bytes += length;
      this.merged++;
    }
    return merger.take();
  }

  /** Where the sender's name is. Valid until the next call of `receive`. */
  get nameAddress(): number {
    return this.#memory.address + nameAt(this.#at);
  }

  /** The sender's name, its family included: 2 bytes or fewer if it has none. */
  get name(): Uint8Array {
    return this.#memory.bytes.subarray(nameAt(this.#at), nameAt(this.#at) + this.#nameLength(this.#at));
  }

  close(): void {
    this.#count = 0;
    for (let i = 0; i < RECEIVE_BATCH; i++) {
      this.#buffers[i]?.release();
      this.#buffers[i] = undefined;
    }
  }

  #take(slot: number): PacketBuffer | undefined {
    const length = this.#lengthOf(slot) - this.#vnetHeader;
    if (length < FRAME_MIN || length > DATAGRAM_FRAME_MAX) {
      this.why = length < FRAME_MIN ? "too-short" : "too-long";
      return undefined;
    }
    const buffer = this.#buffers[slot]!;
    buffer.end = HEADROOM + length;
    if (this.#vnetHeader > 0) {
      if (!readVnetHeader(buffer, HEADROOM - this.#vnetHeader)) {
        this.why = "malformed";
        buffer.reset(HEADROOM, HEADROOM);
        return undefined;
      }
    }
    this.frames++;
    this.bytes += length;
    if (length > USUAL) {
      this.#long = true;
      this.#calm = 0;
      if (!isLarge(buffer)) return this.#joined(slot, buffer, length);
    } else {
      if (this.#long && ++this.#calm === CALM) this.#long = false;
      if (isLarge(buffer)) return compact(buffer, this.#pool);
    }
    this.#buffers[slot] = undefined;
    return buffer;
  }

  /** A long frame in two places. The slot keeps its buffer. */
  #joined(
    slot: number,
    { bytes, checksum, checksumStart, checksumOffset, gso, gsoSize }: PacketBuffer,
    length: number,
  ): PacketBuffer {
    const large = this.#pool.take(length);
    large.bytes.set(bytes.subarray(HEADROOM, HEADROOM + USUAL), HEADROOM);
    const rest = slot * this.#rest;
    large.bytes.set(this.#rests.bytes.subarray(rest, rest + length - USUAL), HEADROOM + USUAL);
    large.end = HEADROOM + length;
    large.checksum = checksum;
    large.checksumStart = checksumStart;
    large.checksumOffset = checksumOffset;
    large.gso = gso;
    large.gsoSize = gsoSize;
    this.#buffers[slot]!.reset(HEADROOM, HEADROOM);
    return large;
  }

  #supply(slot: number): void {
    this.#buffers[slot]?.release();
    const room = this.#long ? LARGE - HEADROOM : USUAL;
    const buffer = this.#pool.take(room);
    if (buffer.address === 0) throw new TypeError("Cannot receive: the pool's buffers have no addresses");
    this.#buffers[slot] = buffer;
    const front = HEADROOM - this.#vnetHeader;
    writeIovec(this.#memory, iovecAt(slot), 0, buffer.address + front, room + this.#vnetHeader);
  }

  #lengthOf(slot: number): number {
    return this.#memory.view.getUint32(slot * MMSGHDR_SIZE + Msghdr.length, true);
  }

  #nameLength(slot: number): number {
    return this.#memory.view.getUint32(slot * MMSGHDR_SIZE + Msghdr.nameLength, true);
  }

  #isSameName(a: number, b: number): boolean {
    const length = this.#nameLength(a);
    if (this.#nameLength(b) !== length) return false;
    const { bytes } = this.#memory;
    for (let i = 0, x = nameAt(a), y = nameAt(b); i < length; i++) {
      if (bytes[x + i] !== bytes[y + i]) return false;
    }
    return true;
  }
}

function isLarge({ bytes }: PacketBuffer): boolean {
  return bytes.length > MEDIUM;
}

function iovecAt(index: number): number {
  return RECEIVE_BATCH * MMSGHDR_SIZE + index * 2 * IOVEC_SIZE;
}

function nameAt(index: number): number {
  return RECEIVE_BATCH * (MMSGHDR_SIZE + 2 * IOVEC_SIZE) + index * NAME;
}
