/**
 * Short frames in buffers of their size.
 *
 * How long the next frame is, nobody knows, so each is read into a large buffer. One that turns out short would keep 64 KiB
 * alive for an acknowledgement, and whoever is on the wire could pin a lot of memory so.
 *
 * @module
 */

import { HEADROOM, type PacketBuffer } from "../stack/buffer/packet.ts";
import { type BufferPool, MEDIUM } from "../stack/buffer/pool.ts";
import { copyOf } from "../stack/link/copy.ts";

/** Frames up to this length move into a buffer of their size. */
export const COPY_BREAK: number = MEDIUM - HEADROOM;

/** Moves a short frame into a buffer of its size, and makes the large one good for the next. */
export function compact(large: PacketBuffer, pool: BufferPool): PacketBuffer {
  const small = copyOf(large, pool);
  large.reset(HEADROOM, HEADROOM);
  return small;
}
