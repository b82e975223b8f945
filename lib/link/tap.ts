/**
 * A link over a TAP device: Ethernet frames to and from a kernel, unfinished ones too.
 *
 * Theory of operation
 *
 * In front of each frame stands a `struct virtio_net_hdr`, in which one side tells the other what it has left
 * undone: a transport checksum to complete (`NEEDS_CSUM`, `csum_start`, `csum_offset`), a packet to cut
 * (`gso_type`, `gso_size`). It means the same as the fields of a PacketBuffer, so 64 KiB cross this link in
 * one system call without a checksum.
 *
 * ```text
 *   receive   bytes: |… headroom …|vnet header|Ethernet|IP|TCP|payload …|    one read, straight into a pooled buffer
 *                                             ^ start
 *   transmit  iovec: [vnet header + headers][fragment 0][fragment 1] …       one writev, payload by address
 * ```
 *
 * Buffers. How long the next frame is, nobody knows, so each read goes into a large buffer. A frame that
 * turns out short would keep 64 KiB alive for an acknowledgement, and a guest could pin a lot of memory so:
 * it is copied into a buffer of its size, and the large one is used again.
 *
 * Trust. The header comes from the guest's kernel, or from a guest that has its device open. Offsets beyond
 * the frame, kinds of segmentation that were never offered, sizes of zero: such a frame is dropped and
 * counted. That `csum_start` is where the transport header is, is for the stack to check.
 *
 * @module
 */

import { Errno } from "../host/errno.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, writeIovec } from "../host/structs.ts";
import { read, write, writev } from "../host/sys.ts";
import { VNET_HEADER } from "../host/tun.ts";
import { Checksum, Gso, HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE, MEDIUM } from "../stack/buffer/pool.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";

const NEEDS_CSUM = 1, DATA_VALID = 2;
const GSO_TCP4 = 1, GSO_UDP = 3, GSO_TCP6 = 4, GSO_UDP_L4 = 5, GSO_ECN = 0x80;
const UDP_HEADER = 8;
const ETHERNET_HEADER = 14;
/** Most iovecs of one frame; more fragments than this are joined into one buffer first. */
const IOVECS = 64;
/** Most malformed frames that one call passes over. */
const DROPS = 64;
/** Frames up to this length move into a buffer of their size. */
const COPY_BREAK = MEDIUM - HEADROOM;

/** What the link is made of. */
export interface TapLinkOptions {
  /**
   * A TAP device with vnet headers of {@linkcode VNET_HEADER} bytes, non-blocking. Stays the caller's to
   * close.
   */
  readonly fd: number;
  readonly mtu: number;
  /** Its buffers must have native addresses. */
  readonly pool: BufferPool;
  /** Whether the kernel takes packets that it has to cut. */
  readonly gso: boolean;
  /** Whether the kernel completes checksums. Default: true. */
  readonly checksum?: boolean;
}

/** What happened on the link. */
export interface TapCounters {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** Frames with a vnet header that says nonsense, or shorter than an Ethernet header. */
  rxMalformed: number;
  /** Frames for which the kernel had no room; they stayed the sender's. */
  txBusy: number;
  /** Frames that the kernel refused for good. */
  txErrors: number;
  /** Frames that had to be copied because a fragment had no native address, or there were too many. */
  txCopied: number;
}

/** Ethernet frames over a TAP descriptor. */
export class TapLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities & { datagrams: boolean };
  readonly counters: TapCounters = {
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
    rxMalformed: 0,
    txBusy: 0,
    txErrors: 0,
    txCopied: 0,
  };
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #iovecs = new NativeMemory(IOVECS * IOVEC_SIZE);
  /** The large buffer that the next frame is read into. */
  #spare: PacketBuffer | undefined;

  constructor(options: TapLinkOptions) {
    const { fd, mtu, pool, gso, checksum = true } = options;
    this.#fd = fd;
    this.#pool = pool;
    this.#spare = pool.take(LARGE - HEADROOM);
    if (this.#spare.address === 0) {
      throw new TypeError("Cannot make a TAP link: the pool's buffers have no addresses");
    }
    this.mtu = mtu;
    this.capabilities = {
      txChecksum: checksum,
      rxChecksum: true,
      gsoMaxSize: gso && checksum ? 65_535 : 0,
      datagrams: gso && checksum,
    };
  }

  /**
   * One frame, one system call. Undefined: the wire is dry, or brings so much nonsense that others must have
   * their turn first; a level-triggered watch of the descriptor tells which.
   */
  receive(): PacketBuffer | undefined {
    for (let dropped = 0; dropped < DROPS; dropped++) {
      const buffer = this.#spare ?? this.#pool.take(LARGE - HEADROOM);
      this.#spare = buffer;
      const at = HEADROOM - VNET_HEADER;
      const length = read(this.#fd, buffer.address + at, LARGE - at);
      if (length <= 0) return undefined;
      buffer.start = HEADROOM;
      buffer.end = at + length;
      if (!this.#readVnetHeader(buffer, at)) {
        this.counters.rxMalformed++;
        buffer.reset(HEADROOM, HEADROOM);
        continue;
      }
      this.counters.rxFrames++;
      this.counters.rxBytes += length - VNET_HEADER;
      if (length - VNET_HEADER <= COPY_BREAK) return this.#compact(buffer);
      this.#spare = undefined;
      return buffer;
    }
    return undefined;
  }

  /**
   * One frame, one system call. False: the device is full; its descriptor polls writable when it no longer
   * is.
   */
  transmit(frame: PacketBuffer): boolean {
    const { fragments } = frame;
    const length = frame.totalLength;
    let result: number;
    if (fragments.length === 0 && frame.address !== 0) {
      const at = this.#writeVnetHeader(frame);
      result = write(this.#fd, frame.address + at, frame.end - at);
    } else if (fragments.length < IOVECS && frame.address !== 0 && this.#gather(frame)) {
      result = writev(this.#fd, this.#iovecs.address, fragments.length + 1);
    } else {
      return this.#transmitCopy(frame, length);
    }
    if (result === -Errno.EAGAIN) {
      this.counters.txBusy++;
      return false;
    }
    if (result < 0) {
      this.counters.txErrors++;
      // Linux before 6.2 does not know the kind. What was in this frame is lost, as datagrams may be.
      if (frame.gso === Gso.datagrams && result === -Errno.EINVAL) this.capabilities.datagrams = false;
    } else {
      this.counters.txFrames++;
      this.counters.txBytes += length;
    }
    frame.release();
    return true;
  }

  /** What went wrong so far, by the names under which it is shown. */
  problems(): Record<string, number> {
    const { rxMalformed, txBusy, txErrors, txCopied } = this.counters;
    return {
      "tap.rx-malformed": rxMalformed,
      "tap.tx-busy": txBusy,
      "tap.tx-errors": txErrors,
      "tap.tx-copied": txCopied,
    };
  }

  /** Lets the spare buffer go. The descriptor is the caller's. */
  close(): void {
    this.#spare?.release();
    this.#spare = undefined;
  }

  #readVnetHeader(buffer: PacketBuffer, at: number): boolean {
    const { view } = buffer;
    const length = buffer.end - buffer.start;
    if (length < ETHERNET_HEADER) return false;
    const flags = view.getUint8(at), kind = view.getUint8(at + 1) & ~GSO_ECN;
    if ((flags & NEEDS_CSUM) !== 0) {
      const start = view.getUint16(at + 6, true), offset = view.getUint16(at + 8, true);
      if (start < ETHERNET_HEADER || start + offset + 2 > length) return false;
      buffer.checksum = Checksum.partial;
      buffer.checksumStart = buffer.start + start;
      buffer.checksumOffset = offset;
    } else {
      buffer.checksum = (flags & DATA_VALID) !== 0 ? Checksum.valid : Checksum.unknown;
    }
    if (kind === 0) {
      buffer.gso = Gso.none;
      buffer.gsoSize = 0;
      return true;
    }
    const size = view.getUint16(at + 4, true);
    // Segments cannot be cut without a checksum to complete in each (linux/virtio_net.h); only TSO was
    // offered.
    if (size === 0 || (flags & NEEDS_CSUM) === 0 || (kind !== GSO_TCP4 && kind !== GSO_TCP6)) return false;
    buffer.gso = kind === GSO_TCP4 ? Gso.tcp4 : Gso.tcp6;
    buffer.gsoSize = size;
    return true;
  }

  /** Moves a short frame into a buffer of its size and keeps the large one. */
  #compact(large: PacketBuffer): PacketBuffer {
    const length = large.end - large.start;
    const small = this.#pool.take(length);
    small.bytes.set(large.bytes.subarray(large.start, large.end), small.start);
    small.end = small.start + length;
    small.checksum = large.checksum;
    small.checksumStart = large.checksumStart - large.start + small.start;
    small.checksumOffset = large.checksumOffset;
    small.gso = large.gso;
    small.gsoSize = large.gsoSize;
    large.reset(HEADROOM, HEADROOM);
    return small;
  }

  /** Writes the vnet header into the headroom, which stays the frame's own; returns where it begins. */
  #writeVnetHeader(frame: PacketBuffer): number {
    const at = frame.start - VNET_HEADER;
    if (at < 0) throw new RangeError(`Cannot transmit a frame: its headroom is ${frame.start}`);
    const { view } = frame;
    const partial = frame.checksum === Checksum.partial;
    const start = partial ? frame.checksumStart - frame.start : 0;
    view.setUint8(at, partial ? NEEDS_CSUM : 0);
    view.setUint8(at + 1, KIND[frame.gso]!);
    // A hint for the kernel of how much to keep in one piece: all headers.
    view.setUint16(at + 2, frame.gso === Gso.none ? 0 : this.#headerLength(frame, start), true);
    view.setUint16(at + 4, frame.gso === Gso.none ? 0 : frame.gsoSize, true);
    view.setUint16(at + 6, start, true);
    view.setUint16(at + 8, partial ? frame.checksumOffset : 0, true);
    return at;
  }

  /** Ethernet, IP and transport headers together. */
  #headerLength(frame: PacketBuffer, start: number): number {
    if (frame.gso === Gso.datagrams) return start + UDP_HEADER;
    return start + ((frame.view.getUint8(frame.checksumStart + 12) >>> 4) << 2);
  }

  /** One iovec for the headers, one per fragment; false when a fragment has no address. */
  #gather(frame: PacketBuffer): boolean {
    const { fragments } = frame;
    for (let i = 0; i < fragments.length; i++) {
      const { buffer, start, end } = fragments[i]!;
      if (buffer.address === 0) return false;
      writeIovec(this.#iovecs, 0, i + 1, buffer.address + start, end - start);
    }
    const at = this.#writeVnetHeader(frame);
    writeIovec(this.#iovecs, 0, 0, frame.address + at, frame.end - at);
    return true;
  }

  /** The slow way for frames that cannot be gathered. */
  #transmitCopy(frame: PacketBuffer, length: number): boolean {
    if (length > LARGE - HEADROOM) {
      this.counters.txErrors++;
      frame.release();
      return true;
    }
    const copy = this.#pool.take(length);
    frame.copyTo(copy.bytes, copy.start);
    copy.end = copy.start + length;
    copy.checksum = frame.checksum;
    copy.checksumStart = frame.checksumStart - frame.start + copy.start;
    copy.checksumOffset = frame.checksumOffset;
    copy.gso = frame.gso;
    copy.gsoSize = frame.gsoSize;
    const taken = this.transmit(copy);
    if (!taken) {
      copy.release();
      return false;
    }
    this.counters.txCopied++;
    frame.release();
    return true;
  }
}

/** `gso_type` by {@linkcode Gso}. */
const KIND: readonly number[] = [0, GSO_TCP4, 0, GSO_UDP, GSO_TCP6, GSO_UDP_L4];
