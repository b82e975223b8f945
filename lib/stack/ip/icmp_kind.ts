/**
 * The ICMP errors of both families under one set of names.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { IpAddress } from "../wire/address.ts";
import { type Icmpv4Repr, Icmpv4Unreachable } from "../wire/icmpv4.ts";
import { type Icmpv6Repr, Icmpv6Unreachable } from "../wire/icmpv6.ts";

/** An error, as a transport or a relay thinks of it. */
export type IcmpErrorKind =
  | "network-unreachable"
  | "host-unreachable"
  | "protocol-unreachable"
  | "port-unreachable"
  | "admin-prohibited"
  | "source-route-failed"
  | "packet-too-big"
  | "time-exceeded"
  | "reassembly-time-exceeded"
  | "parameter-problem";

/** A received error in full, for who shows it to programs (`IP_RECVERR`). Scratch: valid during the call. */
export interface IcmpReport {
  /** Who sent it. */
  readonly source: IpAddress;
  readonly type: number;
  readonly code: number;
  /** What it quotes, cursor at the transport header of the packet that it is about. */
  readonly quoted: PacketBuffer;
}

/** The error as an ICMP message. `value` is an MTU or a pointer, `code` that of a parameter problem. */
export function toIcmpv4(kind: IcmpErrorKind, value: number, code: number): Icmpv4Repr {
  const unreachable = (which: number): Icmpv4Repr => ({
    kind: "destination-unreachable",
    code: which,
    mtu: which === Icmpv4Unreachable.fragmentationNeeded ? value : 0,
  });
  switch (kind) {
    case "network-unreachable":
      return unreachable(Icmpv4Unreachable.network);
    case "host-unreachable":
      return unreachable(Icmpv4Unreachable.host);
    case "protocol-unreachable":
      return unreachable(Icmpv4Unreachable.protocol);
    case "port-unreachable":
      return unreachable(Icmpv4Unreachable.port);
    case "admin-prohibited":
      return unreachable(Icmpv4Unreachable.prohibited);
    case "source-route-failed":
      return unreachable(Icmpv4Unreachable.sourceRouteFailed);
    case "packet-too-big":
      return unreachable(Icmpv4Unreachable.fragmentationNeeded);
    case "time-exceeded":
      return { kind: "time-exceeded", code: 0 };
    case "reassembly-time-exceeded":
      return { kind: "time-exceeded", code: 1 };
    case "parameter-problem":
      return { kind: "parameter-problem", code, pointer: value };
  }
}

/** See {@linkcode toIcmpv4}. */
export function toIcmpv6(kind: IcmpErrorKind, value: number, code: number): Icmpv6Repr {
  const unreachable = (which: number): Icmpv6Repr => ({ kind: "destination-unreachable", code: which });
  switch (kind) {
    case "network-unreachable":
      return unreachable(Icmpv6Unreachable.noRoute);
    case "host-unreachable":
    case "source-route-failed":
      return unreachable(Icmpv6Unreachable.address);
    case "port-unreachable":
      return unreachable(Icmpv6Unreachable.port);
    case "admin-prohibited":
      return unreachable(Icmpv6Unreachable.prohibited);
    case "packet-too-big":
      return { kind: "packet-too-big", mtu: value };
    case "time-exceeded":
      return { kind: "time-exceeded", code: 0 };
    case "reassembly-time-exceeded":
      return { kind: "time-exceeded", code: 1 };
    case "protocol-unreachable":
      // RFC 4443 has no such message: an unknown next header is a parameter problem of code 1.
      return { kind: "parameter-problem", code: 1, pointer: value };
    case "parameter-problem":
      return { kind: "parameter-problem", code, pointer: value };
  }
}

/** What a received message says; undefined if it is no error, or one that hosts ignore. */
export function fromIcmpv4(repr: Icmpv4Repr): IcmpErrorKind | undefined {
  switch (repr.kind) {
    case "destination-unreachable":
      switch (repr.code) {
        case Icmpv4Unreachable.host:
        case 7: // Host unknown (RFC 1122 section 3.2.2.1).
          return "host-unreachable";
        case Icmpv4Unreachable.protocol:
          return "protocol-unreachable";
        case Icmpv4Unreachable.port:
          return "port-unreachable";
        case Icmpv4Unreachable.fragmentationNeeded:
          return "packet-too-big";
        case Icmpv4Unreachable.sourceRouteFailed:
          return "source-route-failed";
        case Icmpv4Unreachable.networkProhibited:
        case Icmpv4Unreachable.hostProhibited:
        case Icmpv4Unreachable.prohibited:
          return "admin-prohibited";
        default:
          return "network-unreachable";
      }
      // falls through: it does not, every code has returned.
    case "time-exceeded":
      return repr.code === 1 ? "reassembly-time-exceeded" : "time-exceeded";
    case "parameter-problem":
      return "parameter-problem";
    default:
      return undefined;
  }
}

/** See {@linkcode fromIcmpv4}. */
export function fromIcmpv6(repr: Icmpv6Repr): IcmpErrorKind | undefined {
  switch (repr.kind) {
    case "destination-unreachable":
      switch (repr.code) {
        case Icmpv6Unreachable.port:
          return "port-unreachable";
        case Icmpv6Unreachable.address:
          return "host-unreachable";
        case Icmpv6Unreachable.prohibited:
        case Icmpv6Unreachable.sourcePolicy:
        case Icmpv6Unreachable.rejectRoute:
          return "admin-prohibited";
        default:
          return "network-unreachable";
      }
      // falls through: it does not, every code has returned.
    case "packet-too-big":
      return "packet-too-big";
    case "time-exceeded":
      return repr.code === 1 ? "reassembly-time-exceeded" : "time-exceeded";
    case "parameter-problem":
      return repr.code === 1 ? "protocol-unreachable" : "parameter-problem";
    default:
      return undefined;
  }
}
