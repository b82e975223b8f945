/**
 * What belongs to which network of one guest. DHCP can give routes (RFC 3442) and prefixes that are more specific than
 * another network's, and so take its traffic. Networks are in the order of the user's trust, so what a later one says counts
 * only as far as it leaves alone what earlier ones have: the prefixes on their links and the routes that they gave, their
 * gateways and resolvers, and everything, where one of them is the way to it.
 *
 * Two networks may have one and the same prefix, as two instances of one program have by default; the earlier has it then.
 *
 * @module
 */

import { inPrefix } from "../../stack/ip/routes.ts";
import type { IpAddress } from "../../stack/wire/address.ts";

/** A route from a later network that is shorter is one to everywhere. */
const SHORTEST = 8;

/** Some destinations. */
export interface Prefix {
  /** Any address of the prefix. */
  readonly destination: IpAddress;
  readonly prefixLength: number;
}

/** What is known of a network. */
export interface Territory {
  readonly name: string;
  /** On its link, or reached by routes that it gave. */
  readonly prefixes: readonly Prefix[];
  /** Its default gateways, one of a family. */
  readonly gateways: readonly IpAddress[];
  readonly resolvers: readonly IpAddress[];
}

/** Whose territory `prefix` would take; `equal`: it may be the same as one of theirs. */
export function trespass(
  prefix: Prefix,
  earlier: readonly Territory[],
  equal = false,
): Territory | undefined {
  return earlier.find((one) =>
    one.prefixes.some((own) =>
      isWithin(prefix, own) && !(equal && own.prefixLength === prefix.prefixLength)
    ) ||
    hostsOf(one).some((host) => isWithin(prefix, alone(host))) ||
    (prefix.prefixLength < SHORTEST &&
      one.gateways.some(({ family }) => family === prefix.destination.family))
  );
}

/** Whether one of them has the very same prefix. */
export function isShared(prefix: Prefix, earlier: readonly Territory[]): boolean {
  return earlier.some(({ prefixes }) =>
    prefixes.some((own) => own.prefixLength === prefix.prefixLength && isWithin(prefix, own))
  );
}

/** Whose gateway or resolver an address is. */
export function impersonates(address: IpAddress, earlier: readonly Territory[]): Territory | undefined {
  return earlier.find((one) => hostsOf(one).some((host) => host.equals(address)));
}

/** Gateways and resolvers that are on no link of their network, and that a prefix of a later one would lead astray. */
export function astray(own: Territory, later: readonly Territory[]): IpAddress[] {
  const isIn = (host: IpAddress, { prefixes }: Territory) =>
    prefixes.some(({ destination, prefixLength }) => inPrefix(host, destination, prefixLength));
  return hostsOf(own).filter((host) => !isIn(host, own) && later.some((other) => isIn(host, other)));
}

/** The prefix of one host. */
export function alone(host: IpAddress): Prefix {
  return { destination: host, prefixLength: host.family === 4 ? 32 : 128 };
}

function hostsOf({ gateways, resolvers }: Territory): readonly IpAddress[] {
  return [...gateways, ...resolvers];
}

function isWithin(prefix: Prefix, own: Prefix): boolean {
  return prefix.prefixLength >= own.prefixLength &&
    inPrefix(prefix.destination, own.destination, own.prefixLength);
}
