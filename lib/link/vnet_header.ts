/**
 * `struct virtio_net_hdr` (virtio 1.2 section 5.1.6) in front of a frame: what its sender has left undone.
 *
 * ```text
 *   0  flags(8): NEEDS_CSUM, DATA_VALID    1  gso_type(8)    2  hdr_len(16)    4  gso_size(16)
 *   6  csum_start(16)    8  csum_offset(16)    10  num_buffers(16), in the form of 12 bytes
 * ```
 *
 * All little-endian. It means the same as the fields of a PacketBuffer, so 64 KiB cross a link in one system call without a
 * checksum. What comes from a guest or a provider is checked: offsets beyond the frame, kinds of segmentation that were
 * never offered, sizes of zero. That `csum_start` is where the transport header is, is for the stack to check.
 *
 * @module
 */

import { Checksum, Gso, type PacketBuffer } from "../stack/buffer/packet.ts";

const NEEDS_CSUM = 1, DATA_VALID = 2;
const GSO_TCP4 = 1, GSO_UDP = 3, GSO_TCP6 = 4, GSO_UDP_L4 = 5, GSO_ECN = 0x80;
const UDP_HEADER = 8;
const ETHERNET_HEADER = 14;
const MERGED_BUFFERS = 10;

/** `gso_type` by {@linkcode Gso}. */
const KIND: readonly number[] = [0, GSO_TCP4, 0, GSO_UDP, GSO_TCP6, GSO_UDP_L4];

/**
 * Reads the header at `at` into the fields of the frame, whose cursors are set. False: it says nonsense.
 *
 * @param datagrams whether several UDP datagrams in one frame are welcome
 */
export function readVnetHeader(frame: PacketBuffer, at: number, datagrams = false): boolean {
  const { view } = frame;
  const length = frame.end - frame.start;
  if (length < ETHERNET_HEADER) return false;
  const flags = view.getUint8(at), kind = view.getUint8(at + 1) & ~GSO_ECN;
  if ((flags & NEEDS_CSUM) !== 0) {
    const start = view.getUint16(at + 6, true), offset = view.getUint16(at + 8, true);
    if (start < ETHERNET_HEADER || start + offset + 2 > length) return false;
    frame.checksum = Checksum.partial;
    frame.checksumStart = frame.start + start;
    frame.checksumOffset = offset;
  } else {
    frame.checksum = (flags & DATA_VALID) !== 0 ? Checksum.valid : Checksum.unknown;
  }
  if (kind === 0) {
    frame.gso = Gso.none;
    frame.gsoSize = 0;
    return true;
  }
  const size = view.getUint16(at + 4, true);
  // Segments cannot be cut without a checksum to complete in each (linux/virtio_net.h).
  if (size === 0 || (flags & NEEDS_CSUM) === 0) return false;
  if (kind === GSO_TCP4) frame.gso = Gso.tcp4;
  else if (kind === GSO_TCP6) frame.gso = Gso.tcp6;
  else if (kind === GSO_UDP_L4 && datagrams) frame.gso = Gso.datagrams;
  else return false;
  frame.gsoSize = size;
  return true;
}

/** Writes a header of `size` bytes (10 or 12) into the headroom, which stays the frame's own; returns where it begins. */
export function writeVnetHeader(frame: PacketBuffer, size: number): number {
  const at = frame.start - size;
  if (at < 0) throw new RangeError(`Cannot transmit a frame: its headroom is ${frame.start}`);
  describeFrame(frame, frame.view, at, size);
  return at;
}

/** Writes the header of `frame`, `size` bytes, to `at` of `view`. */
export function describeFrame(frame: PacketBuffer, view: DataView, at: number, size: number): void {
  const partial = frame.checksum === Checksum.partial;
  const start = partial ? frame.checksumStart - frame.start : 0;
  view.setUint8(at, partial ? NEEDS_CSUM : 0);
  view.setUint8(at + 1, KIND[frame.gso]!);
  // A hint for the kernel of how much to keep in one piece: all headers.
  view.setUint16(at + 2, frame.gso === Gso.none ? 0 : headerLength(frame, start), true);
  view.setUint16(at + 4, frame.gso === Gso.none ? 0 : frame.gsoSize, true);
  view.setUint16(at + 6, start, true);
  view.setUint16(at + 8, partial ? frame.checksumOffset : 0, true);
  if (size > MERGED_BUFFERS) view.setUint16(at + MERGED_BUFFERS, 0, true);
}

/** Ethernet, IP and transport headers together. */
function headerLength(frame: PacketBuffer, start: number): number {
  if (frame.gso === Gso.datagrams) return start + UDP_HEADER;
  return start + ((frame.view.getUint8(frame.checksumStart + 12) >>> 4) << 2);
}
