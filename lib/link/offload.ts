/**
 * What the far side of a wire takes beside usual frames: longer ones, and checksums that are not made.
 *
 * Neither passt's nor vfkit's wire says so in a frame. libkrun's monitor strips the virtio-net header of what its guest sends, and
 * puts one of zeros in front of what the guest gets, so a guest that has offload
 *
 * ```text
 *   sends   TCP of up to 64 KiB in one frame, checksums unfinished, and nothing that says so (CSUM, HOST_TSO4 …)
 *   takes   TCP of up to 64 KiB in one frame (GUEST_TSO4 …), checksums complete: a header of zeros has it look at them
 * ```
 *
 * whatever the provider thinks of it: the two are configured alike, or do not understand each other. A wire whose frames carry
 * the header (nerdbox's `vnet_hdr`) says all of it.
 *
 * @module
 */

import { Gso, type PacketBuffer } from "../stack/buffer/packet.ts";
import type { LinkCapabilities } from "../stack/link/link.ts";
import { ETHERNET_HEADER } from "../stack/wire/ethernet.ts";
import { FRAME_MAX } from "./frame_length.ts";

/** What the far side of a wire takes. */
export interface WireOffload {
  /** Bytes of the virtio-net header in front of each frame, both ways: 0, 10 or 12. */
  readonly vnetHeader: number;
  /** Partial checksums. Only a header can say that one is. */
  readonly checksums: boolean;
  /** TCP packets that are longer than the MTU, by family. */
  readonly tcp4: boolean;
  readonly tcp6: boolean;
}

/** Nothing: what every wire carries. */
export const NO_WIRE_OFFLOAD: WireOffload = { vnetHeader: 0, checksums: false, tcp4: false, tcp6: false };

/** `struct virtio_net_hdr_v1`, which libkrun puts in front of frames. */
export const VNET_HEADER_V1 = 12;

/** What a unix wire does by itself, and cheaper than the interface: it cuts super-packets, and completes checksums. */
export const WIRE_CAPABILITIES: LinkCapabilities = {
  txChecksum: true,
  rxChecksum: false,
  gsoMaxSize: FRAME_MAX - ETHERNET_HEADER - VNET_HEADER_V1,
};

/** Virtual I/O Device (VIRTIO) 1.2 section 5.1.3: bits of features, of the side that takes what they name. */
export const DEVICE_FEATURES = { checksums: 1 << 0, tcp4: 1 << 11, tcp6: 1 << 12 } as const;
/** The driver's: `VIRTIO_NET_F_GUEST_CSUM`, `GUEST_TSO4`, `GUEST_TSO6`. */
export const DRIVER_FEATURES = { checksums: 1 << 1, tcp4: 1 << 7, tcp6: 1 << 8 } as const;

/** What a side with these features takes. Long packets need checksums (section 5.1.3.1). */
export function offloadOf(
  features: number,
  bits: { readonly checksums: number; readonly tcp4: number; readonly tcp6: number },
  vnetHeader: number,
): WireOffload {
  const has = (bit: number) => (features & bit) !== 0 && (features & bits.checksums) !== 0;
  return {
    vnetHeader,
    checksums: vnetHeader > 0 && has(bits.checksums),
    tcp4: has(bits.tcp4),
    tcp6: has(bits.tcp6),
  };
}

/** Whether a packet leaves in one frame of at most `most` bytes; else it is cut first. */
export function leavesWhole(
  { tcp4, tcp6, vnetHeader }: WireOffload,
  packet: PacketBuffer,
  most: number,
): boolean {
  const { gso } = packet;
  if (gso === Gso.none) return true;
  return (gso === Gso.tcp4 ? tcp4 : gso === Gso.tcp6 && tcp6) && packet.totalLength + vnetHeader <= most;
}
