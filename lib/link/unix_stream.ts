/**
 * A link over a connected stream socket: each frame behind its length (passt, QEMU's `-netdev stream`, socket_vmnet, gvproxy).
 *
 * ```text
 *   length(32, big-endian) | frame: [virtio-net header] Ethernet …        14 ≤ length ≤ 65535
 * ```
 *
 * It knows nothing of who dialled whom: both ends of such a wire use it.
 *
 * Theory of operation
 *
 * Receiving. One `readv` fills what is missing of the frame that has begun, in its own buffer, and brings what follows into
 * a spill buffer, out of which the next frames are copied. After a long frame the spill is short, for another long one
 * follows most likely: so 64 KiB frames are read in place, and short ones by the dozen. A read that brings less than was
 * asked for has emptied the socket.
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
import { readv, writev } from "../host/sys.ts";
import { HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import { gatherFrame } from "./gather.ts";
import { readVnetHeader, writeVnetHeader } from "./vnet_header.ts";

/** Bytes of a frame's length. */
const LENGTH = 4;
/** Bounds of a frame: an Ethernet header; what passt takes. A virtio-net header counts. */
export const FRAME_MIN = 14;
export const FRAME_MAX = 65_535;
/** Room for frames behind the one that is being read: after a short frame, after a long one. */
const SPILL = 65_536, SPILL_SHORT = 512;
/** A frame this long is a long one. */
const LONG = 8_192;
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
  /** The wire is over; called once, out of `receive`, `transmit` or `flush`. `why` completes "the other side …". */
  readonly onEnd: (why: string) => void;
}

/** What happened on the link. */
export interface UnixStreamCounters {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** System calls. */
  reads: number;
  writes: number;
  /** Lengths out of bounds; each ended the wire. */
  rxBadLength: number;
  /** Frames with a virtio-net header that says nonsense. */
  rxMalformed: number;
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
  readonly counters: UnixStreamCounters = {
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
    reads: 0,
    writes: 0,
    rxBadLength: 0,
    rxMalformed: 0,
    txBusy: 0,
    txTooLong: 0,
    txCopied: 0,
    txLost: 0,
  };
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #vnetHeader: number;
  readonly #onEnd: (why: string) => void;
  #ended = false;

  /** The frame that has begun, and how much of it is missing. */
  #frame: PacketBuffer | undefined;
  #missing = 0;
  readonly #spill = new NativeMemory(SPILL);
  #spillStart = 0;
  #spillEnd = 0;
  /** The last frame was a long one. */
  #long = false;
  /** The last read emptied the socket. */
  #dry = false;
  readonly #into = new NativeMemory(2 * IOVEC_SIZE);

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
  }

  receive(): PacketBuffer | undefined {
    for (;;) {
      const frame = this.#take();
      if (frame !== undefined) return frame;
      if (this.#ended) return undefined;
      if (this.#dry) {
        this.#dry = false;
        return undefined;
      }
      if (!this.#fill()) return undefined;
    }
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
    this.#frame?.release();
    this.#frame = undefined;
    this.#spillStart = this.#spillEnd = 0;
    for (; this.#first < this.#count; this.#first++) {
      this.#queue[this.#first]?.release();
      this.#queue[this.#first] = undefined;
      this.counters.txLost++;
    }
    this.#first = this.#count = 0;
  }

  /** The next frame that is whole, from what has been read. */
  #take(): PacketBuffer | undefined {
    for (;;) {
      if (this.#ended) return undefined;
      let frame = this.#frame;
      if (frame === undefined) {
        frame = this.#begin();
        if (frame === undefined) return undefined;
      }
      const n = Math.min(this.#missing, this.#spillEnd - this.#spillStart);
      if (n > 0) {
        frame.bytes.set(this.#spill.bytes.subarray(this.#spillStart, this.#spillStart + n), frame.end);
        frame.end += n;
        this.#spillStart += n;
        this.#missing -= n;
      }
      if (this.#missing > 0) return undefined;
      this.#frame = undefined;
      if (this.#finish(frame)) return frame;
    }
  }

  /** A buffer for the frame whose length comes next; undefined if that is not here yet. */
  #begin(): PacketBuffer | undefined {
    if (this.#spillEnd - this.#spillStart < LENGTH) return undefined;
    const length = this.#spill.view.getUint32(this.#spillStart);
    if (length < FRAME_MIN + this.#vnetHeader || length > FRAME_MAX) {
      this.counters.rxBadLength++;
      this.#end(`announced a frame of ${length} bytes`);
      return undefined;
    }
    this.#spillStart += LENGTH;
    this.#long = length >= LONG;
    this.#missing = length;
    const frame = this.#pool.take(length);
    frame.start = frame.end = HEADROOM - this.#vnetHeader;
    return this.#frame = frame;
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

  /** One read. False: there was nothing, or never will be. */
  #fill(): boolean {
    const { bytes, address } = this.#spill;
    if (this.#spillStart > 0) {
      // At most three bytes are left over: the first of a length.
      bytes.copyWithin(0, this.#spillStart, this.#spillEnd);
      this.#spillEnd -= this.#spillStart;
      this.#spillStart = 0;
    }
    const frame = this.#frame;
    const missing = this.#missing;
    const room = (this.#long ? SPILL_SHORT : SPILL) - this.#spillEnd;
    if (frame !== undefined) writeIovec(this.#into, 0, 0, frame.address + frame.end, missing);
    writeIovec(this.#into, 0, 1, address + this.#spillEnd, room);
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
    this.#spillEnd += n - direct;
    this.#dry = n < missing + room;
    return true;
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
