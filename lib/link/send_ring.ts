/**
 * Packets that a link keeps to send them together.
 *
 * @module
 */

import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { SendQueue } from "./datagram_sender.ts";

/** Packets that may wait. */
const DEPTH = 64;

/** A ring of packets. Who adds to it asks first whether it is full. */
export class SendRing implements SendQueue {
  cut = 0;
  length = 0;
  readonly #packets = new Array<PacketBuffer | undefined>(DEPTH).fill(undefined);
  #first = 0;

  get full(): boolean {
    return this.length === DEPTH;
  }

  push(packet: PacketBuffer): void {
    this.#packets[(this.#first + this.length++) % DEPTH] = packet;
  }

  at(index: number): PacketBuffer {
    return this.#packets[(this.#first + index) % DEPTH]!;
  }

  drop(): void {
    const packet = this.#packets[this.#first]!;
    this.#packets[this.#first] = undefined;
    this.#first = (this.#first + 1) % DEPTH;
    this.length--;
    this.cut = 0;
    packet.release();
  }
}
