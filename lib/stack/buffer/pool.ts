/**
 * A pool of packet buffers in three sizes, so that the packet path allocates nothing once it is warm.
 *
 * Where checksums are ours to make, the large ones come from memory that vectors can sum (`vector_memory.ts`), as many as the
 * pool would keep. Beyond those they are ordinary ones.
 *
 * @module
 */

import { HEADROOM, PacketBuffer, type Recycler } from "./packet.ts";
import { VectorMemory } from "./vector_memory.ts";

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
  /** Those in vector memory, which cannot be given back: all of them are kept. */
  readonly #vectors: PacketBuffer[] = [];
  #memory: VectorMemory | undefined;
  readonly #capacity: number;
  readonly #keep: number;
  readonly #addressOf: ((bytes: Uint8Array) => number) | undefined;

  constructor(capacity: number, keep: number, addressOf: ((bytes: Uint8Array) => number) | undefined) {
    this.#capacity = capacity;
    this.#keep = keep;
    this.#addressOf = addressOf;
  }

  get idle(): number {
    return this.#vectors.length + this.#idle.length;
  }

  /** From now on, fresh buffers are made in vector memory, as many as are kept. */
  useVectors(): void {
    this.#memory ??= VectorMemory.create(this.#capacity * this.#keep);
  }

  take(): PacketBuffer {
    const vector = this.#vectors.pop();
    if (vector !== undefined) return vector.reset(HEADROOM, HEADROOM);
    if (this.#memory !== undefined) {
      const at = this.#memory.take(this.#capacity);
      if (at >= 0) return this.#vector(this.#memory, at);
    }
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle.reset(HEADROOM, HEADROOM);
    return this.#fresh(new Uint8Array(this.#capacity));
  }

  recycle(buffer: PacketBuffer): void {
    if (buffer.memory !== undefined) this.#vectors.push(buffer);
    else if (this.#idle.length < this.#keep) this.#idle.push(buffer);
  }

  #vector(memory: VectorMemory, at: number): PacketBuffer {
    const fresh = this.#fresh(memory.bytes(at, this.#capacity));
    fresh.memory = memory;
    fresh.memoryAt = at;
    return fresh;
  }

  #fresh(bytes: Uint8Array): PacketBuffer {
    const fresh = new PacketBuffer(bytes, HEADROOM, HEADROOM, this);
    if (this.#addressOf !== undefined) fresh.address = this.#addressOf(fresh.bytes);
    return fresh;
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

  /**
   * From now on, fresh large buffers are in vector memory: for who completes the checksums of bulk payload. Where the engine
   * cannot do that, nothing changes.
   */
  useVectors(): void {
    this.#large.useVectors();
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
