/**
 * Copies of whole frames.
 *
 * @module
 */

import { HEADROOM, PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";

/** A frame of the same bytes and state, all in one buffer, that shares nothing with the first. */
export function copyOf(frame: PacketBuffer, pool?: BufferPool): PacketBuffer {
  const { totalLength } = frame;
  const copy = pool?.take(totalLength) ??
    new PacketBuffer(new Uint8Array(HEADROOM + totalLength), HEADROOM, HEADROOM);
  copy.end = copy.start + frame.copyTo(copy.bytes, copy.start);
  copy.checksum = frame.checksum;
  copy.checksumStart = frame.checksumStart - frame.start + copy.start;
  copy.checksumOffset = frame.checksumOffset;
  copy.gso = frame.gso;
  copy.gsoSize = frame.gsoSize;
  return copy;
}
