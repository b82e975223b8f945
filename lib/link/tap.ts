/**
 * A link over a TAP device: Ethernet frames to and from a kernel, unfinished ones too.
 *
 * Theory of operation
 *
 * In front of each frame stands a `struct virtio_net_hdr` (vnet_header.ts), so 64 KiB cross this link in one system call
 * without a checksum.
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
 * Trust. The header comes from the guest's kernel, or from a guest that has its device open; a frame whose header says
 * nonsense is dropped and counted.
 *
 * @module
 */

import { Errno } from "../host/errno.ts";
import { read } from "../host/sys.ts";
import { VNET_HEADER } from "../host/tun.ts";
import { Gso, HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE } from "../stack/buffer/pool.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import { compact, COPY_BREAK } from "./compact.ts";
import { readVnetHeader } from "./vnet_header.ts";
import { type SendCounters, VnetSender } from "./vnet_sender.ts";

/** Most malformed frames that one call passes over. */
const DROPS = 64;

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
export interface TapCounters extends SendCounters {
  rxFrames: number;
  rxBytes: number;
  /** Frames with a vnet header that says nonsense, or shorter than an Ethernet header. */
  rxMalformed: number;
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
  readonly #sender: VnetSender;
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
    this.#sender = new VnetSender(fd, pool, this.counters, (frame, errno) => {
      // Linux before 6.2 does not know the kind. What was in this frame is lost, as datagrams may be.
      if (frame.gso === Gso.datagrams && errno === Errno.EINVAL) this.capabilities.datagrams = false;
    });
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
      if (length - VNET_HEADER <= COPY_BREAK) return compact(buffer, this.#pool);
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
    return this.#sender.transmit(frame);
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
}
