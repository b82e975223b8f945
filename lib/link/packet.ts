/**
 * A link over a packet socket: the frames of an interface of the kernel, unfinished ones too.
 *
 * Theory of operation. In front of each frame stands a `struct virtio_net_hdr` (vnet_header.ts), so what a neighbour on
 * the same machine sends arrives as it left its stack: up to 64 KiB, no checksum made. What arrives from a device that
 * joins segments (GRO) looks the same. On the way out the kernel cuts what the device cannot.
 *
 * ```text
 *   receive   one recvmmsg for up to 16 frames, each straight into a pooled buffer; handed out one by one
 *   transmit  one writev per frame
 * ```
 *
 * Trust. Whoever is on the wire. The kernel made the header from its own packet, but a neighbour with a packet socket of
 * its own had the first word; a frame that says nonsense is dropped and counted.
 *
 * @module
 */

import { ReceiveBatch } from "../host/datagrams.ts";
import { Errno } from "../host/errno.ts";
import { packetStatistics } from "../host/packet_socket.ts";
import { VNET_HEADER } from "../host/tun.ts";
import { Checksum, Gso, HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE } from "../stack/buffer/pool.ts";
import { DatagramCutter } from "../stack/link/cut_datagrams.ts";
import type { Link, LinkCapabilities } from "../stack/link/link.ts";
import { compact, COPY_BREAK } from "./compact.ts";
import { readVnetHeader } from "./vnet_header.ts";
import { type SendCounters, VnetSender } from "./vnet_sender.ts";

/** Frames of one system call. */
const BATCH = 16;
/** Most calls in which one `receive` finds nothing but nonsense. */
const ATTEMPTS = 4;
/** Where a frame with its header goes in a large buffer. */
const AT = HEADROOM - VNET_HEADER;

/** What the link is made of. */
export interface PacketLinkOptions {
  /** From `openPacketSocket`. Stays the caller's to close. */
  readonly fd: number;
  readonly mtu: number;
  /** Its buffers must have native addresses. */
  readonly pool: BufferPool;
  /** Largest packet that the kernel is given to cut; 0 for none. */
  readonly gsoMaxSize: number;
  /** Whether the kernel completes checksums. */
  readonly txChecksum: boolean;
  /** Whether it is believed about checksums that it has verified. */
  readonly rxChecksum: boolean;
}

/** What happened on the link. */
export interface PacketCounters extends SendCounters {
  rxFrames: number;
  rxBytes: number;
  /** Frames with a vnet header that says nonsense, or shorter than an Ethernet header. */
  rxMalformed: number;
  /** Frames longer than any IP packet. */
  rxTruncated: number;
  /** Frames that the kernel could not describe (tunnels, unknown kinds of segmentation). */
  rxUndescribed: number;
  /** Frames for which the receive buffer had no room. */
  rxOverflow: number;
}

/** Ethernet frames over a packet socket. */
export class PacketLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly counters: PacketCounters = {
    rxFrames: 0,
    rxBytes: 0,
    rxMalformed: 0,
    rxTruncated: 0,
    rxUndescribed: 0,
    rxOverflow: 0,
    txFrames: 0,
    txBytes: 0,
    txBusy: 0,
    txErrors: 0,
    txCopied: 0,
  };
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #sender: VnetSender;
  readonly #cutter: DatagramCutter;
  readonly #batch = new ReceiveBatch(BATCH);
  readonly #buffers: PacketBuffer[] = [];
  /** Slots `[next, filled)` hold frames that nobody has asked for yet. */
  #next = 0;
  #filled = 0;

  constructor(options: PacketLinkOptions) {
    const { fd, mtu, pool, gsoMaxSize, txChecksum, rxChecksum } = options;
    this.#fd = fd;
    this.#pool = pool;
    this.mtu = mtu;
    this.capabilities = { txChecksum, rxChecksum, gsoMaxSize: txChecksum ? gsoMaxSize : 0 };
    this.#sender = new VnetSender(fd, pool, this.counters, () => {});
    this.#cutter = new DatagramCutter(pool);
    for (let slot = 0; slot < BATCH; slot++) this.#supply(slot);
  }

  /** The next frame. Undefined: the wire is dry, or others must have their turn first; a level-triggered watch tells. */
  receive(): PacketBuffer | undefined {
    const part = this.#cutter.next();
    if (part !== undefined) return part;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      while (this.#next < this.#filled) {
        const frame = this.#take(this.#next++);
        if (frame !== undefined) return frame;
      }
      // A batch that was not full has emptied the queue: asking once more would only say so.
      if (this.#filled > 0 && this.#filled < BATCH) {
        this.#filled = this.#next = 0;
        return undefined;
      }
      this.#next = 0;
      const count = this.#batch.receive(this.#fd);
      this.#filled = Math.max(count, 0);
      if (count > 0) continue;
      if (count !== -Errno.EINVAL) return undefined;
      this.counters.rxUndescribed++;
    }
    return undefined;
  }

  /**
   * One frame, one system call. False: our send buffer is full; the descriptor polls writable when it no longer is.
   */
  transmit(frame: PacketBuffer): boolean {
    return this.#sender.transmit(frame);
  }

  /** What went wrong so far, by the names under which it is shown behind `prefix`. */
  problems(prefix: string): Record<string, number> {
    const { counters } = this;
    counters.rxOverflow += packetStatistics(this.#fd).drops;
    const { rxMalformed, rxTruncated, rxUndescribed, rxOverflow, txBusy, txErrors, txCopied } = counters;
    return {
      [`${prefix}.rx-malformed`]: rxMalformed,
      [`${prefix}.rx-truncated`]: rxTruncated,
      [`${prefix}.rx-undescribed`]: rxUndescribed,
      [`${prefix}.rx-overflow`]: rxOverflow,
      [`${prefix}.tx-busy`]: txBusy,
      [`${prefix}.tx-errors`]: txErrors,
      [`${prefix}.tx-copied`]: txCopied,
    };
  }

  /** Lets the buffers go. The descriptor is the caller's. */
  close(): void {
    this.#cutter.reset();
    this.#next = this.#filled = 0;
    for (const buffer of this.#buffers.splice(0)) buffer.release();
  }

  /** The frame in a slot, or undefined if it is no good. */
  #take(slot: number): PacketBuffer | undefined {
    const { counters } = this;
    const buffer = this.#buffers[slot]!;
    buffer.start = HEADROOM;
    buffer.end = AT + this.#batch.length(slot);
    const length = buffer.end - HEADROOM;
    if (this.#batch.truncated(slot)) counters.rxTruncated++;
    else if (!readVnetHeader(buffer, AT, true)) counters.rxMalformed++;
    else {
      counters.rxFrames++;
      counters.rxBytes += length;
      if (!this.capabilities.rxChecksum && buffer.checksum === Checksum.valid) {
        buffer.checksum = Checksum.unknown;
      }
      if (buffer.gso === Gso.datagrams) return this.#cut(slot, buffer);
      if (length <= COPY_BREAK) return compact(buffer, this.#pool);
      this.#supply(slot);
      return buffer;
    }
    buffer.reset(HEADROOM, HEADROOM);
    return undefined;
  }

  #cut(slot: number, buffer: PacketBuffer): PacketBuffer | undefined {
    if (this.#cutter.begin(buffer)) {
      this.#supply(slot);
      return this.#cutter.next();
    }
    this.counters.rxMalformed++;
    buffer.reset(HEADROOM, HEADROOM);
    return undefined;
  }

  /** A fresh large buffer for a slot. */
  #supply(slot: number): void {
    const buffer = this.#pool.take(LARGE - HEADROOM);
    if (buffer.address === 0) {
      throw new TypeError("Cannot make a packet link: the pool's buffers have no addresses");
    }
    this.#buffers[slot] = buffer;
    this.#batch.setBuffer(slot, buffer.address + AT, buffer.bytes.length - AT);
  }
}
