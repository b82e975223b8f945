/**
 * A link decorator that loses, corrupts, duplicates and reorders frames, in both directions, by a seeded dice: the same
 * seed and the same traffic give the same faults.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { copyOf } from "./copy.ts";
import type { Link, LinkCapabilities } from "./link.ts";

/** How often each fault happens, each a probability from 0 to 1 for every frame. */
export interface Faults {
  readonly loss?: number;
  /** One bit is flipped, anywhere in the frame. */
  readonly corrupt?: number;
  readonly duplicate?: number;
  /** The frame is overtaken by the next one. */
  readonly reorder?: number;
}

/** What happened to a frame; names of counters. */
export type Fault = keyof Faults;

/** Parameters of the decorator. */
export interface FaultOptions {
  readonly receive?: Faults;
  readonly transmit?: Faults;
  /** Uniform in 0 … 2³² − 1. */
  readonly random: () => number;
  /** Told of each fault before it happens; the frame stays the link's. */
  readonly onFault?: (fault: Fault, direction: "receive" | "transmit", frame: PacketBuffer) => void;
}

/** A generator of uniform numbers in 0 … 2³² − 1 (mulberry32): small, fast, the same everywhere, and no secret. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** `inner`, with faults. */
export function withFaults(inner: Link, options: FaultOptions): Link {
  return new FaultLink(inner, options);
}

const NO_FAULTS: Faults = {};

class FaultLink implements Link {
  readonly mtu: number;
  readonly capabilities: LinkCapabilities;
  readonly #inner: Link;
  readonly #options: FaultOptions;
  /** Received, to be handed out before anything else: duplicates, and the frame that was overtaken. */
  readonly #received: PacketBuffer[] = [];
  /** To be transmitted after the next frame. */
  #overtaken: PacketBuffer | undefined;

  constructor(inner: Link, options: FaultOptions) {
    this.mtu = inner.mtu;
    this.capabilities = inner.capabilities;
    this.#inner = inner;
    this.#options = options;
  }

  receive(): PacketBuffer | undefined {
    // A turn of the pump has passed: nothing overtakes the held frame any more.
    this.#flush();
    const ready = this.#received.shift();
    if (ready !== undefined) return ready;
    const faults = this.#options.receive ?? NO_FAULTS;
    for (let frame = this.#inner.receive(); frame !== undefined; frame = this.#inner.receive()) {
      const kept = this.#strike(frame, faults, "receive");
      if (kept === undefined) continue;
      if (this.#happens(faults.duplicate, "duplicate", "receive", kept)) this.#received.push(copyOf(kept));
      if (!this.#happens(faults.reorder, "reorder", "receive", kept)) return kept;
      const next = this.#inner.receive();
      const first = next === undefined ? undefined : this.#strike(next, faults, "receive");
      if (first === undefined) return kept;
      this.#received.unshift(kept);
      return first;
    }
    return undefined;
  }

  transmit(frame: PacketBuffer): boolean {
    const faults = this.#options.transmit ?? NO_FAULTS;
    const kept = this.#strike(frame, faults, "transmit");
    if (kept === undefined) return true;
    if (this.#overtaken === undefined && this.#happens(faults.reorder, "reorder", "transmit", kept)) {
      this.#overtaken = kept;
      return true;
    }
    const twin = this.#happens(faults.duplicate, "duplicate", "transmit", kept) ? copyOf(kept) : undefined;
    if (!this.#inner.transmit(kept)) {
      twin?.release();
      // A corrupted frame is a copy, and its original is gone: it cannot be given back, so it is lost.
      if (kept === frame) return false;
      kept.release();
      return true;
    }
    if (twin !== undefined && !this.#inner.transmit(twin)) twin.release();
    this.#flush();
    return true;
  }

  flush(): boolean {
    this.#flush();
    return this.#inner.flush?.() ?? true;
  }

  #flush(): void {
    const held = this.#overtaken;
    if (held !== undefined && this.#inner.transmit(held)) this.#overtaken = undefined;
  }

  /** The frame, a damaged copy of it, or undefined if it is lost; takes ownership. */
  #strike(frame: PacketBuffer, faults: Faults, direction: "receive" | "transmit"): PacketBuffer | undefined {
    if (this.#happens(faults.loss, "loss", direction, frame)) {
      frame.release();
      return undefined;
    }
    if (!this.#happens(faults.corrupt, "corrupt", direction, frame)) return frame;
    // A copy: the payload is shared with the sender's queue, which must keep what it will send again.
    const copy = copyOf(frame);
    frame.release();
    const bit = this.#options.random() % Math.max(1, 8 * copy.length);
    const at = copy.start + (bit >> 3);
    copy.bytes[at] = copy.bytes[at]! ^ (1 << (bit & 7));
    return copy;
  }

  #happens(
    chance: number | undefined,
    fault: Fault,
    direction: "receive" | "transmit",
    frame: PacketBuffer,
  ): boolean {
    if (chance === undefined || chance <= 0 || this.#options.random() >= chance * 0x1_0000_0000) return false;
    this.#options.onFault?.(fault, direction, frame);
    return true;
  }
}
