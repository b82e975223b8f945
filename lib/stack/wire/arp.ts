/**
 * ARP for IPv4 over Ethernet (RFC 826), with the probes and announcements of RFC 5227.
 *
 * ```text
 *  0              2              4    5    6
 *  | hardware = 1 | protocol     | 6  | 4  | operation |
 *  8              14             18             24
 *  | sender MAC   | sender IP    | target MAC   | target IP |
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { IpAddress } from "./address.ts";
import { EtherType } from "./ethernet.ts";
import { MacAddress } from "./mac_address.ts";
import type { Malformed } from "./malformed.ts";

/** Bytes of the packet. */
export const ARP_PACKET = 28;

const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_IP = 14;
const TARGET_MAC = 18;
const TARGET_IP = 24;

/** Hardware type 1, protocol type IPv4, lengths 6 and 4: the only combination we speak. */
const HARDWARE_AND_PROTOCOL = 0x00010000 | EtherType.ipv4;
const LENGTHS = 0x0604;

/** What is asked or told. */
export const ArpOperation = { request: 1, reply: 2 } as const;

/** An ARP packet. */
export interface ArpRepr {
  /** One of {@linkcode ArpOperation}; others are refused by the parser. */
  readonly operation: number;
  readonly senderMac: MacAddress;
  /** 0.0.0.0 in a probe (RFC 5227 section 1.1). */
  readonly senderIp: IpAddress;
  /** All zero in a request. */
  readonly targetMac: MacAddress;
  readonly targetIp: IpAddress;
}

/** Reads at the cursor; on success the cursor is behind the packet. */
export function parseArp(p: PacketBuffer): ArpRepr | Malformed {
  const { view, start } = p;
  if (p.length < ARP_PACKET) return "truncated";
  if (view.getInt32(start) !== HARDWARE_AND_PROTOCOL || view.getUint16(start + 4) !== LENGTHS) {
    return "unsupported";
  }
  const operation = view.getUint16(start + OPERATION);
  if (operation !== ArpOperation.request && operation !== ArpOperation.reply) return "unsupported";
  const senderMac = MacAddress.read(view, start + SENDER_MAC);
  if (senderMac.isMulticast()) return "bad-source-mac";
  p.start = start + ARP_PACKET;
  return {
    operation,
    senderMac,
    senderIp: IpAddress.readV4(view, start + SENDER_IP),
    targetMac: MacAddress.read(view, start + TARGET_MAC),
    targetIp: IpAddress.readV4(view, start + TARGET_IP),
  };
}

/** Prepends the packet. */
export function emitArp(p: PacketBuffer, repr: ArpRepr): void {
  const at = p.prepend(ARP_PACKET);
  const { view } = p;
  view.setInt32(at, HARDWARE_AND_PROTOCOL);
  view.setUint16(at + 4, LENGTHS);
  view.setUint16(at + OPERATION, repr.operation);
  repr.senderMac.write(view, at + SENDER_MAC);
  repr.senderIp.write(view, at + SENDER_IP);
  repr.targetMac.write(view, at + TARGET_MAC);
  repr.targetIp.write(view, at + TARGET_IP);
}
