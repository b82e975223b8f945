/**
 * The writing half of a stream of frames, each behind its length.
 *
 * Theory of operation. Frames are kept, by reference, until `flush` or until there are enough for one `writev`. A write that was
 * cut short goes on where it stopped before anything else is taken.
 *
 * ```text
 *   headers   | length, headers | length, headers | length, hea …      in memory of our own, a slot for each
 *   iovecs      │ ┌ payload ┐     │ ┌ payload ┐                        by reference, where the super-packet has it
 * ```
 *
 * Super-packets are cut here, where a segment is two iovecs and no packet: its headers are written next to the others', its
 * checksum is summed over what the second one refers to. One that the batch has no room for is cut as far as there is, and
 * waits with the batch. What the other side takes whole is not cut. A virtio-net header stands in a slot, too: one frame may go
 * to several wires, and not all of them have the same in front of it.
 *
 * @module
 */

import { Errno, errnoText } from "../host/errno.ts";
import { MemoryShelf } from "../host/memory.ts";
import { IOVEC_SIZE, writeIovec } from "../host/structs.ts";
import { writev } from "../host/sys.ts";
import { Gso, type PacketBuffer } from "../stack/buffer/packet.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import { Slicer } from "../stack/buffer/slicer.ts";
import { copyOf } from "../stack/link/copy.ts";
import { SEGMENT_HEADERS_MAX, SegmentHeaders } from "../stack/link/segment_headers.ts";
import { appendSum, bufferSum, completeChecksum } from "../stack/wire/checksum.ts";
import { TCP_CHECKSUM } from "../stack/wire/tcp.ts";
import { FRAME_MAX, LENGTH_MAX, type LengthSize, writeLength } from "./frame_length.ts";
import { gatherFrame } from "./gather.ts";
import { leavesWhole, VNET_HEADER_V1, type WireOffload } from "./offload.ts";
import { describeFrame } from "./vnet_header.ts";

/** Most frames and iovecs of one write, and the bytes that make one worth while: two super-packets with their headers. */
const BATCH_FRAMES = 128, IOVECS = 512, BATCH_BYTES = 147_456;
/** Bytes of a slot for headers. */
const SLOT = (LENGTH_MAX + VNET_HEADER_V1 + SEGMENT_HEADERS_MAX + 15) & ~15;

/** Of writers that are closed: guests may connect again and again. */
const SPARE = 64;
const slots = new MemoryShelf(BATCH_FRAMES * SLOT, SPARE);
const iovecs = new MemoryShelf(IOVECS * IOVEC_SIZE, SPARE);

/** What a writer is made of. */
export interface FrameWriterOptions {
  readonly fd: number;
  readonly pool: BufferPool;
  /** Absent: 4. */
  readonly lengthSize?: LengthSize | undefined;
  readonly offload: WireOffload;
  /** The wire is over. `why` completes "the other side …". */
  readonly onEnd: (why: string) => void;
}

/** What happened. */
export interface FrameWriterCounters {
  /** Frames as they went, those that super-packets were cut to. */
  txFrames: number;
  txBytes: number;
  /** System calls. */
  writes: number;
  /** Writes for which there was no room, or not enough. */
  txBusy: number;
  /** Frames longer than the other side takes; dropped. */
  txTooLong: number;
  /** Frames that had to be copied because a fragment had no native address, or there were too many. */
  txCopied: number;
  /** Frames that were lost with the wire. */
  txLost: number;
}

/** Writes frames. */
export class FrameWriter {
  readonly counters: FrameWriterCounters = {
    txFrames: 0,
    txBytes: 0,
    writes: 0,
    txBusy: 0,
    txTooLong: 0,
    txCopied: 0,
    txLost: 0,
  };
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #lengthSize: LengthSize;
  readonly #offload: WireOffload;
  readonly #vnetHeader: number;
  readonly #onEnd: (why: string) => void;
  #ended = false;

  /** What to let go of when frame `i` is written, where its iovecs end, and its length. */
  readonly #held = new Array<PacketBuffer | undefined>(BATCH_FRAMES).fill(undefined);
  readonly #ends = new Int32Array(BATCH_FRAMES);
  readonly #lengths = new Int32Array(BATCH_FRAMES);
  readonly #slots = slots.take();
  readonly #iovecs = iovecs.take();
  /** The first frame and iovec that are not written, and one past the last. */
  #first = 0;
  #count = 0;
  #firstIovec = 0;
  #iovecCount = 0;
  /** Bytes that are not written. */
  #queued = 0;

  /** The super-packet that is being cut. */
  #cutting: PacketBuffer | undefined;
  readonly #headers = new SegmentHeaders();
  readonly #slicer = new Slicer();

  constructor(options: FrameWriterOptions) {
    this.#fd = options.fd;
    this.#pool = options.pool;
    this.#lengthSize = options.lengthSize ?? 4;
    this.#offload = options.offload;
    this.#vnetHeader = options.offload.vnetHeader;
    this.#onEnd = options.onEnd;
  }

  /** Takes ownership of the frame. False: the wire is full; the frame is still the caller's. */
  transmit(frame: PacketBuffer): boolean {
    if (this.#cutting !== undefined && !this.#cutAll()) return false;
    if (this.#ended) return this.#lose(frame);
    if (frame.gso === Gso.none || leavesWhole(this.#offload, frame, FRAME_MAX)) return this.#append(frame);
    this.#cut(frame);
    return true;
  }

  /** Writes what there is. False: the wire is full. */
  flush(): boolean {
    return this.#cutAll() && this.#write();
  }

  /** Lets all buffers go. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#cutting !== undefined) this.#lose(this.#cutting);
    this.#cutting = undefined;
    for (; this.#first < this.#count; this.#first++) {
      this.#held[this.#first]?.release();
      this.#held[this.#first] = undefined;
      this.counters.txLost++;
    }
    this.#first = this.#count = 0;
    slots.leave(this.#slots);
    iovecs.leave(this.#iovecs);
  }

  #lose(frame: PacketBuffer): true {
    this.counters.txLost++;
    frame.release();
    return true;
  }

  #append(frame: PacketBuffer): boolean {
    const { counters } = this;
    const length = frame.totalLength + this.#vnetHeader;
    if (length > FRAME_MAX) {
      counters.txTooLong++;
      frame.release();
      return true;
    }
    if (this.#isFull(1) && !this.#write()) return false;
    if (this.#ended) return this.#lose(frame);
    if (!this.#offload.checksums) completeChecksum(frame);
    let used = this.#gather(frame, length);
    if (used === 0 && this.#count > 0) {
      if (!this.#write()) return false;
      if (this.#ended) return this.#lose(frame);
      used = this.#gather(frame, length);
    }
    if (used === 0) {
      frame = this.#copied(frame);
      used = this.#gather(frame, length);
      if (used === 0) throw new TypeError("Cannot transmit a frame: the pool's buffers have no addresses");
    }
    this.#iovecCount += used;
    this.#commit(frame, length);
    return true;
  }

  #copied(frame: PacketBuffer): PacketBuffer {
    const copy = copyOf(frame, this.#pool);
    frame.release();
    this.counters.txCopied++;
    return copy;
  }

  /** The iovecs behind the last one belong to a frame of so many bytes, which ends the hold on `held`. */
  #commit(held: PacketBuffer | undefined, length: number): void {
    const at = this.#count++;
    this.#ends[at] = this.#iovecCount;
    this.#lengths[at] = length;
    this.#held[at] = held;
    this.#queued += length + this.#lengthSize;
  }

  /** Whether the batch should be written before a frame of `iovecs` pieces is added. */
  #isFull(iovecs: number): boolean {
    return this.#count === BATCH_FRAMES || this.#queued >= BATCH_BYTES ||
      this.#iovecCount + iovecs > IOVECS;
  }

  /** Writes what stands in front of the frame, and its iovecs; returns how many, 0: that cannot be. */
  #gather(frame: PacketBuffer, length: number): number {
    if (this.#vnetHeader > 0) return this.#gatherBehindHeader(frame, length);
    const size = this.#lengthSize;
    const at = frame.start - size;
    if (at < 0) throw new RangeError(`Cannot transmit a frame: its headroom is ${frame.start}`);
    writeLength(frame.view, at, size, length);
    return gatherFrame(this.#iovecs, 0, this.#iovecCount, IOVECS - this.#iovecCount, frame, at);
  }

  #gatherBehindHeader(frame: PacketBuffer, length: number): number {
    const size = this.#lengthSize;
    const slot = this.#count * SLOT;
    const { view, address } = this.#slots;
    writeLength(view, slot, size, length);
    describeFrame(frame, view, slot + size, this.#vnetHeader);
    const at = this.#iovecCount;
    const used = gatherFrame(this.#iovecs, 0, at + 1, IOVECS - at - 1, frame, frame.start);
    if (used === 0) return 0;
    writeIovec(this.#iovecs, 0, at, address + slot, size + this.#vnetHeader);
    return used + 1;
  }

  /** Begins to cut a super-packet, and cuts as far as there is room. Takes ownership. */
  #cut(packet: PacketBuffer): void {
    if (!isAddressed(packet)) packet = this.#copied(packet);
    this.#headers.begin(packet);
    this.#slicer.begin(packet, packet.start + this.#headers.length);
    this.#cutting = packet;
    this.#cutAll();
  }

  /** Adds segments until nothing is left to cut; false: the wire is full. */
  #cutAll(): boolean {
    // A segment may be in as many pieces as its packet, and in one more.
    for (let packet = this.#cutting; packet !== undefined; packet = this.#cutting) {
      if (this.#isFull(Math.min(packet.fragments.length, MAX_PIECES) + 2) && !this.#write()) return false;
      if (this.#cutting !== undefined) this.#addSegment(packet);
    }
    return true;
  }

  #addSegment(packet: PacketBuffer): void {
    const headers = this.#headers;
    const slicer = this.#slicer;
    const { view, address } = this.#slots;
    const payload = Math.min(packet.gsoSize, slicer.remaining);
    const last = payload === slicer.remaining;
    const size = this.#lengthSize;
    const slot = this.#count * SLOT;
    const at = slot + size + this.#vnetHeader;
    const length = this.#vnetHeader + headers.length + payload;
    writeLength(view, slot, size, length);
    for (let i = slot + size; i < at; i += 2) view.setUint16(i, 0);
    headers.write(view, at, payload, last);
    writeIovec(this.#iovecs, 0, this.#iovecCount++, address + slot, at - slot + headers.length);
    let { sum } = headers;
    for (let done = 0; done < payload;) {
      const part = slicer.step(payload - done);
      const { buffer, from } = slicer;
      sum = appendSum(sum, bufferSum(buffer!, from, from + part), (done & 1) !== 0);
      writeIovec(this.#iovecs, 0, this.#iovecCount++, buffer!.address + from, part);
      done += part;
    }
    view.setUint16(at + headers.tcp + TCP_CHECKSUM, (~sum & 0xffff) || 0xffff);
    if (last) this.#cutting = undefined;
    this.#commit(last ? packet : undefined, length);
  }

  /** Writes the batch. False: the wire is full. */
  #write(): boolean {
    while (this.#first < this.#count) {
      this.counters.writes++;
      const count = this.#iovecCount - this.#firstIovec;
      const written = writev(this.#fd, this.#iovecs.address + this.#firstIovec * IOVEC_SIZE, count);
      if (written < 0) {
        if (written !== -Errno.EAGAIN) {
          this.#end(written === -Errno.EPIPE ? "closed the connection" : `is gone: ${errnoText(-written)}`);
          return true;
        }
        this.counters.txBusy++;
        return false;
      }
      this.#queued -= written;
      if (this.#queued === 0) { while (this.#first < this.#count) this.#written(); }
      else this.#advance(written);
    }
    this.#first =
      this.#count =
      this.#firstIovec =
      this.#iovecCount =
        0;
    return true;
  }

  /** The first frame is written. */
  #written(): void {
    const at = this.#first++;
    this.counters.txFrames++;
    this.counters.txBytes += this.#lengths[at]! - this.#vnetHeader;
    const held = this.#held[at];
    if (held === undefined) return;
    this.#held[at] = undefined;
    held.release();
  }

  /** Lets go of frames that are written, and moves the iovec in which the write stopped. */
  #advance(written: number): void {
    const { view } = this.#iovecs;
    while (written > 0) {
      const at = this.#firstIovec * IOVEC_SIZE;
      const length = view.getUint32(at + 8, true);
      if (written < length) {
        this.#iovecs.setPointer(at, this.#iovecs.getPointer(at) + written);
        view.setUint32(at + 8, length - written, true);
        return;
      }
      written -= length;
      this.#firstIovec++;
      if (this.#firstIovec === this.#ends[this.#first]!) this.#written();
    }
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.close();
    this.#onEnd(why);
  }
}

/** Pieces of a super-packet that is not copied first. */
const MAX_PIECES = IOVECS - 2;

/** Whether the kernel can find all of a packet's bytes, and they are not in too many pieces. */
function isAddressed({ address, fragments }: PacketBuffer): boolean {
  if (address === 0 || fragments.length > MAX_PIECES) return false;
  for (let i = 0; i < fragments.length; i++) if (fragments[i]!.buffer.address === 0) return false;
  return true;
}
