/**
 * ICMPv6 (RFC 4443). Neighbour discovery shares the header and has a file of its own: `ndp.ts`.
 *
 * ```text
 *  0      1      2          4                8
 *  | type | code | checksum | rest of header | payload: echo data, or the head of the offending packet
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { IpAddress } from "./address.ts";
import { packetSum, pseudoHeaderSum } from "./checksum.ts";
import { IpProtocol } from "./ip.ts";
import type { Malformed } from "./malformed.ts";

/** Bytes of the header. */
export const ICMPV6_HEADER = 8;

/** Message types, neighbour discovery included. */
export const Icmpv6Type = {
  destinationUnreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
} as const;

/** Codes of "destination unreachable" (RFC 4443 section 3.1). */
export const Icmpv6Unreachable = {
  noRoute: 0,
  prohibited: 1,
  beyondScope: 2,
  address: 3,
  port: 4,
  sourcePolicy: 5,
  rejectRoute: 6,
} as const;

/** A message; what follows its header stays in the packet. */
export type Icmpv6Repr =
  | { readonly kind: "echo-request" | "echo-reply"; readonly identifier: number; readonly sequence: number }
  | { readonly kind: "destination-unreachable"; readonly code: number }
  /** `mtu` is a u32; values below 1280 are the caller's to refuse (RFC 8201 section 4). */
  | { readonly kind: "packet-too-big"; readonly mtu: number }
  /** Code 0: the hop limit ran out on the way; 1: the reassembly timer did. */
  | { readonly kind: "time-exceeded"; readonly code: number }
  /** `pointer` is a u32. */
  | { readonly kind: "parameter-problem"; readonly code: number; readonly pointer: number };

/** Whether a message belongs to `parseNdp` in `ndp.ts`: look before you parse. Cursor at the ICMPv6 header. */
export function isNdp(p: PacketBuffer): boolean {
  if (p.length < 1) return false;
  const type = p.view.getUint8(p.start);
  return type >= Icmpv6Type.routerSolicitation && type <= Icmpv6Type.redirect;
}

/** Whether the checksum of the message at the cursor is right. */
export function verifyIcmpv6(p: PacketBuffer, source: IpAddress, destination: IpAddress): boolean {
  const initial = pseudoHeaderSum(source, destination, IpProtocol.icmpv6, p.totalLength);
  return packetSum(p, p.start, initial) === 0xffff;
}

/** Writes the checksum of the message at the cursor, whose field must be 0. */
export function finishIcmpv6(p: PacketBuffer, source: IpAddress, destination: IpAddress): void {
  const initial = pseudoHeaderSum(source, destination, IpProtocol.icmpv6, p.totalLength);
  p.view.setUint16(p.start + 2, ~packetSum(p, p.start, initial));
}

/**
 * Reads at the cursor; on success the cursor is at the echo data, or at the quoted packet of an error. The checksum, which
 * needs the addresses, is verified by `verifyTransport` or {@linkcode verifyIcmpv6} before.
 */
export function parseIcmpv6(p: PacketBuffer): Icmpv6Repr | Malformed {
  const { view, start } = p;
  if (p.length < ICMPV6_HEADER) return "truncated";
  const repr = readIcmpv6(view, start);
  if (repr !== "unknown-type") p.start = start + ICMPV6_HEADER;
  return repr;
}

function readIcmpv6(view: DataView, start: number): Icmpv6Repr | "unknown-type" {
  const code = view.getUint8(start + 1);
  switch (view.getUint8(start)) {
    case Icmpv6Type.echoRequest:
    case Icmpv6Type.echoReply:
      if (code !== 0) return "unknown-type";
      return {
        kind: view.getUint8(start) === Icmpv6Type.echoRequest ? "echo-request" : "echo-reply",
        identifier: view.getUint16(start + 4),
        sequence: view.getUint16(start + 6),
      };
    case Icmpv6Type.destinationUnreachable:
      return { kind: "destination-unreachable", code };
    case Icmpv6Type.packetTooBig:
      return { kind: "packet-too-big", mtu: view.getUint32(start + 4) };
    case Icmpv6Type.timeExceeded:
      return { kind: "time-exceeded", code };
    case Icmpv6Type.parameterProblem:
      return { kind: "parameter-problem", code, pointer: view.getUint32(start + 4) };
    default:
      return "unknown-type";
  }
}

/** Prepends the header to the payload that the packet holds, with its checksum. */
export function emitIcmpv6(
  p: PacketBuffer,
  repr: Icmpv6Repr,
  source: IpAddress,
  destination: IpAddress,
): void {
  const at = p.prepend(ICMPV6_HEADER);
  const { view } = p;
  view.setInt32(at, 0);
  view.setInt32(at + 4, 0);
  switch (repr.kind) {
    case "echo-request":
    case "echo-reply":
      view.setUint8(at, repr.kind === "echo-request" ? Icmpv6Type.echoRequest : Icmpv6Type.echoReply);
      view.setUint16(at + 4, repr.identifier);
      view.setUint16(at + 6, repr.sequence);
      break;
    case "destination-unreachable":
      view.setUint8(at, Icmpv6Type.destinationUnreachable);
      view.setUint8(at + 1, repr.code);
      break;
    case "packet-too-big":
      view.setUint8(at, Icmpv6Type.packetTooBig);
      view.setUint32(at + 4, repr.mtu);
      break;
    case "time-exceeded":
      view.setUint8(at, Icmpv6Type.timeExceeded);
      view.setUint8(at + 1, repr.code);
      break;
    case "parameter-problem":
      view.setUint8(at, Icmpv6Type.parameterProblem);
      view.setUint8(at + 1, repr.code);
      view.setUint32(at + 4, repr.pointer);
      break;
  }
  finishIcmpv6(p, source, destination);
}
