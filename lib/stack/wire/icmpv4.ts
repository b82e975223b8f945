/**
 * ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2, RFC 1191 for the next-hop MTU).
 *
 * ```text
 *  0      1      2          4                8
 *  | type | code | checksum | rest of header | payload: echo data, or the head of the offending datagram
 * ```
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import { IpAddress } from "./address.ts";
import { packetSum } from "./checksum.ts";
import type { Malformed } from "./malformed.ts";

/** Bytes of the header. */
export const ICMPV4_HEADER = 8;

/** Message types. */
export const Icmpv4Type = {
  echoReply: 0,
  destinationUnreachable: 3,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;

/** Codes of "destination unreachable" (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1). */
export const Icmpv4Unreachable = {
  network: 0,
  host: 1,
  protocol: 2,
  port: 3,
  fragmentationNeeded: 4,
  sourceRouteFailed: 5,
  networkProhibited: 9,
  hostProhibited: 10,
  prohibited: 13,
} as const;

/** A message; what follows its header stays in the packet. */
export type Icmpv4Repr =
  | { readonly kind: "echo-request" | "echo-reply"; readonly identifier: number; readonly sequence: number }
  /** `mtu` belongs to code 4; 0 if the router is older than RFC 1191. */
  | { readonly kind: "destination-unreachable"; readonly code: number; readonly mtu: number }
  /** Code 0: the TTL ran out on the way; 1: the reassembly timer did. */
  | { readonly kind: "time-exceeded"; readonly code: number }
  | { readonly kind: "parameter-problem"; readonly code: number; readonly pointer: number }
  | { readonly kind: "redirect"; readonly code: number; readonly gateway: IpAddress };

/**
 * Reads at the cursor; on success the cursor is at the echo data, or at the quoted datagram of an error.
 *
 * @param verifyChecksum false if that was done, or if the link vouches for the packet
 */
export function parseIcmpv4(p: PacketBuffer, verifyChecksum = true): Icmpv4Repr | Malformed {
  const { view, start } = p;
  if (p.length < ICMPV4_HEADER) return "truncated";
  if (verifyChecksum && packetSum(p, start, 0) !== 0xffff) return "bad-checksum";
  const repr = readIcmpv4(view, start);
  if (repr !== "unknown-type") p.start = start + ICMPV4_HEADER;
  return repr;
}

function readIcmpv4(view: DataView, start: number): Icmpv4Repr | "unknown-type" {
  const code = view.getUint8(start + 1);
  const high = view.getUint16(start + 4);
  const low = view.getUint16(start + 6);
  switch (view.getUint8(start)) {
    case Icmpv4Type.echoRequest:
      return code === 0 ? { kind: "echo-request", identifier: high, sequence: low } : "unknown-type";
    case Icmpv4Type.echoReply:
      return code === 0 ? { kind: "echo-reply", identifier: high, sequence: low } : "unknown-type";
    case Icmpv4Type.destinationUnreachable:
      return { kind: "destination-unreachable", code, mtu: code === 4 ? low : 0 };
    case Icmpv4Type.timeExceeded:
      return { kind: "time-exceeded", code };
    case Icmpv4Type.parameterProblem:
      return { kind: "parameter-problem", code, pointer: high >>> 8 };
    case Icmpv4Type.redirect:
      return { kind: "redirect", code, gateway: IpAddress.readV4(view, start + 4) };
    default:
      return "unknown-type";
  }
}

/** Prepends the header to the payload that the packet holds, with its checksum. */
export function emitIcmpv4(p: PacketBuffer, repr: Icmpv4Repr): void {
  const at = p.prepend(ICMPV4_HEADER);
  const { view } = p;
  view.setInt32(at, 0);
  view.setInt32(at + 4, 0);
  switch (repr.kind) {
    case "echo-request":
    case "echo-reply":
      view.setUint8(at, repr.kind === "echo-request" ? Icmpv4Type.echoRequest : Icmpv4Type.echoReply);
      view.setUint16(at + 4, repr.identifier);
      view.setUint16(at + 6, repr.sequence);
      break;
    case "destination-unreachable":
      view.setUint8(at, Icmpv4Type.destinationUnreachable);
      view.setUint8(at + 1, repr.code);
      view.setUint16(at + 6, repr.mtu);
      break;
    case "time-exceeded":
      view.setUint8(at, Icmpv4Type.timeExceeded);
      view.setUint8(at + 1, repr.code);
      break;
    case "parameter-problem":
      view.setUint8(at, Icmpv4Type.parameterProblem);
      view.setUint8(at + 1, repr.code);
      view.setUint8(at + 4, repr.pointer);
      break;
    case "redirect":
      view.setUint8(at, Icmpv4Type.redirect);
      view.setUint8(at + 1, repr.code);
      repr.gateway.write(view, at + 4);
      break;
  }
  view.setUint16(at + 2, ~packetSum(p, at, 0));
}
