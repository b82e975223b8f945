/**
 * What an answer of a DHCP server is worth: an address that can be ours, times that make sense, routers and resolvers that
 * could exist. Servers err, and some lie.
 *
 * @module
 */

import { broadcastOf } from "../ip/routes.ts";
import { type Microseconds, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { DHCPV4_INFINITE, type Dhcpv4Message, type Dhcpv4Route } from "../wire/dhcpv4.ts";

/** Shortest lease that we believe, seconds: what dhcpcd takes; a shorter one would be a storm of requests. */
export const LEASE_MIN = 20;
/** Least T1 and T2 that we believe, seconds: those of the shortest lease. */
const T1_MIN = 10, T2_MIN = 17.5;
/** A prefix for who names none. */
const DEFAULT_PREFIX = 24;
/** Bounds of an MTU that is believed (RFC 2132 section 5.1 has 68, IPv4 asks hosts for 576). */
const MTU_MIN = 576, MTU_MAX = 65_535;

/** An address for a time, and what came with it. */
export interface Dhcpv4Lease {
  readonly address: IpAddress;
  readonly prefixLength: number;
  /** Who gave it. */
  readonly server: IpAddress;
  /** Default gateways, most preferred first. */
  readonly routers: readonly IpAddress[];
  /** Other routes (option 121). */
  readonly routes: readonly Dhcpv4Route[];
  readonly dns: readonly IpAddress[];
  readonly searchDomains: readonly string[];
  readonly mtu?: number;
  /** From the request on; Infinity: for ever. */
  readonly renewAfter: Microseconds;
  readonly rebindAfter: Microseconds;
  readonly expireAfter: Microseconds;
}

/** Whether a host may have this address: neither a group, nor a loopback, nor "this network", nor reserved. */
export function isHostAddress(address: IpAddress): boolean {
  const first = address.d >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

/** The lease that an offer or acknowledgement is about, or why it cannot be one. */
export function leaseOf(message: Dhcpv4Message): Dhcpv4Lease | string {
  const { yourAddress: address, options } = message;
  const { serverId, leaseTime } = options;
  if (serverId === undefined) return "a DHCP server that does not say who it is offered an address";
  if (!isHostAddress(serverId)) return `a DHCP server calls itself ${serverId}, which no host can be`;
  if (!isHostAddress(address)) return `${serverId} offered ${address}, which no host can have`;
  // An offer may be silent about the time (RFC 2131 table 3 says it must not); an hour is what nobody can object to.
  const seconds = leaseTime ?? 3_600;
  const prefixLength = options.prefixLength ?? DEFAULT_PREFIX;
  if (prefixLength === 0 || isEdge(address, prefixLength)) {
    return `${serverId} offered ${address}/${prefixLength}, which no host can have`;
  }
  const usable = (router: IpAddress) => isHostAddress(router) && !router.equals(address);
  const classless = options.routes?.filter(({ gateway }) => gateway.isUnspecified() || usable(gateway));
  // RFC 3442: "the DHCP client MUST ignore the Router option" when there are classless routes.
  const routers = classless === undefined
    ? (options.routers ?? []).filter(usable)
    : classless.filter(({ prefixLength, gateway }) => prefixLength === 0 && !gateway.isUnspecified())
      .map(({ gateway }) => gateway);
  const { mtu, domainName } = options;
  return {
    address,
    prefixLength,
    server: serverId,
    routers,
    routes: (classless ?? []).filter(isUnicastRoute),
    dns: (options.dns ?? []).filter(isHostAddress),
    searchDomains: options.searchDomains ?? (domainName === undefined ? [] : [domainName]),
    ...(mtu !== undefined && mtu >= MTU_MIN && mtu <= MTU_MAX && { mtu }),
    ...times(seconds, options.renewalTime, options.rebindingTime),
  };
}

/** Neither the default route, nor to this host, nor to groups; what holds these beside others does no harm. */
function isUnicastRoute({ destination, prefixLength }: Dhcpv4Route): boolean {
  return prefixLength > 0 && (prefixLength < 8 || isHostAddress(destination)) && destination.d >>> 24 < 224;
}

/** The network's own address, or its broadcast address. */
function isEdge(address: IpAddress, prefixLength: number): boolean {
  if (prefixLength > 30) return false;
  const host = address.d & (-1 >>> prefixLength);
  return host === 0 || broadcastOf(address, prefixLength)?.equals(address) === true;
}

/** T1 and T2 as told, if they are in order and not a storm; else half and seven eighths of the lease (RFC 2131 section 4.4.5). */
function times(
  seconds: number,
  renewal: number | undefined,
  rebinding: number | undefined,
): Pick<Dhcpv4Lease, "renewAfter" | "rebindAfter" | "expireAfter"> {
  if (seconds === DHCPV4_INFINITE) {
    return { renewAfter: Infinity, rebindAfter: Infinity, expireAfter: Infinity };
  }
  const lease = Math.max(LEASE_MIN, seconds);
  const t2 = rebinding !== undefined && rebinding >= T2_MIN && rebinding < lease ? rebinding : lease * 0.875;
  const t1 = renewal !== undefined && renewal >= T1_MIN && renewal < t2
    ? renewal
    : Math.min(lease * 0.5, t2 * 0.571);
  return { renewAfter: t1 * SECOND, rebindAfter: t2 * SECOND, expireAfter: lease * SECOND };
}
