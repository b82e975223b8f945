/**
 * Two links joined in memory: what goes into one comes out of the other, without delay and without copy.
 *
 * For tests, and for two stacks in one process. The far side parses frames in place, so a frame whose payload hangs on
 * it by reference is gathered into one buffer on the way.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import { copyOf } from "./copy.ts";
import { type Link, type LinkCapabilities, NO_OFFLOAD } from "./link.ts";

/** Parameters of the pair; both ends are alike. */
export interface MemoryPairOptions {
  readonly mtu: number;
  /** What the wire takes as it is; NO_OFFLOAD if absent. */
  readonly capabilities?: LinkCapabilities;
  /** Frames in flight in each direction before the wire is full; 256 if absent. */
  readonly limit?: number;
  /** Where gathered frames come from; plain allocation if absent. */
  readonly pool?: BufferPool;
}

const LIMIT = 256;

/** The two ends of a wire in memory. */
export function memoryPair(options: MemoryPairOptions): [Link, Link] {
  const there: PacketBuffer[] = [];
  const back: PacketBuffer[] = [];
  return [new MemoryLink(options, there, back), new MemoryLink(options, back, there)];
}

class MemoryLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly #out: PacketBuffer[];
  readonly #in: PacketBuffer[];
  readonly #limit: number;
  readonly #pool: BufferPool | undefined;

  constructor(options: MemoryPairOptions, out: PacketBuffer[], into: PacketBuffer[]) {
    this.mtu = options.mtu;
    this.capabilities = options.capabilities ?? NO_OFFLOAD;
    this.#out = out;
    this.#in = into;
    this.#limit = options.limit ?? LIMIT;
    this.#pool = options.pool;
  }

  receive(): PacketBuffer | undefined {
    return this.#in.shift();
  }

  transmit(frame: PacketBuffer): boolean {
    if (this.#out.length >= this.#limit) return false;
    if (frame.fragments.length === 0) {
      this.#out.push(frame);
      return true;
    }
    this.#out.push(copyOf(frame, this.#pool));
    frame.release();
    return true;
  }
}
