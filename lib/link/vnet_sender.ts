/**
 * Frames out of a descriptor that wants a `struct virtio_net_hdr` in front of each.
 *
 * ```text
 *   iovec: [vnet header + headers][fragment 0][fragment 1] …       one writev, payload by address
 * ```
 *
 * @module
 */

import { Errno } from "../host/errno.ts";
import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE } from "../host/structs.ts";
import { write, writev } from "../host/sys.ts";
import { VNET_HEADER } from "../host/tun.ts";
import { HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, LARGE } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";
import { gatherFrame } from "./gather.ts";
import { writeVnetHeader } from "./vnet_header.ts";

/** Most iovecs of one frame; more fragments than this are joined into one buffer first. */
const IOVECS = 64;

/** What happened on the way out. */
export interface SendCounters {
  txFrames: number;
  txBytes: number;
  /** Frames for which the kernel had no room; they stayed the sender's. */
  txBusy: number;
  /** Frames that the kernel refused for good. */
  txErrors: number;
  /** Frames that had to be copied because a fragment had no native address, or there were too many. */
  txCopied: number;
}

/** Sends one frame per system call. */
export class VnetSender {
  readonly #fd: number;
  readonly #pool: BufferPool;
  readonly #counters: SendCounters;
  readonly #refused: (frame: PacketBuffer, errno: number) => void;
  readonly #iovecs = new NativeMemory(IOVECS * IOVEC_SIZE);

  /** @param refused told of a frame that is lost, before it is let go */
  constructor(
    fd: number,
    pool: BufferPool,
    counters: SendCounters,
    refused: (frame: PacketBuffer, errno: number) => void,
  ) {
    this.#fd = fd;
    this.#pool = pool;
    this.#counters = counters;
    this.#refused = refused;
  }

  /** As `Link.transmit`. */
  transmit(frame: PacketBuffer): boolean {
    const length = frame.totalLength;
    if (frame.address === 0) return this.#transmitCopy(frame, length);
    const at = writeVnetHeader(frame, VNET_HEADER);
    let result: number;
    if (frame.fragments.length === 0) {
      result = write(this.#fd, frame.address + at, frame.end - at);
    } else {
      const count = gatherFrame(this.#iovecs, 0, 0, IOVECS, frame, at);
      if (count === 0) return this.#transmitCopy(frame, length);
      result = writev(this.#fd, this.#iovecs.address, count);
    }
    const counters = this.#counters;
    if (result === -Errno.EAGAIN) {
      counters.txBusy++;
      return false;
    }
    if (result < 0) {
      counters.txErrors++;
      this.#refused(frame, -result);
    } else {
      counters.txFrames++;
      counters.txBytes += length;
    }
    frame.release();
    return true;
  }

  /** The slow way for frames that cannot be gathered. */
  #transmitCopy(frame: PacketBuffer, length: number): boolean {
    if (length > LARGE - HEADROOM) {
      this.#counters.txErrors++;
      frame.release();
      return true;
    }
    const copy = copyOf(frame, this.#pool);
    const taken = this.transmit(copy);
    if (!taken) {
      copy.release();
      return false;
    }
    this.#counters.txCopied++;
    frame.release();
    return true;
  }
}
