/**
 * A link over a TAP device: Ethernet frames to and from a kernel, unfinished ones too.
 *
 * Theory of operation
 *
 * In front of each frame stands a `struct virtio_net_hdr`, in which one side tells the other what it has left
 * undone (see vnet_header.ts).
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
 * Trust. The header comes from the guest's kernel, or from a guest that has its device open: a frame whose header says
 * nonsense is dropped and counted.
 *
 * @module
 */

import { Errno } from "../host/errno.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, writeIovec } from "../host/structs.ts";
import { read, write, writev } from "../host/sys.ts";
import { VNET_HEADER } from "../host/tun.ts";
import { Gso, HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE, MEDIUM } from "../stack/buffer/pool.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import { readVnetHeader, writeVnetHeader } from "./vnet_header.ts";

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
      if (!readVnetHeader(buffer, at)) {
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
      const at = writeVnetHeader(frame, VNET_HEADER);
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

  /** One iovec for the headers, one per fragment; false when a fragment has no address. */
  #gather(frame: PacketBuffer): boolean {
    const { fragments } = frame;
    for (let i = 0; i < fragments.length; i++) {
      const { buffer, start, end } = fragments[i]!;
      if (buffer.address === 0) return false;
      writeIovec(this.#iovecs, 0, i + 1, buffer.address + start, end - start);
    }
    const at = writeVnetHeader(frame, VNET_HEADER);
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
