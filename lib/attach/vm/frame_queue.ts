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

/** Packets that there is room for at first: most guests never have more. */
const FIRST_ROOM = 32;

/** A ring of packets. */
export class FrameQueue implements SendQueue {
  /** Segments of the first packet that are sent. */
  cut = 0;
  #slots = new Array<PacketBuffer | undefined>(FIRST_ROOM).fill(undefined);
  /** Of the packet in each slot. */
  #slotFrames = new Int32Array(FIRST_ROOM);
  #slotBytes = new Int32Array(FIRST_ROOM);
  #room = FIRST_ROOM;
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
    if (this.#length === this.#room) this.#grow();
    const slot = (this.#head + this.#length) % this.#room;
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
    return this.#slots[(this.#head + index) % this.#room]!;
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
    this.#head = (slot + 1) % this.#room;
    this.#length--;
  }

  clear(): void {
    while (this.#length > 0) this.drop();
  }

  #grow(): void {
    const room = 2 * this.#room;
    const slots = new Array<PacketBuffer | undefined>(room).fill(undefined);
    const frames = new Int32Array(room), bytes = new Int32Array(room);
    for (let i = 0; i < this.#length; i++) {
      const from = (this.#head + i) % this.#room;
      slots[i] = this.#slots[from];
      frames[i] = this.#slotFrames[from]!;
      bytes[i] = this.#slotBytes[from]!;
    }
    this.#slots = slots;
    this.#slotFrames = frames;
    this.#slotBytes = bytes;
    this.#room = room;
    this.#head = 0;
  }
}
