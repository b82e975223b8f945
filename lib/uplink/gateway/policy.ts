/**
 * Egress policy: which address of the host's network stands for the one that the guest named.
 *
 * The guest is hostile, and its packets carry whatever destination it likes. What matters is that the host's kernel
 * never gets an address to which it gives a meaning of its own: 0.0.0.0 is a synonym of 127.0.0.1 on Linux, and so is
 * `::ffff:127.0.0.1`; a link-local address would reach the host's neighbours, or the metadata service of a cloud
 * (169.254.169.254) with the host's identity.
 *
 * Pure: the answer depends on the arguments alone, and is the same for TCP, UDP and ICMP.
 *
 * @module
 */

import { inPrefix } from "../../stack/ip/routes.ts";
import { IpAddress } from "../../stack/wire/address.ts";
import { type SpecialAddress, specialOf } from "../../stack/wire/special_address.ts";
import type { GatewayConfig } from "./config.ts";

/** Port of the domain name system (RFC 1035 section 4.2). */
export const DNS_PORT = 53;

/** Why a destination is out of reach. Also the name of the counter, after `gateway.policy.`. */
export type Denial = SpecialAddress | "guest" | "closed-port";

/** What to do with a destination. */
export type Verdict =
  /** Dial this address of the host's network. */
  | { readonly do: "dial"; readonly address: IpAddress }
  /** Hand it to the resolvers. */
  | { readonly do: "dns" }
  /** Answer as a host whose port is closed. */
  | { readonly do: "refuse"; readonly why: Denial }
  /** Answer as a router without a route. */
  | { readonly do: "unreachable"; readonly why: Denial }
  /** Say nothing: RFC 1122 section 3.2.2 forbids an error about a packet to many, or from nobody. */
  | { readonly do: "drop"; readonly why: Denial };

const LOOPBACK4: IpAddress = IpAddress.v4(0x7f000001);
const LOOPBACK6: IpAddress = new IpAddress(6, 0, 0, 0, 1);

/** What to do with traffic for `destination`, port `port` (0 for ICMP, which has none). */
export function route(
  destination: IpAddress,
  port: number,
  config: Pick<
    GatewayConfig,
    | "gateway4"
    | "gateway6"
    | "dns4"
    | "dns6"
    | "guest4"
    | "guest6"
    | "hostLoopback"
    | "host4"
    | "links"
    | "closedPorts"
  >,
): Verdict {
  const four = destination.family === 4;
  const dns = four ? config.dns4 : config.dns6;
  // DNS first: somebody may well give the gateway and the resolver the same address.
  if (port === DNS_PORT && dns?.equals(destination) === true) return { do: "dns" };
  const gateway = four ? config.gateway4 : config.gateway6;
  if (gateway?.equals(destination) === true) {
    return config.hostLoopback && config.closedPorts?.includes(port) !== true
      ? { do: "dial", address: four ? LOOPBACK4 : LOOPBACK6 }
      : { do: "refuse", why: "closed-port" };
  }
  if (dns?.equals(destination) === true) return { do: "refuse", why: "closed-port" };
  if (config.host4?.equals(destination) === true) {
    return config.closedPorts?.includes(port) === true
      ? { do: "refuse", why: "closed-port" }
      : { do: "dial", address: LOOPBACK4 };
  }
  const guest = four ? config.guest4 : config.guest6;
  if (guest?.equals(destination) === true || isGuests(destination, config)) {
    return { do: "unreachable", why: "guest" };
  }
  const denial = specialOf(destination);
  if (denial === undefined) return { do: "dial", address: destination.clone() };
  return denial === "link-local" ? { do: "unreachable", why: denial } : { do: "drop", why: denial };
}

/** Whether guests are where `destination` is: the host may have a network of the same numbers. */
function isGuests(destination: IpAddress, { links }: Pick<GatewayConfig, "links">): boolean {
  if (links === undefined) return false;
  for (let i = 0; i < links.length; i++) {
    if (inPrefix(destination, links[i]!.address, links[i]!.prefixLength)) return true;
  }
  return false;
}

/** Whether nobody on a wire can be `source` (RFC 1812 section 5.3.7, martian addresses): nothing is relayed for it. */
export function isMartian(source: IpAddress): boolean {
  const denial = specialOf(source);
  return denial !== undefined && denial !== "link-local";
}
