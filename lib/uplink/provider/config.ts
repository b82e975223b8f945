/**
 * What the uplink `provider` must know of one network, and what follows from it.
 *
 * @module
 */

import { FRAME_MAX } from "../../link/frame_length.ts";
import {
  DEVICE_FEATURES,
  offloadOf,
  VNET_HEADER_V1,
  WIRE_CAPABILITIES,
  type WireOffload,
} from "../../link/offload.ts";
import type { LinkCapabilities } from "../../stack/link/link.ts";
import { ETHERNET_HEADER } from "../../stack/wire/ethernet.ts";

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

/** What the provider takes. Its features are those of the device: what the other end of a virtio-net wire can do. */
export function providerOffload(
  { features, vnetHeader }: Pick<ProviderConfig, "features" | "vnetHeader">,
): WireOffload {
  return offloadOf(features, DEVICE_FEATURES, vnetHeader ? VNET_HEADER_V1 : 0);
}

/** What the wire does for the interface; what the provider leaves undone, it says in the header. */
export function capabilitiesOf(config: Pick<ProviderConfig, "vnetHeader">): LinkCapabilities {
  return { ...WIRE_CAPABILITIES, rxChecksum: config.vnetHeader };
}

/** What a shaper may count on, for it counts what the wire carries: what the provider takes of both families. */
export function shapedCapabilitiesOf(config: ProviderConfig): LinkCapabilities {
  const { checksums, tcp4, tcp6 } = providerOffload(config);
  const { gsoMaxSize } = WIRE_CAPABILITIES;
  return { txChecksum: checksums, rxChecksum: config.vnetHeader, gsoMaxSize: tcp4 && tcp6 ? gsoMaxSize : 0 };
}

/** Largest MTU at which a frame still fits the wire. */
export function largestMtu(config: Pick<ProviderConfig, "vnetHeader">): number {
  return FRAME_MAX - ETHERNET_HEADER - (config.vnetHeader ? VNET_HEADER_V1 : 0);
}
