/**
 * What the uplink `provider` must know of one network, and what follows from it.
 *
 * @module
 */

import { FRAME_MAX } from "../../link/frame_length.ts";
import type { LinkCapabilities } from "../../stack/link/link.ts";

/** A provider's socket, and how frames travel there. */
export interface ProviderConfig {
  /** For messages. */
  readonly name: string;
  /** Path of the socket. */
  readonly socket: string;
  readonly transport: "unixgram" | "unixstream";
  /** Hardware address of our interface. */
  readonly mac: string;
  /** Features of virtio-net that the provider has, as bits. */
  readonly features: number;
  /** `VFKT` is said first. */
  readonly vfkit: boolean;
  /** Each frame has a virtio-net header. */
  readonly vnetHeader: boolean;
  /** Checksums of received frames are not verified: the provider has. */
  readonly trustChecksums: boolean;
}

/** Virtual I/O Device (VIRTIO) 1.2 section 5.1.3. */
const CSUM = 1 << 0, HOST_TSO4 = 1 << 11, HOST_TSO6 = 1 << 12;
/** `struct virtio_net_hdr_v1`, which libkrun puts in front of frames. */
const VNET_HEADER_V1 = 12;
const ETHERNET_HEADER = 14;

/** Bytes of the virtio-net header in front of each frame. */
export function vnetHeaderSize(config: Pick<ProviderConfig, "vnetHeader">): number {
  return config.vnetHeader ? VNET_HEADER_V1 : 0;
}

/**
 * What we may leave to the provider. Unfinished checksums need a header that says so; packets beyond the MTU only that the
 * provider takes them, of both families. What it leaves to us, it says in the header; without one, nothing.
 */
export function capabilitiesOf(config: ProviderConfig): LinkCapabilities {
  const { features, vnetHeader } = config;
  const has = (bits: number) => (features & bits) === bits;
  const longest = FRAME_MAX - ETHERNET_HEADER - vnetHeaderSize(config);
  return {
    txChecksum: vnetHeader && has(CSUM),
    rxChecksum: vnetHeader,
    gsoMaxSize: has(CSUM | HOST_TSO4 | HOST_TSO6) ? longest : 0,
  };
}

/** Largest MTU at which a frame still fits the wire. */
export function largestMtu(config: Pick<ProviderConfig, "vnetHeader">): number {
  return FRAME_MAX - ETHERNET_HEADER - vnetHeaderSize(config);
}
