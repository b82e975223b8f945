/**
 * What an ICMP error of the outside says: the error queue's words (`struct sock_extended_err`) as the stack's.
 *
 * Pure. Nothing here is believed that would be odd to pass on: types and codes without a meaning, errors about headers
 * that were the host's own, MTUs that no link has.
 *
 * @module
 */

import type { QueuedError } from "../../host/datagrams.ts";
import { fromIcmpv4, fromIcmpv6, type IcmpErrorKind } from "../../stack/ip/icmp_kind.ts";
import { Icmpv4Type } from "../../stack/wire/icmpv4.ts";
import { Icmpv6Type } from "../../stack/wire/icmpv6.ts";
import { IPV6_MINIMUM_MTU } from "../../stack/wire/ipv6.ts";

/** `ee_origin`: this host gave up by itself, a router or host of IPv4 said so, one of IPv6. */
export const Origin = { local: 1, icmp: 2, icmp6: 3 } as const;

/** The last code of "destination unreachable" (RFC 1812 section 5.2.7.1; RFC 7915 knows no more). */
const LAST_UNREACHABLE_V4 = 15;
/** RFC 8883 section 3 ends with 8. */
const LAST_UNREACHABLE_V6 = 8;
/** RFC 791 section 3.2: every link carries 68 bytes. */
const MINIMUM_MTU_V4 = 68;

/** The error as the stack calls it; undefined: not to be passed on. */
export function outsideError(
  error: Pick<QueuedError, "origin" | "type" | "code" | "info">,
): IcmpErrorKind | undefined {
  const kind = error.origin === Origin.icmp
    ? kindOfV4(error)
    : error.origin === Origin.icmp6
    ? kindOfV6(error)
    : undefined;
  // The header that a router cannot parse, and the route that failed, are not what the guest wrote.
  return kind === "parameter-problem" || kind === "source-route-failed" ? undefined : kind;
}

type Words = Pick<QueuedError, "type" | "code" | "info">;

function kindOfV4({ type, code, info }: Words): IcmpErrorKind | undefined {
  switch (type) {
    case Icmpv4Type.destinationUnreachable: {
      if (code > LAST_UNREACHABLE_V4) return undefined;
      const kind = fromIcmpv4({ kind: "destination-unreachable", code, mtu: info });
      return kind === "packet-too-big" && info < MINIMUM_MTU_V4 ? undefined : kind;
    }
    case Icmpv4Type.timeExceeded:
      return code > 1 ? undefined : fromIcmpv4({ kind: "time-exceeded", code });
    default:
      return undefined;
  }
}

function kindOfV6({ type, code, info }: Words): IcmpErrorKind | undefined {
  switch (type) {
    case Icmpv6Type.destinationUnreachable:
      if (code > LAST_UNREACHABLE_V6) return undefined;
      return fromIcmpv6({ kind: "destination-unreachable", code });
    case Icmpv6Type.packetTooBig:
      // RFC 8200 section 5: what is smaller is not the next hop's.
      return info < IPV6_MINIMUM_MTU ? undefined : "packet-too-big";
    case Icmpv6Type.timeExceeded:
      return code > 1 ? undefined : fromIcmpv6({ kind: "time-exceeded", code });
    case Icmpv6Type.parameterProblem:
      return fromIcmpv6({ kind: "parameter-problem", code, pointer: 0 });
    default:
      return undefined;
  }
}
