/**
 * The reading half of a stream of frames, each behind its length.
 *
 * Theory of operation
 *
 * ```text
 *   block   | length | frame | length | frame | length | fra …        one read; frames are looked at where they are
 *             └─ copied: its own buffer        └─ payload of the next ones of a run: a reference to the block
 * ```
 *
 * One read fills a block. A short frame is copied out of it, unless it continues the TCP payload of the one before it: then
 * only a reference to its payload is added there (`super_packet.ts`), and of a bulk stream one frame in forty is copied, and
 * looked at by everybody who comes after. So a segment costs a few comparisons. Whether to merge is for the owner to say.
 *
 * A long frame is read in place: what of it was in the block is copied to a buffer of its own, and the next `readv` brings the
 * rest of it, and a little of what follows, for another long one follows most likely.
 *
 * A reader has a block as long as there is something in it: guests are many, and most of them are silent.
 *
 * A block whose bytes are referred to is only ever appended to, and left when it is full. A read that brings less than was
 * asked for has emptied the socket.
 *
 * @module
 */

import { Errno, errnoText } from "../host/errno.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, writeIovec } from "../host/structs.ts";
import { readv } from "../host/sys.ts";
import { HEADROOM, PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE } from "../stack/buffer/pool.ts";
import { FRAME_MAX, FRAME_MIN, type LengthSize, readLength } from "./frame_length.ts";
import { Merger, type Merging } from "./merger.ts";
import { readVnetHeader } from "./vnet_header.ts";

/** Room behind a long frame that is being read. */
const SHORT_READ = 512;
/** A frame this long is a long one. */
const LONG = 8_192;
/** In the place of a block, between two turns. */
const NO_BLOCK = new PacketBuffer(new Uint8Array(0));
/** A block with less room than this is full. */
const LEAST_READ = 2 * LONG;

/** What a reader is made of. */
export interface FrameReaderOptions {
  readonly fd: number;
  /** Its buffers must have native addresses. */
  readonly pool: BufferPool;
  /** Absent: 4. */
  readonly lengthSize?: LengthSize | undefined;
  /** Bytes of the virtio-net header in front of each frame: 0, 10 or 12. */
  readonly vnetHeader: number;
  /** Absent: every frame for itself. Not with virtio-net headers, whose senders merge by themselves. */
  readonly merging?: Merging | undefined;
  /** The wire is over. `why` completes "the other side …". */
  readonly onEnd: (why: string) => void;
}

/** What happened. */
export interface FrameReaderCounters {
  /** Frames as they came. */
  rxFrames: number;
  rxBytes: number;
  /** Frames that were added to another. */
  rxMerged: number;
  /** System calls. */
  reads: number;
  /** Lengths out of bounds; each ended the wire. */
  rxBadLength: number;
  /** Frames with a virtio-net header that says nonsense. */
  rxMalformed: number;
}

/** Reads frames. */
export class FrameReader {
  readonly counters: FrameReaderCounters = {
    rxFrames: 0,
    rxBytes: 0,
    rxMerged: 0,
    reads: 0,
    rxBadLength: 0,
    rxMalformed: 0,
  };
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #lengthSize: LengthSize;
  readonly #vnetHeader: number;
  readonly #merging: Merging | undefined;
  readonly #onEnd: (why: string) => void;
  #ended = false;

  #block = NO_BLOCK;
  /** What of the block has not been looked at: indices into its bytes. */
  #at = 0;
  #filled = 0;
  /** A long frame that has begun, and how much of it is missing. */
  #frame: PacketBuffer | undefined;
  #missing = 0;
  /** The last frame was a long one. */
  #long = false;
  /** The last read emptied the socket. */
  #dry = false;
  /** Most bytes of one read, but for long frames: who shares a thread with others reads no more than its turn. */
  readLimit = LARGE;
  readonly #merger = new Merger();
  readonly #into = new NativeMemory(2 * IOVEC_SIZE);

  constructor(options: FrameReaderOptions) {
    this.#fd = options.fd;
    this.#pool = options.pool;
    this.#lengthSize = options.lengthSize ?? 4;
    this.#vnetHeader = options.vnetHeader;
    this.#merging = options.vnetHeader === 0 ? options.merging : undefined;
    this.#onEnd = options.onEnd;
  }

  /** Bytes of a frame that is not whole. */
  get partial(): number {
    return this.#frame === undefined ? this.#filled - this.#at : this.#frame.end - this.#frame.start;
  }

  /** The next frame, or run of frames; undefined when the socket was empty, or is over. */
  receive(): PacketBuffer | undefined {
    for (;;) {
      const frame = this.#take();
      if (frame !== undefined) return frame;
      if (this.#ended) return undefined;
      if (this.#dry) {
        this.#dry = false;
        this.#rest();
        return undefined;
      }
      if (!this.#fill()) {
        this.#rest();
        return undefined;
      }
    }
  }

  /** Lets all buffers go. */
  close(): void {
    if (!this.#ended && this.#block !== NO_BLOCK) this.#block.release();
    this.#block = NO_BLOCK;
    this.#ended = true;
    this.#frame?.release();
    this.#frame = undefined;
    this.#at = this.#filled = 0;
  }

  /** The next frame that is whole, from what has been read. */
  #take(): PacketBuffer | undefined {
    while (!this.#ended) {
      if (this.#frame !== undefined) {
        const frame = this.#goOn(this.#frame);
        if (frame === undefined) return undefined;
        if (this.#finish(frame)) return frame;
        continue;
      }
      const length = this.#whole();
      if (length < 0) return undefined;
      const at = this.#at;
      this.#at += length;
      const frame = this.#copy(at, length);
      if (!this.#finish(frame)) continue;
      return this.#merging !== undefined && length < LONG ? this.#gather(frame, this.#merging) : frame;
    }
    return undefined;
  }

  /** Bytes of the next frame, which is whole and begins at the cursor; −1: it is not here yet. */
  #whole(): number {
    const { view } = this.#block;
    const size = this.#lengthSize;
    const waiting = this.#filled - this.#at;
    if (waiting < size) return -1;
    const length = readLength(view, this.#at, size);
    if (length < FRAME_MIN + this.#vnetHeader || length > FRAME_MAX) {
      this.counters.rxBadLength++;
      this.#end(`announced a frame of ${length} bytes`);
      return -1;
    }
    this.#long = length >= LONG;
    if (waiting < size + length) {
      if (this.#long) this.#begin(length);
      return -1;
    }
    this.#at += this.#lengthSize;
    return length;
  }

  /** A long frame that is not whole gets a buffer of its own. */
  #begin(length: number): void {
    this.#at += this.#lengthSize;
    const frame = this.#pool.take(length);
    frame.start = frame.end = HEADROOM - this.#vnetHeader;
    this.#frame = frame;
    this.#missing = length;
    this.#goOn(frame);
  }

  /** Moves what has come of a long frame to where it belongs; returns it when it is whole. */
  #goOn(frame: PacketBuffer): PacketBuffer | undefined {
    const n = Math.min(this.#missing, this.#filled - this.#at);
    if (n > 0) {
      frame.bytes.set(this.#block.bytes.subarray(this.#at, this.#at + n), frame.end);
      frame.end += n;
      this.#at += n;
      this.#missing -= n;
    }
    if (this.#missing > 0) return undefined;
    this.#frame = undefined;
    return frame;
  }

  #copy(at: number, length: number): PacketBuffer {
    const frame = this.#pool.take(length);
    frame.start = HEADROOM - this.#vnetHeader;
    frame.end = frame.start + length;
    frame.bytes.set(this.#block.bytes.subarray(at, at + length), frame.start);
    return frame;
  }

  #finish(frame: PacketBuffer): boolean {
    const at = frame.start;
    frame.start += this.#vnetHeader;
    if (this.#vnetHeader > 0 && !readVnetHeader(frame, at)) {
      this.counters.rxMalformed++;
      frame.release();
      return false;
    }
    this.counters.rxFrames++;
    this.counters.rxBytes += frame.end - frame.start;
    return true;
  }

  /** Adds to `frame` those behind it that continue it. */
  #gather(frame: PacketBuffer, merging: Merging): PacketBuffer {
    const merger = this.#merger;
    if (!merger.begin(frame, merging)) return frame;
    const size = this.#lengthSize;
    const block = this.#block;
    const { view } = block;
    for (;;) {
      const start = this.#at + size;
      if (this.#filled < start) break;
      const end = start + readLength(view, this.#at, size);
      if (end > this.#filled || !merger.add(block, start, end)) break;
      this.#at = end;
      this.counters.rxFrames++;
      this.counters.rxBytes += end - start;
      this.counters.rxMerged++;
    }
    return merger.take();
  }

  /** One read. False: there was nothing, or never will be. */
  #fill(): boolean {
    this.#makeRoom();
    const frame = this.#frame;
    const missing = this.#missing;
    const { address, bytes } = this.#block;
    const room = this.#long ? SHORT_READ : Math.min(bytes.length - this.#filled, this.readLimit);
    if (frame !== undefined) writeIovec(this.#into, 0, 0, frame.address + frame.end, missing);
    writeIovec(this.#into, 0, 1, address + this.#filled, room);
    this.counters.reads++;
    const n = frame === undefined
      ? readv(this.#fd, this.#into.address + IOVEC_SIZE, 1)
      : readv(this.#fd, this.#into.address, 2);
    if (n <= 0) {
      if (n === 0) this.#end("closed the connection");
      else if (n !== -Errno.EAGAIN && n !== -Errno.EINTR) this.#end(`is gone: ${errnoText(-n)}`);
      return false;
    }
    const direct = Math.min(n, missing);
    if (frame !== undefined) {
      frame.end += direct;
      this.#missing -= direct;
    }
    this.#filled += n - direct;
    this.#dry = n < missing + room;
    return true;
  }

  /** What is left over in the block is less than a long frame: it goes to the front, or to another block. */
  #makeRoom(): void {
    const block = this.#block;
    if (block === NO_BLOCK) {
      this.#block = this.#pool.take(LARGE - HEADROOM);
      return;
    }
    const rest = this.#filled - this.#at;
    if (block.references === 1) block.bytes.copyWithin(0, this.#at, this.#filled);
    else {
      if (block.bytes.length - this.#filled >= LEAST_READ) return;
      const fresh = this.#pool.take(LARGE - HEADROOM);
      fresh.bytes.set(block.bytes.subarray(this.#at, this.#filled));
      block.release();
      this.#block = fresh;
    }
    this.#at = 0;
    this.#filled = rest;
  }

  /** Nobody knows when there is more: until then the block is for others. One that is referred to has room to be used. */
  #rest(): void {
    const block = this.#block;
    if (this.#at < this.#filled || block.references > 1 || block === NO_BLOCK) return;
    block.release();
    this.#block = NO_BLOCK;
    this.#at = this.#filled = 0;
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.close();
    this.#onEnd(why);
  }
}
