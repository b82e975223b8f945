/**
 * Routes as `ip -j route` prints them.
 *
 * @module
 */

import type { RouteFacts } from "../../engine/messages.ts";
import { compareRoutes } from "./order.ts";

/** One element of `ip -j route`. */
export interface RouteJson {
  /** `default`, a host's address, or `address/length`. */
  readonly dst: string;
  readonly gateway?: string;
  readonly dev: string;
  readonly protocol: RouteFacts["protocol"];
  /** IPv4 only, and only if it is not `global`. */
  readonly scope?: RouteFacts["scope"];
  readonly prefsrc?: string;
  readonly metric?: number;
  readonly flags: readonly string[];
  /** IPv6 only: RFC 4191's router preference. */
  readonly pref?: "medium";
}

/** Linux has no IPv6 metric 0: it reads 0 as `IP6_RT_PRIO_USER`, or `IP6_RT_PRIO_ADDRCONF` for the kernel's own. */
const METRIC_V6 = 1024, METRIC_V6_KERNEL = 256;

/** The main table of one family, in the kernel's order. `ip route` without a family means IPv4. */
export function routesJson(routes: readonly RouteFacts[], family: 4 | 6 = 4): RouteJson[] {
  const table = routes.filter((route) => route.family === family && !isLocal(route)).filter(isFirst);
  return table.sort(compareRoutes).map(routeJson);
}

/** The table `local`, which `ip route` does not show: what leads to the loopback interface, or to one address of ours. */
function isLocal({ protocol, scope, family, destination }: RouteFacts): boolean {
  return protocol === "kernel" && (scope === "host" || (family === 4 && destination.endsWith("/32")));
}

/** A network has one route of the kernel's, by its first address; the others are secondary. */
function isFirst(route: RouteFacts, at: number, all: readonly RouteFacts[]): boolean {
  const isAlike = ({ protocol, destination, device, metric }: RouteFacts) =>
    protocol === "kernel" && destination === route.destination && device === route.device &&
    metric === route.metric;
  return route.protocol !== "kernel" || at === all.findIndex(isAlike);
}

/** One route. */
export function routeJson(route: RouteFacts): RouteJson {
  const v6 = route.family === 6;
  const metric = v6 && route.metric === 0
    ? (route.protocol === "kernel" ? METRIC_V6_KERNEL : METRIC_V6)
    : route.metric;
  return {
    dst: route.destination.replace(v6 ? /\/128$/ : /\/32$/, ""),
    ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
    dev: route.device,
    protocol: route.protocol,
    ...(v6 || route.scope === "global" ? {} : { scope: route.scope }),
    // The kernel's own IPv6 routes prefer no source: RFC 6724 chooses.
    ...(route.source === undefined || (v6 && route.protocol === "kernel") ? {} : { prefsrc: route.source }),
    ...(metric === 0 ? {} : { metric }),
    flags: [],
    ...(v6 ? { pref: "medium" } : {}),
  };
}
