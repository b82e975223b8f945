/**
 * A bounded first-in first-out queue of packets that knows its bytes. A ring: nothing is allocated once it is warm.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";

/** The queue beneath every queueing discipline. */
export class PacketQueue {
  /** Packets that wait. */
  length = 0;
  /** Bytes that wait, link headers included. */
  bytes = 0;

  #ring: (PacketBuffer | undefined)[] = new Array(16).fill(undefined);
  /** Length of each packet, taken when it came: what is added must be what is subtracted. */
  #sizes: number[] = new Array(16).fill(0);
  #head = 0;

  /** Takes ownership of a packet of `size` bytes. */
  push(packet: PacketBuffer, size: number): void {
    if (this.length === this.#ring.length) this.#double();
    const at = (this.#head + this.length) & (this.#ring.length - 1);
    this.#ring[at] = packet;
    this.#sizes[at] = size;
    this.length++;
    this.bytes += size;
  }

  /** Size of the packet at the front; 0 if there is none. */
  headSize(): number {
    return this.length === 0 ? 0 : this.#sizes[this.#head]!;
  }

  /** Takes the packet at the front, which is the caller's then. */
  shift(): PacketBuffer | undefined {
    if (this.length === 0) return undefined;
    const packet = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.bytes -= this.#sizes[this.#head]!;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.length--;
    return packet;
  }

  /** Releases everything; returns how many packets that were. */
  clear(): number {
    const count = this.length;
    for (let packet = this.shift(); packet !== undefined; packet = this.shift()) packet.release();
    return count;
  }

  #double(): void {
    const size = this.#ring.length;
    const ring = new Array<PacketBuffer | undefined>(2 * size).fill(undefined);
    const sizes = new Array<number>(2 * size).fill(0);
    for (let i = 0; i < size; i++) {
      const from = (this.#head + i) & (size - 1);
      ring[i] = this.#ring[from];
      sizes[i] = this.#sizes[from]!;
    }
    this.#ring = ring;
    this.#sizes = sizes;
    this.#head = 0;
  }
}
