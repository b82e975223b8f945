/**
 * Neighbours as `ip -j neigh` prints them.
 *
 * @module
 */

import type { NeighbourFacts } from "../../engine/messages.ts";

/** One element of `ip -j neigh`. */
export interface NeighbourJson {
  readonly dst: string;
  readonly dev: string;
  readonly lladdr?: string;
  /** Present, and null, for an IPv6 router (RFC 4861 section 6.3.4): iproute2's way to print a flag. */
  readonly router?: null;
  readonly state: readonly NeighbourFacts["state"][];
}

/** The neighbours of both families, IPv4 first, or of one. */
export function neighboursJson(neighbours: readonly NeighbourFacts[], family?: 4 | 6): NeighbourJson[] {
  const v4 = neighbours.filter((neighbour) => !neighbour.address.includes(":"));
  const v6 = neighbours.filter((neighbour) => neighbour.address.includes(":"));
  return [...(family === 6 ? [] : v4), ...(family === 4 ? [] : v6)].map((neighbour) => ({
    dst: neighbour.address,
    dev: neighbour.device,
    ...(neighbour.mac === undefined ? {} : { lladdr: neighbour.mac }),
    ...(neighbour.router ? { router: null } : {}),
    state: [neighbour.state],
  }));
}
