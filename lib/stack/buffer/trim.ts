/**
 * Cutting a packet to a length.
 *
 * @module
 */

import type { PacketBuffer } from "./packet.ts";

/** Cuts everything behind the first `length` bytes from `start`, fragments included. `length` must be at most `totalLength`. */
export function trim(p: PacketBuffer, length: number): void {
  const own = p.end - p.start;
  if (p.fragments.length === 0) {
    p.end = p.start + length;
    return;
  }
  let left = length - own;
  if (left < 0) {
    p.end = p.start + length;
    left = 0;
  }
  let kept = 0;
  for (; kept < p.fragments.length && left > 0; kept++) {
    const fragment = p.fragments[kept]!;
    const size = fragment.end - fragment.start;
    if (size > left) fragment.end = fragment.start + left;
    left -= size;
  }
  while (p.fragments.length > kept) p.fragments.pop()!.buffer.release();
}
