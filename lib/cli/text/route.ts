/**
 * Routes and neighbours as `ip route` and `ip neigh` print them.
 *
 * @module
 */

import type { NeighbourJson } from "../../control/render/neighbour.ts";
import type { RouteJson } from "../../control/render/route.ts";

/** `default via 10.0.2.2 dev eth0 proto static`, a line each. */
export function formatRoutes(routes: readonly RouteJson[]): string {
  return lines(routes.map((route) => [
    route.dst,
    ...word("via", route.gateway),
    ...word("dev", route.dev),
    ...word("proto", route.protocol),
    ...word("scope", route.scope),
    ...word("src", route.prefsrc),
    ...word("metric", route.metric),
    ...word("pref", route.pref),
  ]));
}

/** `10.0.2.2 dev eth0 lladdr 02:aa:bb:cc:dd:ee REACHABLE`, a line each. */
export function formatNeighbours(neighbours: readonly NeighbourJson[]): string {
  return lines(neighbours.map((neighbour) => [
    neighbour.dst,
    ...word("dev", neighbour.dev),
    ...word("lladdr", neighbour.lladdr),
    ...("router" in neighbour ? ["router"] : []),
    ...neighbour.state,
  ]));
}

function word(name: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [name, String(value)];
}

function lines(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.join(" ")}\n`).join("");
}
