/**
 * Frames on a stream: each behind its length. Two ways of writing that are in use:
 *
 * ```text
 *   length(32, big-endian)    | frame: [virtio-net header] Ethernet …   QEMU, passt, socket_vmnet, libkrun
 *   length(16, little-endian) | frame: Ethernet …                       HyperKit, VPNKit, gvforwarder
 *                               14 ≤ length ≤ 65535
 * ```
 *
 * @module
 */

/** Bytes of a frame's length: QEMU's, HyperKit's. */
export type LengthSize = 4 | 2;
/** The longer one. */
export const LENGTH_MAX = 4;
/** Bounds of a frame: an Ethernet header; what passt takes. A virtio-net header counts. */
export const FRAME_MIN = 14;
export const FRAME_MAX = 65_535;

/** The length at `at`. */
export function readLength(view: DataView, at: number, size: LengthSize): number {
  return size === 4 ? view.getUint32(at) : view.getUint16(at, true);
}

/** Writes a length, which is no more than {@linkcode FRAME_MAX}, at `at`. */
export function writeLength(view: DataView, at: number, size: LengthSize, length: number): void {
  if (size === 4) view.setUint32(at, length);
  else view.setUint16(at, length, true);
}
