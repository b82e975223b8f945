/**
 * A link over a connected stream socket: each frame behind its length (passt, QEMU's `-netdev stream`, socket_vmnet, gvproxy).
 *
 * It knows nothing of who dialled whom: both ends of such a wire use it.
 *
 * Theory of operation
 *
 * Receiving is `frame_reader.ts`.
 *
 * Transmitting. Frames are kept, by reference, until `flush` or until there are enough for one `writev`. A write that was
 * cut short goes on where it stopped before anything else is taken.
 *
 * Trust. A length out of bounds means that the two sides no longer agree where frames begin, and there is no way to find
 * out: the wire is over, as for passt. A frame that never gets whole holds one buffer.
 *
 * @module
 */

import { Errno, errnoText } from "../host/errno.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, writeIovec } from "../host/structs.ts";
import { writev } from "../host/sys.ts";
import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import { FRAME_MAX, LENGTH } from "./frame_length.ts";
import { FrameReader, type FrameReaderCounters, type Merging } from "./frame_reader.ts";
import { gatherFrame } from "./gather.ts";
import { writeVnetHeader } from "./vnet_header.ts";

/** Most frames and iovecs of one write, and the bytes that make one worth while. */
const BATCH_FRAMES = 64, IOVECS = 256, BATCH_BYTES = 131_072;

/** What the link is made of. */
export interface UnixStreamOptions {
  /** A connected stream socket, non-blocking. Stays the caller's to close. */
  readonly fd: number;
  readonly mtu: number;
  /** Its buffers must have native addresses. */
  readonly pool: BufferPool;
  readonly capabilities: LinkCapabilities;
  /** Bytes of the virtio-net header in front of each frame: 0, 10 or 12. */
  readonly vnetHeader: number;
  /** Which frames may be merged as they come; absent: none. */
  readonly merging?: Merging;
  /** The wire is over; called once, out of `receive`, `transmit` or `flush`. `why` completes "the other side …". */
  readonly onEnd: (why: string) => void;
}

/** What happened on the link. */
export interface UnixStreamCounters extends FrameReaderCounters {
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

/** Ethernet frames over a stream. */
export class UnixStreamLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly counters: UnixStreamCounters;
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #vnetHeader: number;
  readonly #onEnd: (why: string) => void;
  #ended = false;

  readonly #reader: FrameReader;

  /** Frames that were taken, in order, and where the iovecs of each end. */
  readonly #queue: (PacketBuffer | undefined)[] = new Array<PacketBuffer | undefined>(BATCH_FRAMES).fill(
    undefined,
  );
  readonly #ends = new Int32Array(BATCH_FRAMES);
  readonly #iovecs = new NativeMemory(IOVECS * IOVEC_SIZE);
  /** The first frame and iovec that are not written, and one past the last. */
  #first = 0;
  #count = 0;
  #firstIovec = 0;
  #iovecCount = 0;
  #queued = 0;

  constructor(options: UnixStreamOptions) {
    this.#fd = options.fd;
    this.mtu = options.mtu;
    this.#pool = options.pool;
    this.capabilities = options.capabilities;
    this.#vnetHeader = options.vnetHeader;
    this.#onEnd = options.onEnd;
    this.#reader = new FrameReader({ ...options, onEnd: (why) => this.#end(why) });
    this.counters = Object.assign(this.#reader.counters, {
      txFrames: 0,
      txBytes: 0,
      writes: 0,
      txBusy: 0,
      txTooLong: 0,
      txCopied: 0,
      txLost: 0,
    });
  }

  receive(): PacketBuffer | undefined {
    return this.#reader.receive();
  }

  transmit(frame: PacketBuffer): boolean {
    const { counters } = this;
    if (this.#ended) {
      counters.txLost++;
      frame.release();
      return true;
    }
    const length = frame.totalLength + this.#vnetHeader;
    if (length > FRAME_MAX) {
      counters.txTooLong++;
      frame.release();
      return true;
    }
    if (this.#count === BATCH_FRAMES || this.#queued >= BATCH_BYTES) {
      if (!this.flush()) return false;
      if (this.#ended) return this.transmit(frame);
    }
    let from = this.#writeHeaders(frame, length);
    let used = this.#gather(frame, from);
    if (used === 0 && this.#count > 0) {
      if (!this.flush()) return false;
      if (this.#ended) return this.transmit(frame);
      used = this.#gather(frame, from);
    }
    if (used === 0) {
      const copy = copyOf(frame, this.#pool);
      frame.release();
      frame = copy;
      counters.txCopied++;
      from = this.#writeHeaders(frame, length);
      used = this.#gather(frame, from);
      if (used === 0) throw new TypeError("Cannot transmit a frame: the pool's buffers have no addresses");
    }
    this.#iovecCount += used;
    this.#ends[this.#count] = this.#iovecCount;
    this.#queue[this.#count++] = frame;
    this.#queued += length + LENGTH;
    return true;
  }

  flush(): boolean {
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
      this.#advance(written);
    }
    this.#first =
      this.#count =
      this.#firstIovec =
      this.#iovecCount =
      this.#queued =
        0;
    return true;
  }

  /** What went wrong so far, by the names under which it is shown. */
  problems(): Record<string, number> {
    const { rxBadLength, rxMalformed, txBusy, txTooLong, txCopied, txLost } = this.counters;
    return {
      "rx-bad-length": rxBadLength,
      "rx-malformed": rxMalformed,
      "tx-busy": txBusy,
      "tx-too-long": txTooLong,
      "tx-copied": txCopied,
      "tx-lost": txLost,
    };
  }

  /** Lets all buffers go. The descriptor is the caller's. */
  close(): void {
    this.#ended = true;
    this.#reader.close();
    for (; this.#first < this.#count; this.#first++) {
      this.#queue[this.#first]?.release();
      this.#queue[this.#first] = undefined;
      this.counters.txLost++;
    }
    this.#first = this.#count = 0;
  }

  /** Writes what stands in front of the frame into its headroom; returns where that begins. */
  #writeHeaders(frame: PacketBuffer, length: number): number {
    const at = (this.#vnetHeader > 0 ? writeVnetHeader(frame, this.#vnetHeader) : frame.start) - LENGTH;
    if (at < 0) throw new RangeError(`Cannot transmit a frame: its headroom is ${frame.start}`);
    frame.view.setUint32(at, length);
    return at;
  }

  #gather(frame: PacketBuffer, from: number): number {
    return gatherFrame(this.#iovecs, 0, this.#iovecCount, IOVECS - this.#iovecCount, frame, from);
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
      if (this.#firstIovec < this.#ends[this.#first]!) continue;
      const frame = this.#queue[this.#first]!;
      this.#queue[this.#first++] = undefined;
      this.counters.txFrames++;
      this.counters.txBytes += frame.totalLength;
      frame.release();
    }
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.close();
    this.#onEnd(why);
  }
}
