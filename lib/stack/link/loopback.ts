/**
 * The loopback: what goes out comes in again, at the next poll.
 *
 * Packets cross it uncut and with partial checksums, as on Linux' `lo`: no wire is between, so nothing is to be detected.
 * They are copied once, because a packet on its way out may refer to a send queue that goes on without it.
 *
 * @module
 */

import { Checksum, type PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import type { LinkCapabilities } from "./link.ts";

/** As Linux' `lo`. IP packets are a byte shorter. */
export const LOOPBACK_MTU = 65_536;

/** Everything that costs nothing here. */
export const LOOPBACK_CAPABILITIES: LinkCapabilities = {
  txChecksum: true,
  rxChecksum: true,
  gsoMaxSize: 65_535,
};

/** The frame as it comes in again: in one piece. Takes ownership of `frame`, the result is the caller's. */
export function turnAround(frame: PacketBuffer, pool: BufferPool): PacketBuffer {
  const copy = pool.take(frame.totalLength);
  copy.end = copy.start + frame.copyTo(copy.bytes, copy.start);
  copy.checksum = frame.checksum === Checksum.partial ? Checksum.partial : Checksum.valid;
  copy.checksumStart = frame.checksumStart - frame.start + copy.start;
  copy.checksumOffset = frame.checksumOffset;
  frame.release();
  return copy;
}
