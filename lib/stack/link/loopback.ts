/**
 * The loopback: what goes out comes in again, at the next poll.
 *
 * Packets cross it uncut and with partial checksums, as on Linux' `lo`: no wire is between, so nothing is to be detected.
 * Nothing is copied either: a payload refers to the sender's queue, whose bytes never change once they are queued, and
 * the reference keeps them for the receiver when the sender has long forgotten them.
 *
 * @module
 */

import { Checksum, type PacketBuffer } from "../buffer/packet.ts";
import type { LinkCapabilities } from "./link.ts";

/** As Linux' `lo`. IP packets are a byte shorter. */
export const LOOPBACK_MTU = 65_536;

/** Everything that costs nothing here. */
export const LOOPBACK_CAPABILITIES: LinkCapabilities = {
  txChecksum: true,
  rxChecksum: true,
  gsoMaxSize: 65_535,
};

/** The frame as it comes in again. */
export function turnAround(frame: PacketBuffer): PacketBuffer {
  if (frame.checksum !== Checksum.partial) frame.checksum = Checksum.valid;
  return frame;
}
