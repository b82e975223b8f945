/**
 * A pool of packet buffers in three sizes, so that the packet path allocates nothing once it is warm.
 *
 * @module
 */

import { HEADROOM, PacketBuffer, type Recycler } from "./packet.ts";

/** Capacity for headers, acknowledgements and other packets without payload. */
export const SMALL = 384;
/** Capacity for an Ethernet frame of the usual MTU. */
export const MEDIUM = 2_048;
/** Capacity for a 64 KiB super-packet with its headers and headroom. */
export const LARGE = 65_536 + 512;

/** How many idle buffers of each size are kept for reuse. */
export interface PoolLimits {
  readonly small: number;
  readonly medium: number;
  readonly large: number;
}

class SizeClass implements Recycler {
  readonly #idle: PacketBuffer[] = [];
  readonly #capacity: number;
  readonly #keep: number;
  readonly #addressOf: ((bytes: Uint8Array) => number) | undefined;

  constructor(capacity: number, keep: number, addressOf: ((bytes: Uint8Array) => number) | undefined) {
    this.#capacity = capacity;
    this.#keep = keep;
    this.#addressOf = addressOf;
  }

  get idle(): number {
    return this.#idle.length;
  }

  take(): PacketBuffer {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle.reset(HEADROOM, HEADROOM);
    const fresh = new PacketBuffer(new Uint8Array(this.#capacity), HEADROOM, HEADROOM, this);
    if (this.#addressOf !== undefined) fresh.address = this.#addressOf(fresh.bytes);
    return fresh;
  }

  recycle(buffer: PacketBuffer): void {
    if (this.#idle.length < this.#keep) this.#idle.push(buffer);
  }
}

/** Hands out empty buffers (`start === end === HEADROOM`); `release()` brings them back. */
export class BufferPool {
  readonly #small: SizeClass;
  readonly #medium: SizeClass;
  readonly #large: SizeClass;

  /**
   * @param addressOf finds the native address of a new buffer's bytes, for links that speak to a kernel; the
   * stack itself needs none
   */
  constructor(
    addressOf?: (bytes: Uint8Array) => number,
    limits: PoolLimits = { small: 4_096, medium: 1_024, large: 128 },
  ) {
    this.#small = new SizeClass(SMALL, limits.small, addressOf);
    this.#medium = new SizeClass(MEDIUM, limits.medium, addressOf);
    this.#large = new SizeClass(LARGE, limits.large, addressOf);
  }

  /** An empty buffer with room for at least `payload` bytes behind {@linkcode HEADROOM}. */
  take(payload: number): PacketBuffer {
    if (payload <= SMALL - HEADROOM) return this.#small.take();
    if (payload <= MEDIUM - HEADROOM) return this.#medium.take();
    if (payload <= LARGE - HEADROOM) return this.#large.take();
    throw new RangeError(
      `Cannot take a packet buffer for ${payload} bytes: the largest holds ${LARGE - HEADROOM}`,
    );
  }

  /** Idle buffers per size, for statistics. */
  idle(): { small: number; medium: number; large: number } {
    return { small: this.#small.idle, medium: this.#medium.idle, large: this.#large.idle };
  }
}
