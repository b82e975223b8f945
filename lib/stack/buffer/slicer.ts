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

  /** Begins at `start`, an index into the packet's own bytes. The packet must be held until the last `take`. */
  begin(packet: PacketBuffer, start: number): void {
    this.#packet = packet;
    this.#piece = -1;
    this.#at = start;
    this.remaining = packet.totalLength - (start - packet.start);
  }

  /** Hangs the next `length` bytes (at most `remaining`) on the end of `into`, by reference. */
  take(length: number, into: PacketBuffer): void {
    const packet = this.#packet!;
    this.remaining -= length;
    while (length > 0) {
      const fragment = this.#piece < 0 ? undefined : packet.fragments[this.#piece]!;
      const buffer = fragment === undefined ? packet : fragment.buffer;
      const end = fragment === undefined ? packet.end : fragment.end;
      const part = Math.min(length, end - this.#at);
      if (part > 0) into.attach(buffer, this.#at, this.#at + part);
      this.#at += part;
      length -= part;
      if (this.#at === end && this.#piece + 1 < packet.fragments.length) {
        this.#piece++;
        this.#at = packet.fragments[this.#piece]!.start;
      }
    }
  }
}
