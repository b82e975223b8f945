/**
 * Cutting a packet into shorter ones that refer to its bytes instead of copying them. IP fragmentation and TCP
 * segmentation are both built on it.
 *
 * @module
 */

import type { PacketBuffer } from "./packet.ts";

/** A cursor over a packet and its fragments. For reuse: it holds nothing by itself. */
export class Slicer {
  #packet: PacketBuffer | undefined = undefined;
  /** Which piece the cursor is in: -1 the packet's own bytes, else an index of its fragments. */
  #piece = -1;
  /** Index into the bytes of that piece. */
  #at = 0;
  /** Bytes not yet taken. */
  remaining = 0;
  /** What {@linkcode step} moved over. */
  buffer: PacketBuffer | undefined = undefined;
  from = 0;

  /** Begins at `start`, an index into the packet's own bytes. The packet must be held until the last `take`. */
  begin(packet: PacketBuffer, start: number): void {
    this.#packet = packet;
    this.#piece = -1;
    this.#at = start;
    this.remaining = packet.totalLength - (start - packet.start);
  }

  /** Hangs the next `length` bytes (at most `remaining`) on the end of `into`, by reference. */
  take(length: number, into: PacketBuffer): void {
    while (length > 0) {
      const part = this.step(length);
      into.attach(this.buffer!, this.from, this.from + part);
      length -= part;
    }
  }

  /** Moves over the next bytes that lie together, at most `most` of those that remain: at `from` of `buffer`. Returns how many. */
  step(most: number): number {
    const packet = this.#packet!;
    for (;;) {
      const fragment = this.#piece < 0 ? undefined : packet.fragments[this.#piece]!;
      const end = fragment === undefined ? packet.end : fragment.end;
      const part = Math.min(most, end - this.#at);
      if (part > 0) {
        this.buffer = fragment === undefined ? packet : fragment.buffer;
        this.from = this.#at;
        this.#at += part;
        this.remaining -= part;
        return part;
      }
      this.#at = packet.fragments[++this.#piece]!.start;
    }
  }
}
