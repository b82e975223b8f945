/**
 * Frames on a stream: each behind its length.
 *
 * ```text
 *   length(32, big-endian) | frame: [virtio-net header] Ethernet …        14 ≤ length ≤ 65535
 * ```
 *
 * @module
 */

/** Bytes of a frame's length. */
export const LENGTH = 4;
/** Bounds of a frame: an Ethernet header; what passt takes. A virtio-net header counts. */
export const FRAME_MIN = 14;
export const FRAME_MAX = 65_535;
