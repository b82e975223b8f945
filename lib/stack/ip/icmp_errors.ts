/**
 * Telling a sender that its packet failed, without becoming a weapon (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2,
 * RFC 4443 section 2.4).
 *
 * An error is never sent about an ICMP error, about a packet to a group or to everybody, about a fragment other than
 * the first, or to an address that does not name one host; and never more often than a rate allows, of which guests have shares.
 *
 * @module
 */

import type { BufferPool } from "../buffer/pool.ts";
import type { PacketBuffer } from "../buffer/packet.ts";
import type { Counters } from "../counters.ts";
import type { Nic } from "../nic.ts";
import type { Instant } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { emitIcmpv4, ICMPV4_HEADER } from "../wire/icmpv4.ts";
import { emitIcmpv6, ICMPV6_HEADER, Icmpv6Type } from "../wire/icmpv6.ts";
import { type IpHeader, IpProtocol } from "../wire/ip.ts";
import { IPV4_HEADER } from "../wire/ipv4.ts";
import { IPV6_HEADER, IPV6_MINIMUM_MTU } from "../wire/ipv6.ts";
import { type IcmpErrorKind, toIcmpv4, toIcmpv6 } from "./icmp_kind.ts";
import { DEFAULT_HOP_LIMIT, type IpOutput } from "./output.ts";
import type { PathResolver } from "./path.ts";
import { FairRate, type Tenants } from "./fair_rate.ts";

/** RFC 1812 section 4.3.2.3: "as much of the original datagram as possible without … exceeding 576 bytes". */
const MAX_ERROR_V4 = 576;
/** RFC 1122 section 3.2.2: echo, timestamp and address mask messages are queries; their low numbers are all even types. */
const ICMPV4_QUERIES: ReadonlySet<number> = new Set([0, 8, 9, 10, 13, 14, 15, 16, 17, 18]);
/** RFC 4443 section 2.1: error messages have types below 128. */
const ICMPV6_FIRST_QUERY = 128;

/** What sending errors needs. */
export interface IcmpErrorContext {
  readonly pool: BufferPool;
  readonly counters: Counters;
  readonly paths: PathResolver;
  readonly output: IpOutput;
  /** Absent: there is one guest. */
  readonly tenants?: Tenants;
  owns(address: IpAddress): boolean;
}

/** Sends ICMP errors about received packets. */
export class IcmpErrors {
  readonly #context: IcmpErrorContext;
  readonly #rate: FairRate;

  /** @param perSecond errors per second, and `burst` at once (Linux: 1000 and 50) */
  constructor(context: IcmpErrorContext, limits: { readonly perSecond: number; readonly burst: number }) {
    this.#context = context;
    this.#rate = new FairRate(limits.perSecond, limits.burst, context.tenants);
  }

  /**
   * Answers the packet that `ip` heads with an error. Does not own it. False: the rules forbid it, or the rate does.
   *
   * @param value the MTU of `packet-too-big`, the pointer of `parameter-problem` and `protocol-unreachable`
   * @param code of `parameter-problem`
   * @param from who speaks, for a relay on a spoofing interface; absent: whoever of us it concerns
   */
  send(
    kind: IcmpErrorKind,
    ip: IpHeader,
    packet: PacketBuffer,
    nic: Nic,
    now: Instant,
    value = 0,
    code = 0,
    from?: IpAddress,
  ): boolean {
    const { counters, paths, output, pool } = this.#context;
    if (!this.#mayAnswer(kind, ip, packet, nic, code)) {
      counters.bump("icmp.errors-withheld");
      return false;
    }
    if (!this.#rate.take(ip.source, now)) {
      counters.bump("icmp.errors-rate-limited");
      return false;
    }
    const destination = ip.source.clone();
    // The one who was asked answers for itself; for the rest it is the gateway that speaks (RFC 1812 section 4.3.2.4).
    const asItself = kind === "port-unreachable" || kind === "protocol-unreachable";
    const speaks = this.#context.owns(ip.destination) || (asItself && nic.spoofing);
    const source = from ?? (speaks ? ip.destination.clone() : undefined);
    const path = paths.resolve(destination, now, source, nic.kind === "loopback" ? undefined : nic);
    if (typeof path === "string") {
      counters.bump("ip.no-route");
      return false;
    }
    const v4 = ip.family === 4;
    const room = v4
      ? MAX_ERROR_V4 - IPV4_HEADER - ICMPV4_HEADER
      : IPV6_MINIMUM_MTU - IPV6_HEADER - ICMPV6_HEADER;
    const quote = Math.min(room, packet.end - ip.headerStart);
    const message = pool.take(quote);
    message.bytes.set(packet.bytes.subarray(ip.headerStart, ip.headerStart + quote), message.start);
    message.end = message.start + quote;
    if (v4) emitIcmpv4(message, toIcmpv4(kind, value, code));
    else emitIcmpv6(message, toIcmpv6(kind, value, code), path.source, destination);
    counters.bump("icmp.errors-sent");
    const protocol = v4 ? IpProtocol.icmp : IpProtocol.icmpv6;
    return output.send(path, message, protocol, DEFAULT_HOP_LIMIT, v4 ? 0xc0 : 0, false, now) === undefined;
  }

  #mayAnswer(kind: IcmpErrorKind, ip: IpHeader, packet: PacketBuffer, nic: Nic, code: number): boolean {
    if (ip.fragmentOffset !== 0) return false;
    const { source, destination } = ip;
    if (source.isUnspecified() || source.isMulticast() || source.isLimitedBroadcast()) return false;
    if (nic.isBroadcast(source)) return false;
    const toMany = nic.linkBroadcast || destination.isMulticast() || destination.isLimitedBroadcast() ||
      nic.isBroadcast(destination);
    // RFC 4443 section 2.4 (e.3): packet too big, and code 2 of parameter problem, are the exceptions.
    const exception = ip.family === 6 &&
      (kind === "packet-too-big" || (kind === "parameter-problem" && code === 2));
    if (toMany && !exception) return false;
    return !isIcmpError(ip, packet);
  }
}

/** Whether the packet is an ICMP error or a redirect, about which nothing may be said. */
function isIcmpError(ip: IpHeader, packet: PacketBuffer): boolean {
  const at = ip.headerStart + ip.headerLength;
  if (ip.protocol === IpProtocol.icmp && ip.family === 4) {
    return at >= packet.end || !ICMPV4_QUERIES.has(packet.view.getUint8(at));
  }
  if (ip.protocol === IpProtocol.icmpv6 && ip.family === 6) {
    if (at >= packet.end) return true;
    const type = packet.view.getUint8(at);
    return type < ICMPV6_FIRST_QUERY || type === Icmpv6Type.redirect;
  }
  return false;
}
