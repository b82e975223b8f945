/**
 * What the interface of a gateway answers to a router solicitation (RFC 4861 section 6.2, RFC 8106).
 *
 * @module
 */

import type { IpAddress } from "../wire/address.ts";
import type { MacAddress } from "../wire/ethernet.ts";
import type { NdpRepr } from "../wire/ndp.ts";

/** An advertisement, in the words of radvd. */
export interface RouterAdvertisement {
  /** Guests may make themselves an address in it (RFC 4862). */
  readonly prefix?: IpAddress;
  /** Default 64. */
  readonly prefixLength?: number;
  /** What the link carries; absent: say nothing. */
  readonly mtu?: number;
  /** DNS servers. */
  readonly rdnss?: readonly IpAddress[];
  /** Seconds for which we are a default router; 0: we are none. Default 1800. */
  readonly lifetime?: number;
}

/** RFC 4861 section 6.2.1: AdvDefaultLifetime is 3 × MaxRtrAdvInterval, which is 600 s. */
const DEFAULT_LIFETIME = 1_800;
/** RFC 4861 section 6.2.1: AdvValidLifetime and AdvPreferredLifetime, 30 and 7 days. */
const VALID_LIFETIME = 2_592_000;
const PREFERRED_LIFETIME = 604_800;

/** So many addresses fit a buffer, and more would not be used by any resolver. */
const MAX_DNS_SERVERS = 3;

/** The message for an advertisement. */
export function routerAdvertisementRepr(advertisement: RouterAdvertisement, mac: MacAddress): NdpRepr {
  const { prefix, mtu, rdnss } = advertisement;
  const lifetime = advertisement.lifetime ?? DEFAULT_LIFETIME;
  return {
    kind: "router-advertisement",
    hopLimit: 64,
    managed: false,
    otherConfig: false,
    preference: "medium",
    lifetime,
    reachableTime: 0,
    retransTimer: 0,
    options: {
      sourceLinkLayer: mac,
      ...(mtu !== undefined && { mtu }),
      ...(prefix !== undefined && {
        prefixes: [{
          prefix,
          prefixLength: advertisement.prefixLength ?? 64,
          onLink: true,
          autonomous: true,
          validLifetime: VALID_LIFETIME,
          preferredLifetime: PREFERRED_LIFETIME,
        }],
      }),
      ...(rdnss !== undefined && rdnss.length > 0 && {
        dns: [{ lifetime: Math.max(lifetime, DEFAULT_LIFETIME), servers: rdnss.slice(0, MAX_DNS_SERVERS) }],
      }),
    },
  };
}
