/**
 * Bytes and packets for tests.
 *
 * @module
 */

import { PacketBuffer } from "../../lib/stack/buffer/packet.ts";

/** Bytes from hex digits; blanks are ignored. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replaceAll(/\s/g, "");
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Hex digits of bytes. */
export function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A packet that fills its buffer to the last byte, so that reading outside of it throws. */
export function tight(bytes: Uint8Array | string): PacketBuffer {
  return new PacketBuffer(typeof bytes === "string" ? hex(bytes) : bytes.slice());
}

/** A packet with `headroom` bytes in front and `tailroom` behind, all of them `fill`. */
export function roomy(bytes: Uint8Array | string, headroom = 128, tailroom = 0, fill = 0xa5): PacketBuffer {
  const content = typeof bytes === "string" ? hex(bytes) : bytes;
  const room = new Uint8Array(headroom + content.length + tailroom).fill(fill);
  room.set(content, headroom);
  return new PacketBuffer(room, headroom, headroom + content.length);
}

/** A packet that holds the first `own` bytes itself, and the rest in fragments of the given sizes (the last takes all). */
export function fragmented(
  bytes: Uint8Array,
  own: number,
  sizes: readonly number[],
  headroom = 128,
): PacketBuffer {
  const p = roomy(bytes.subarray(0, own), headroom);
  let at = own;
  for (let i = 0; at < bytes.length; i++) {
    const size = i < sizes.length - 1 ? Math.min(sizes[i]!, bytes.length - at) : bytes.length - at;
    if (size === 0) continue;
    const buffer = roomy(bytes.subarray(at, at + size), 1 + (i & 3), 2);
    p.attach(buffer, buffer.start, buffer.end);
    buffer.release();
    at += size;
  }
  return p;
}
