/**
 * Ethernet II.
 *
 * ```text
 *  0            6            12          14
 *  | destination | source    | EtherType | payload …
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { MacAddress } from "./mac_address.ts";
import type { Malformed } from "./malformed.ts";

export { MAC_BROADCAST, MAC_ZERO, MacAddress } from "./mac_address.ts";

/** Bytes of the header. */
export const ETHERNET_HEADER = 14;

const SOURCE = 6;
const ETHER_TYPE = 12;

/** EtherTypes that we speak. */
export const EtherType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

/** The header, for reuse. */
export class EthernetHeader {
  readonly destination: MacAddress = new MacAddress(0, 0);
  readonly source: MacAddress = new MacAddress(0, 0);
  etherType = 0;
}

/** Reads at the cursor; on success the cursor is at the payload. */
export function parseEthernet(p: PacketBuffer, into: EthernetHeader): Malformed | undefined {
  const { view, start } = p;
  if (p.length < ETHERNET_HEADER) return "truncated";
  into.destination.set(view, start);
  into.source.set(view, start + SOURCE);
  into.etherType = view.getUint16(start + ETHER_TYPE);
  if (into.etherType < 0x0600) return "not-ethernet-2";
  // IEEE 802 section 8.2.2: a group address names no sender. Learnt as a neighbour it would turn replies into broadcasts.
  if (into.source.isMulticast()) return "bad-source-mac";
  p.start = start + ETHERNET_HEADER;
  return undefined;
}

/** Prepends the header. */
export function emitEthernet(
  p: PacketBuffer,
  destination: MacAddress,
  source: MacAddress,
  etherType: number,
): void {
  const at = p.prepend(ETHERNET_HEADER);
  const { view } = p;
  destination.write(view, at);
  source.write(view, at + SOURCE);
  view.setUint16(at + ETHER_TYPE, etherType);
}
