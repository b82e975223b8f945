/**
 * What an answer of a DHCPv6 server is worth: an address that a host can have, times that make sense, resolvers that could
 * exist.
 *
 * @module
 */

import { type Microseconds, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { DHCPV6_INFINITE, type Dhcpv6Message, Dhcpv6Status } from "../wire/dhcpv6.ts";
import { LEASE_MIN } from "./lease.ts";

/** RFC 8415 section 21.23: when nobody says when to ask again, and the least. Seconds. */
const REFRESH_DEFAULT = 86_400, REFRESH_MIN = 600;

/** An address for a time. */
export interface Dhcpv6Lease {
  readonly address: IpAddress;
  /** Who gave it: a DUID. */
  readonly server: Uint8Array;
  /** From the request on; Infinity: for ever. */
  readonly renewAfter: Microseconds;
  readonly rebindAfter: Microseconds;
  readonly expireAfter: Microseconds;
}

/** What else is to be known of a network. */
export interface Dhcpv6Information {
  readonly dns: readonly IpAddress[];
  readonly searchDomains: readonly string[];
  readonly refreshAfter: Microseconds;
}

/** Whether a host may have this address. */
export function isHostAddress6(address: IpAddress): boolean {
  return address.family === 6 && !address.isUnspecified() && !address.isMulticast() &&
    !address.isLoopback() &&
    !address.isLinkLocal() && !address.isV4Mapped();
}

/** The lease that an advertisement or a reply is about; undefined if it cannot be one. `id` is that of our association. */
export function leaseOf6(message: Dhcpv6Message, id: number): Dhcpv6Lease | undefined {
  const { association, serverId: server } = message;
  if (association === undefined || association.id !== id || server === undefined) return undefined;
  // Section 18.2.10: whatever stands beside a refusal, of the whole or of the association, was not given.
  const statuses = [message.status, association.status];
  if (statuses.some((status) => status !== undefined && status !== Dhcpv6Status.success)) return undefined;
  const { t1, t2 } = association;
  // Section 21.4: "a client [that] receives an IA_NA with T1 greater than T2 and both … greater than 0 … discards".
  if (t1 > t2 && t2 > 0) return undefined;
  const usable = association.addresses.find(({ address, preferred, valid }) =>
    isHostAddress6(address) && preferred <= valid && valid >= LEASE_MIN
  );
  if (usable === undefined) return undefined;
  const { address } = usable;
  const preferred = timeOf(Math.max(usable.preferred, LEASE_MIN));
  const expireAfter = timeOf(usable.valid);
  // Section 21.4: who leaves the times to us is asked at 0.5 and 0.8 of the preferred lifetime.
  const rebindAfter = Math.min(t2 > 0 ? timeOf(Math.max(t2, LEASE_MIN)) : 0.8 * preferred, expireAfter);
  const renewAfter = Math.min(t1 > 0 ? timeOf(Math.max(t1, LEASE_MIN / 2)) : 0.5 * preferred, rebindAfter);
  return { address, server, renewAfter, rebindAfter, expireAfter };
}

/** What a reply says of names. */
export function informationOf({ dns = [], searchDomains = [], refresh }: Dhcpv6Message): Dhcpv6Information {
  return {
    dns: dns.filter((address) =>
      !address.isUnspecified() && !address.isMulticast() && !address.isLoopback() && !address.isV4Mapped()
    ),
    searchDomains,
    refreshAfter: timeOf(Math.max(refresh ?? REFRESH_DEFAULT, REFRESH_MIN)),
  };
}

function timeOf(seconds: number): Microseconds {
  return seconds >= DHCPV6_INFINITE ? Infinity : seconds * SECOND;
}
