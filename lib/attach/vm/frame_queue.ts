/**
 * Frames that wait for a guest to read them: first in, first out, bounded in frames and bytes. A super-packet counts as what
 * the guest will get of it.
 *
 * @module
 */

import type { SendQueue } from "../../link/datagram_sender.ts";
import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import { framesOf, headersOf } from "../../stack/link/wire_size.ts";

/** Frames that wait for one guest at most (`vm.queue-full`): those of a usual interface. */
export const QUEUE_FRAMES = 1_024;
/** Bytes likewise: frames may be 64 KiB long. */
export const QUEUE_BYTES = 8 * 1_024 * 1_024;

/** A ring of packets. */
export class FrameQueue implements SendQueue {
  /** Segments of the first packet that are sent. */
  cut = 0;
  readonly #slots = new Array<PacketBuffer | undefined>(QUEUE_FRAMES).fill(undefined);
  /** Of the packet in each slot. */
  readonly #slotFrames = new Int32Array(QUEUE_FRAMES);
  readonly #slotBytes = new Int32Array(QUEUE_FRAMES);
  #head = 0;
  #length = 0;
  #frames = 0;
  #bytes = 0;

  /** Packets: frames, and super-packets. */
  get length(): number {
    return this.#length;
  }

  get frames(): number {
    return this.#frames;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes ownership; false if there is no room, and the packet is still the caller's. */
  push(packet: PacketBuffer): boolean {
    const frames = framesOf(packet);
    const bytes = packet.totalLength + (frames > 1 ? (frames - 1) * headersOf(packet) : 0);
    if (this.#frames + frames > QUEUE_FRAMES || this.#bytes + bytes > QUEUE_BYTES) return false;
    const slot = (this.#head + this.#length) % QUEUE_FRAMES;
    this.#slots[slot] = packet;
    this.#slotFrames[slot] = frames;
    this.#slotBytes[slot] = bytes;
    this.#length++;
    this.#frames += frames;
    this.#bytes += bytes;
    return true;
  }

  /** The packet at place `index` from the front, which stays. */
  at(index: number): PacketBuffer {
    return this.#slots[(this.#head + index) % QUEUE_FRAMES]!;
  }

  /** Lets the first packet go: it has been sent. */
  drop(): void {
    const packet = this.at(0);
    this.taken();
    packet.release();
  }

  /** The first packet has a new owner, who may have let it go already. */
  taken(): void {
    const slot = this.#head;
    this.#frames -= this.#slotFrames[slot]!;
    this.#bytes -= this.#slotBytes[slot]!;
    this.#slots[slot] = undefined;
    this.cut = 0;
    this.#head = (slot + 1) % QUEUE_FRAMES;
    this.#length--;
  }

  clear(): void {
    while (this.#length > 0) this.drop();
  }
}
