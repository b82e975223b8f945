/**
 * Frames that wait for a guest to read them: first in, first out, bounded in frames and bytes.
 *
 * @module
 */

import type { PacketBuffer } from "../../stack/buffer/packet.ts";

/** Frames that wait for one guest at most (`vm.queue-full`): those of a usual interface. */
export const QUEUE_FRAMES = 1_024;
/** Bytes likewise: frames may be 64 KiB long. */
export const QUEUE_BYTES = 8 * 1_024 * 1_024;

/** A ring of frames. */
export class FrameQueue {
  readonly #slots = new Array<PacketBuffer | undefined>(QUEUE_FRAMES).fill(undefined);
  #head = 0;
  #length = 0;
  #bytes = 0;

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes ownership; false if there is no room, and the frame is still the caller's. */
  push(frame: PacketBuffer): boolean {
    const bytes = frame.totalLength;
    if (this.#length === QUEUE_FRAMES || this.#bytes + bytes > QUEUE_BYTES) return false;
    this.#slots[(this.#head + this.#length) % QUEUE_FRAMES] = frame;
    this.#length++;
    this.#bytes += bytes;
    return true;
  }

  /** The frame at place `index` from the front, which stays. */
  at(index: number): PacketBuffer {
    return this.#slots[(this.#head + index) % QUEUE_FRAMES]!;
  }

  /** Lets the first frame go: it has been sent. */
  drop(): void {
    const frame = this.#slots[this.#head]!;
    this.taken(frame.totalLength);
    frame.release();
  }

  /** The first frame, of so many bytes, has a new owner, who may have let it go already. */
  taken(bytes: number): void {
    this.#bytes -= bytes;
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) % QUEUE_FRAMES;
    this.#length--;
  }

  clear(): void {
    while (this.#length > 0) this.drop();
  }
}
