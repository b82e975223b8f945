/**
 * Copies of frames for the kernel: what passes an interface of the stack, shown on one of the kernel.
 *
 * The frame stays whose it is and as it is, so its virtio-net header is not written into its headroom but stands beside:
 *
 * ```text
 *   iovec: [vnet header][headers][fragment 0][fragment 1] …       one writev, by address
 * ```
 *
 * @module
 */

import { NativeMemory } from "../host/memory.ts";
import { IOVEC_SIZE, writeIovec } from "../host/structs.ts";
import { writev } from "../host/sys.ts";
import { VNET_HEADER } from "../host/tun.ts";
import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { BufferPool } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";
import { gatherFrame } from "./gather.ts";
import { describeFrame } from "./vnet_header.ts";

/** Most pieces of one frame; one of more is joined first. */
const IOVECS = 64;

const header = new NativeMemory(16);
const iovecs = new NativeMemory(IOVECS * IOVEC_SIZE);
writeIovec(iovecs, 0, 0, header.address, VNET_HEADER);

/** Writes copies to one descriptor that wants vnet headers: a TAP, a packet socket. */
export class FrameCopier {
  readonly #fd: number;
  readonly #pool: BufferPool;

  /** @param fd non-blocking; stays the caller's to close */
  constructor(fd: number, pool: BufferPool) {
    this.#fd = fd;
    this.#pool = pool;
  }

  /** Writes a copy of `frame`, cursor at its Ethernet header. False: the kernel did not take it, and it is lost. */
  copy(frame: PacketBuffer): boolean {
    const { fragments } = frame;
    for (let i = 0; i < fragments.length; i++) fragments[i]!.buffer.load();
    const count = gatherFrame(iovecs, 0, 1, IOVECS - 1, frame, frame.start);
    if (count === 0) return this.#copyJoined(frame);
    describeFrame(frame, header.view, 0, VNET_HEADER);
    return writev(this.#fd, iovecs.address, count + 1) > 0;
  }

  /** The slow way, for frames that cannot be gathered. */
  #copyJoined(frame: PacketBuffer): boolean {
    const joined = copyOf(frame, this.#pool);
    const taken = joined.address !== 0 && this.copy(joined);
    joined.release();
    return taken;
  }
}
