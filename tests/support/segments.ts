/**
 * Super-packets cut to what a wire would carry.
 *
 * @module
 */

import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import type { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { Segmenter } from "../../lib/stack/link/segment.ts";
import { completeChecksum } from "../../lib/stack/wire/checksum.ts";

/** All segments of one super-packet with complete checksums. Takes ownership of `packet`. */
export function segmentAll(packet: PacketBuffer, pool: BufferPool): PacketBuffer[] {
  const segmenter = new Segmenter(pool);
  segmenter.begin(packet);
  const segments: PacketBuffer[] = [];
  for (let segment = segmenter.next(); segment !== undefined; segment = segmenter.next()) {
    completeChecksum(segment);
    segments.push(segment);
  }
  return segments;
}
