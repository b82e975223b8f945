/**
 * A wire in memory: two links, each receives what the other transmits. For tests, benchmarks, and two stacks in one
 * program.
 *
 * @module
 */

import { Checksum, type PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import { copyOf } from "./copy.ts";
import { type Link, type LinkCapabilities, NO_OFFLOAD } from "./link.ts";

/** How a wire is made. */
export interface MemoryWireOptions {
  readonly mtu: number;
  /** Default: none, so that checksums are computed and frames cut as for a real wire. */
  readonly capabilities?: LinkCapabilities;
  /**
   * Frames are handed over as they are, payload by reference and all: nothing is copied. For stacks of one program,
   * which keep the rule that bytes once queued for sending never change. Default: frames are copied.
   */
  readonly share?: boolean;
  /** Frames that each direction holds before `transmit` refuses. Default 256. */
  readonly limit?: number;
}

/** One end of a wire. */
export class MemoryLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly #pool: BufferPool;
  readonly #limit: number;
  readonly #share: boolean;
  readonly #incoming: (PacketBuffer | undefined)[];
  #head = 0;
  #length = 0;
  #peer: MemoryLink = this;

  constructor(options: MemoryWireOptions, pool: BufferPool) {
    this.mtu = options.mtu;
    this.capabilities = options.capabilities ?? NO_OFFLOAD;
    this.#limit = options.limit ?? 256;
    this.#share = options.share ?? false;
    this.#incoming = new Array<PacketBuffer | undefined>(this.#limit).fill(undefined);
    this.#pool = pool;
  }

  /** Joins two ends. */
  static join(a: MemoryLink, b: MemoryLink): void {
    a.#peer = b;
    b.#peer = a;
  }

  /** Frames that wait to be received. */
  get waiting(): number {
    return this.#length;
  }

  receive(): PacketBuffer | undefined {
    if (this.#length === 0) return undefined;
    const frame = this.#incoming[this.#head];
    this.#incoming[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#limit;
    this.#length--;
    return frame;
  }

  transmit(frame: PacketBuffer): boolean {
    const peer = this.#peer;
    if (peer.#length === peer.#limit) return false;
    // The only copy on this wire, as a kernel would make it: the receiver must not see the sender's queue.
    const arrived = this.#share ? frame : copyOf(frame, peer.#pool);
    if (frame.checksum !== Checksum.partial) {
      arrived.checksum = peer.capabilities.rxChecksum ? Checksum.valid : Checksum.unknown;
    }
    if (!this.#share) frame.release();
    peer.#incoming[(peer.#head + peer.#length) % peer.#limit] = arrived;
    peer.#length++;
    return true;
  }
}

/** The two ends of a wire in memory; each takes buffers for what it receives from its pool. */
export function memoryWire(
  options: MemoryWireOptions,
  poolA: BufferPool,
  poolB: BufferPool = poolA,
): [MemoryLink, MemoryLink] {
  const a = new MemoryLink(options, poolA);
  const b = new MemoryLink(options, poolB);
  MemoryLink.join(a, b);
  return [a, b];
}
