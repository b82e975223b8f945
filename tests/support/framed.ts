/**
 * Streams of frames, each behind its length.
 *
 * @module
 */

import { type LengthSize, readLength, writeLength } from "../../lib/link/frame_length.ts";

/** Frames behind their lengths. */
export function framed(frames: readonly Uint8Array[], size: LengthSize = 4): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + size + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const frame of frames) {
    writeLength(view, at, size, frame.length);
    bytes.set(frame, at + size);
    at += size + frame.length;
  }
  return bytes;
}

/** The whole frames of a stream, and how many bytes they take of it. */
export function framesIn(
  bytes: Uint8Array,
  size: LengthSize = 4,
): { readonly frames: readonly Uint8Array[]; readonly taken: number } {
  const frames: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + size <= bytes.length) {
    const end = at + size + readLength(view, at, size);
    if (end > bytes.length) break;
    frames.push(bytes.subarray(at + size, end));
    at = end;
  }
  return { frames, taken: at };
}
