/**
 * A short queue of frames between a wire and an interface; a full one stops the wire from being read.
 *
 * @module
 */

import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { FrameSource } from "../stack/frame_source.ts";

/** Frames that may wait. */
const DEPTH = 64;

/** A queue of frames. Who adds to it asks first whether it is full. */
export class FrameRing implements FrameSource {
  readonly #frames: (PacketBuffer | undefined)[] = new Array<PacketBuffer | undefined>(DEPTH).fill(undefined);
  #first = 0;
  waiting = 0;

  get full(): boolean {
    return this.waiting === DEPTH;
  }

  push(frame: PacketBuffer): void {
    this.#frames[(this.#first + this.waiting++) % DEPTH] = frame;
  }

  next(): PacketBuffer | undefined {
    if (this.waiting === 0) return undefined;
    const frame = this.#frames[this.#first];
    this.#frames[this.#first] = undefined;
    this.#first = (this.#first + 1) % DEPTH;
    this.waiting--;
    return frame;
  }

  clear(): void {
    for (let frame = this.next(); frame !== undefined; frame = this.next()) frame.release();
  }
}
