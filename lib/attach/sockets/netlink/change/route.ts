/**
 * RTM_NEWROUTE and RTM_DELROUTE: what `ip route add|append|change|replace|del|flush` asks for (`fib_table_insert`,
 * `ip6_route_add` and their opposites).
 *
 * There is the table `main` with routes to hosts and networks by one next hop. Other tables, kinds of routes, several next
 * hops, metrics and encapsulation are refused.
 *
 * @module
 */

import { AF } from "../../../../host/constants.ts";
import { Errno } from "../../../../host/errno.ts";
import type { Nic } from "../../../../stack/nic.ts";
import { prefixOf, type Route, type RouteSpec } from "../../../../stack/ip/routes.ts";
import type { RouteProtocol } from "../../../../stack/facts.ts";
import { ANY4, ANY6, type IpAddress } from "../../../../stack/wire/address.ts";
import { NLM_F, RT_SCOPE, RT_TABLE, RTA, RTN, RTN_MAX, RTNH_F_ONLINK, RTPROT } from "../numbers.ts";
import { type Attribute, Refusal, type Request } from "../request.ts";
import { METRIC_V6, METRIC_V6_KERNEL, RTMSG } from "../route.ts";
import { type ChangeableNetwork, fixed, full, MAX_ROUTES, nicAt, unsupported } from "./network.ts";

/** Attributes whose meaning the stack cannot carry out, and must not pretend to. */
const UNKNOWN: readonly (readonly [type: number, name: string])[] = [
  [RTA.SRC, "routes by source"],
  [RTA.METRICS, "metrics of routes"],
  [RTA.MULTIPATH, "several next hops"],
  [RTA.VIA, "next hops of another family"],
  [RTA.ENCAP, "encapsulation"],
  [RTA.NH_ID, "next hop objects"],
];

/** What both requests say. */
interface RouteRequest {
  readonly destination: IpAddress;
  readonly prefixLength: number;
  readonly table: number;
  readonly gateway: IpAddress | undefined;
  readonly source: IpAddress | undefined;
  /** Index of an interface, or 0. */
  readonly index: number;
  /** 0: not said. */
  readonly metric: number;
  /** `RTPROT_…`, `RT_SCOPE_…`, `RTN_…` */
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
}

function read(request: Request): RouteRequest | Refusal {
  const { family } = request;
  const v4 = family === AF.INET;
  if (!v4 && family !== AF.INET6) return new Refusal(Errno.EOPNOTSUPP);
  if (request.length < RTMSG) return new Refusal(Errno.EINVAL);
  const attributes = request.attributes(RTMSG);
  const address = (attribute: Attribute | undefined) => {
    const found = request.addressOf(attribute);
    return found !== undefined && (found.family === 4) === v4 ? found : undefined;
  };
  const prefixLength = request.u8(1);
  if (prefixLength > (v4 ? 32 : 128)) return new Refusal(Errno.EINVAL, v4 ? "Invalid prefix length" : "");
  const named = attributes.get(RTA.DST);
  const destination = named === undefined ? (v4 ? ANY4 : ANY6) : address(named);
  if (destination === undefined) return new Refusal(Errno.EINVAL);
  if (v4 && !prefixOf(destination, prefixLength).equals(destination)) {
    return new Refusal(Errno.EINVAL, "Invalid prefix for given prefix length");
  }
  for (const [type, name] of UNKNOWN) if (attributes.has(type)) return unsupported(`no ${name}`);
  return {
    destination: prefixOf(destination, prefixLength),
    prefixLength,
    table: request.wordOf(attributes.get(RTA.TABLE)) ?? (request.u8(4) || RT_TABLE.MAIN),
    gateway: address(attributes.get(RTA.GATEWAY)),
    source: address(attributes.get(RTA.PREFSRC)),
    index: request.wordOf(attributes.get(RTA.OIF)) ?? 0,
    metric: request.wordOf(attributes.get(RTA.PRIORITY)) ?? 0,
    protocol: request.u8(5),
    scope: request.u8(6),
    type: request.u8(7),
    flags: request.u32(8),
  };
}

/** Carries out RTM_NEWROUTE. */
export function newRoute(request: Request, network: ChangeableNetwork): Refusal | undefined {
  const asked = read(request);
  if (asked instanceof Refusal) return asked;
  const { scope, type, table, protocol } = asked;
  if (type > RTN_MAX) return new Refusal(Errno.EINVAL, "Invalid route type");
  if (asked.destination.family === 4 && scope === RT_SCOPE.nowhere) {
    return new Refusal(Errno.EINVAL, "Invalid scope");
  }
  if (type !== RTN.UNICAST) return unsupported("routes lead somewhere: unicast is the only kind");
  if (table !== RT_TABLE.MAIN) return unsupported("the only table is main");
  return addRoute(network, { ...asked, protocol: protocolNamed(protocol) }, request.flags);
}

/** What the stack calls `RTPROT_…`. */
function protocolNamed(number: number): RouteProtocol {
  for (const [name, value] of Object.entries(RTPROT)) {
    if (value === number && name !== "unspec") return name as RouteProtocol;
  }
  return `${number}`;
}

/** A route to make. */
export interface NewRoute extends Pick<RouteRequest, "destination" | "prefixLength" | "gateway" | "source"> {
  /** Index of an interface; 0: whichever leads to the gateway. */
  readonly index: number;
  readonly metric: number;
  readonly protocol: RouteProtocol;
  /** `RTNH_F_…` */
  readonly flags: number;
}

/** Makes a route; `flags` are those of a netlink request (`NLM_F.CREATE` and its like). */
export function addRoute(network: ChangeableNetwork, asked: NewRoute, flags: number): Refusal | undefined {
  const { stack } = network;
  const { destination, prefixLength, gateway, source, protocol, metric } = asked;
  const v4 = destination.family === 4;
  const nic = outgoing(network, asked);
  if (nic instanceof Refusal) return nic;
  if (source !== undefined && !stack.owns(source)) {
    return new Refusal(Errno.EINVAL, v4 ? "Invalid prefsrc address" : "Invalid source address");
  }
  const held = fixed(network, nic);
  if (held !== undefined) return held;
  const rivals = stack.routes.all().filter((route) =>
    route.prefixLength === prefixLength && route.destination.equals(destination) && !isHidden(route) &&
    metricOf(route) === (v4 ? metric : metric || METRIC_V6)
  );
  const [first] = rivals;
  if (first === undefined && (flags & NLM_F.CREATE) === 0) {
    return new Refusal(Errno.ENOENT, v4 ? "" : "Can not replace route - no match found");
  }
  const same = rivals.find((route) =>
    route.nic === nic && sameAddress(route.gateway, gateway) && sameAddress(route.source, source) &&
    route.protocol === protocol
  );
  if (first !== undefined) {
    if ((flags & NLM_F.EXCL) !== 0) return new Refusal(Errno.EEXIST);
    if (same !== undefined) {
      return (flags & NLM_F.REPLACE) !== 0 && same === first ? undefined : new Refusal(Errno.EEXIST);
    }
  }
  if ((flags & NLM_F.REPLACE) !== 0 && first !== undefined) stack.routes.remove(first);
  if (stack.routes.size >= MAX_ROUTES) return full(network, "routes");
  const spec: RouteSpec = {
    destination,
    prefixLength,
    nic,
    metric,
    protocol,
    ...(gateway && { gateway }),
    ...(source && { source }),
  };
  stack.routes.add(spec, v4 && (flags & NLM_F.APPEND) === 0);
  return undefined;
}

/** The interface that a route leads to; the gateway must be on its link (`fib_check_nh`, `ip6_route_check_nh`). */
function outgoing(network: ChangeableNetwork, asked: NewRoute): Nic | Refusal {
  const { gateway, index, flags, destination } = asked;
  const v4 = destination.family === 4;
  const named = index === 0 ? undefined : nicAt(network, index);
  if (index !== 0 && named === undefined) return new Refusal(Errno.ENODEV);
  if (gateway === undefined || gateway.isUnspecified()) {
    if (named === undefined) return new Refusal(Errno.ENODEV);
    return named.closed ? new Refusal(Errno.ENETDOWN, "Device for nexthop is not up") : named;
  }
  if (!v4 && (gateway.isMulticast() || gateway.isLoopback())) {
    return new Refusal(Errno.EINVAL, "Invalid gateway address");
  }
  if (!v4 && network.stack.owns(gateway)) {
    return new Refusal(Errno.EINVAL, "Gateway can not be a local address");
  }
  if (gateway.family === 6 && gateway.isLinkLocal()) {
    return named ?? new Refusal(Errno.EINVAL, "Egress device not specified");
  }
  if (named?.closed) return new Refusal(Errno.ENETDOWN, "Nexthop device is not up");
  if (named !== undefined && (flags & RTNH_F_ONLINK) !== 0) return named;
  const found = network.stack.routes.lookup(gateway, named);
  if (found === undefined || found.gateway !== undefined) {
    return v4
      ? new Refusal(Errno.ENETUNREACH, "Nexthop has invalid gateway")
      : new Refusal(Errno.EHOSTUNREACH);
  }
  return found.nic;
}

function sameAddress(a: IpAddress | undefined, b: IpAddress | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}

/** The metric as Linux tells it: IPv6 knows no 0. */
function metricOf({ metric, destination, protocol }: Route): number {
  if (metric !== 0 || destination.family === 4) return metric;
  return protocol === "kernel" ? METRIC_V6_KERNEL : METRIC_V6;
}

/** Linux has these in the table `local`, where they come and go with addresses. */
function isHidden({ protocol, prefixLength, destination, nic }: Route): boolean {
  return protocol === "kernel" &&
    (nic.kind === "loopback" || (destination.family === 4 && prefixLength === 32));
}

/** Carries out RTM_DELROUTE. */
export function deleteRoute(request: Request, network: ChangeableNetwork): Refusal | undefined {
  const asked = read(request);
  if (asked instanceof Refusal) return asked;
  const { type, table, protocol } = asked;
  if (table === RT_TABLE.LOCAL) return unsupported("routes of the table local come and go with addresses");
  if (table !== RT_TABLE.MAIN) return new Refusal(Errno.ESRCH, "FIB table does not exist");
  if (type !== 0 && type !== RTN.UNICAST) return new Refusal(Errno.ESRCH);
  return removeRoute(network, {
    ...asked,
    protocol: protocol === 0 ? undefined : protocolNamed(protocol),
  });
}

/** Which route to take away; what is undefined or 0 does not matter. */
export interface DoomedRoute extends Pick<NewRoute, "destination" | "prefixLength" | "gateway"> {
  readonly source?: IpAddress | undefined;
  readonly index?: number;
  readonly metric?: number;
  readonly protocol?: RouteProtocol | undefined;
}

/** Takes away the first route that is as described. */
export function removeRoute(network: ChangeableNetwork, asked: DoomedRoute): Refusal | undefined {
  const { routes } = network.stack;
  const { destination, prefixLength, gateway, source, index = 0, metric = 0, protocol } = asked;
  const found = routes.all().find((route) =>
    route.prefixLength === prefixLength && route.destination.equals(destination) && !isHidden(route) &&
    (gateway === undefined || sameAddress(route.gateway, gateway)) &&
    (source === undefined || sameAddress(route.source, source)) &&
    (index === 0 || route.nic.index === index) && (metric === 0 || metricOf(route) === metric) &&
    (protocol === undefined || route.protocol === protocol)
  );
  if (found === undefined) return new Refusal(Errno.ESRCH);
  const held = fixed(network, found.nic);
  if (held !== undefined) return held;
  // Several addresses of one network have one route of the kernel's, and ours one each.
  routes.removeWhere((route) =>
    route === found ||
    (found.protocol === "kernel" && route.protocol === "kernel" && route.nic === found.nic &&
      route.prefixLength === prefixLength && route.destination.equals(destination) &&
      metricOf(route) === metricOf(found))
  );
  return undefined;
}
