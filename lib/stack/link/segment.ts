/**
 * Software segmentation: what a link with TSO does, for links without.
 *
 * Theory of operation. TCP hands out super-packets of up to 64 KiB: one header, `gsoSize` bytes of payload per segment.
 * The interface cuts them just before its queueing discipline, one segment per call, so that the discipline shapes what
 * the wire will carry, and a full queue stops the cut in the middle without loss. Each segment is a small buffer with a
 * copy of the headers, and a reference to its part of the payload.
 *
 * What changes from segment to segment, and nothing else:
 *
 * | field | first | middle | last |
 * |---|---|---|---|
 * | sequence number | as is | + payload so far | + payload so far |
 * | CWR (RFC 3168 section 6.1.2: the first packet after the reduction) | kept | clear | clear |
 * | PSH, FIN | clear | clear | kept |
 * | IPv4 identification (RFC 6864: unique where DF is clear) | as is | + index | + index |
 * | IP length, IPv4 header checksum, TCP checksum | own | own | own |
 *
 * @module
 */

import { Checksum, type PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import { Slicer } from "../buffer/slicer.ts";
import { TCP_CHECKSUM } from "../wire/tcp.ts";
import { SegmentHeaders } from "./segment_headers.ts";

/** Cuts one super-packet at a time. */
export class Segmenter {
  readonly #pool: BufferPool;
  readonly #slicer = new Slicer();
  readonly #headers = new SegmentHeaders();
  #packet: PacketBuffer | undefined = undefined;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Whether a packet is being cut. */
  get busy(): boolean {
    return this.#packet !== undefined;
  }

  /**
   * Begins to cut a frame: Ethernet header at `start`, all headers in its own bytes, `gso`, `gsoSize` and a partial
   * checksum. Takes ownership. The previous one must be finished.
   */
  begin(packet: PacketBuffer): void {
    this.#packet = packet;
    this.#headers.begin(packet);
    this.#slicer.begin(packet, packet.start + this.#headers.length);
  }

  /** The next segment with a partial checksum, the caller's to release; undefined when the packet is used up. */
  next(): PacketBuffer | undefined {
    const packet = this.#packet;
    if (packet === undefined) return undefined;
    const slicer = this.#slicer;
    const payload = Math.min(packet.gsoSize, slicer.remaining);
    const last = payload === slicer.remaining;

    const headers = this.#headers;
    const segment = this.#pool.take(headers.length);
    const { start } = segment;
    headers.write(segment.view, start, payload, last);
    segment.end = start + headers.length;
    slicer.take(payload, segment);
    segment.checksum = Checksum.partial;
    segment.checksumStart = start + headers.tcp;
    segment.checksumOffset = TCP_CHECKSUM;
    if (last) this.reset();
    return segment;
  }

  /** Lets go of what is left of the packet. */
  reset(): void {
    this.#packet?.release();
    this.#packet = undefined;
  }
}
