/**
 * Frames that somebody else made.
 *
 * @module
 */

import type { PacketBuffer } from "./buffer/packet.ts";

/** Whole frames that wait to leave by an interface: those of a guest with a kernel of its own. */
export interface FrameSource {
  readonly waiting: number;
  /** The next one, the caller's then; cursor at its Ethernet header. */
  next(): PacketBuffer | undefined;
}
