/**
 * Frames as the kernel gathers them: one iovec for the headers, one for each payload that hangs on them.
 *
 * @module
 */

import type { NativeMemory } from "../host/memory.ts";
import { writeIovec } from "../host/structs.ts";
import type { PacketBuffer } from "../stack/buffer/packet.ts";

/**
 * Writes the iovecs of `frame`, which begins at index `from` of its bytes, as number `index` and on of those at `at`.
 *
 * @returns how many; 0 when there are more than `most`, or bytes without a native address
 */
export function gatherFrame(
  memory: NativeMemory,
  at: number,
  index: number,
  most: number,
  frame: PacketBuffer,
  from: number,
): number {
  const { fragments, address } = frame;
  const count = fragments.length + 1;
  if (count > most || address === 0) return 0;
  for (let i = 1; i < count; i++) {
    const { buffer, start, end } = fragments[i - 1]!;
    if (buffer.address === 0) return 0;
    writeIovec(memory, at, index + i, buffer.address + start, end - start);
  }
  writeIovec(memory, at, index, address + from, frame.end - from);
  return count;
}
