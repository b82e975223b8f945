/**
 * RTM_GETROUTE, dumps: the tables `main` and `local` (`inet_dump_fib`, `inet6_dump_fib`).
 *
 * The stack has one table. What it does by itself (its own addresses, broadcasts, groups) Linux keeps as routes of the table
 * `local`, which are derived here from the addresses.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { NicFacts, RouteFacts } from "../../../stack/facts.ts";
import { prefixOf } from "../../../stack/ip/routes.ts";
import { ANY4, ANY6, IpAddress } from "../../../stack/wire/address.ts";
import { primaryOf } from "./address.ts";
import { RT_SCOPE, RT_TABLE, RTA, RTM, RTN, RTPROT } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { type Envelope, Refusal, type Request } from "./request.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** Bytes of `struct rtmsg`. */
export const RTMSG = 12;
/** Linux has no IPv6 metric 0: it reads 0 as `IP6_RT_PRIO_USER`, or `IP6_RT_PRIO_ADDRCONF` for the kernel's own. */
export const METRIC_V6 = 1_024, METRIC_V6_KERNEL = 256;
const GROUPS_V6 = new IpAddress(6, 0xff000000 | 0, 0, 0, 0);

/** A route as Linux would have it. */
export interface KernelRoute {
  readonly destination: IpAddress;
  readonly prefixLength: number;
  readonly table: number;
  /** `RTPROT_…`, `RT_SCOPE_…`, `RTN_…` */
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly index: number;
  readonly metric: number;
  readonly gateway?: IpAddress | undefined;
  readonly source?: IpAddress | undefined;
}

/** The routes of one family: table `main`, then table `local`, each in the order of the kernel's dump. */
export function kernelRoutes(facts: NetworkFacts, family: 4 | 6): KernelRoute[] {
  const main: KernelRoute[] = [];
  for (const route of facts.routes) {
    if (route.family !== family || isLocal(route)) continue;
    const made = mainRoute(route, facts);
    // A network has one route of the kernel's, by its first address.
    if (made !== undefined && !main.some((other) => alike(other, made))) main.push(made);
  }
  const local = facts.nics.flatMap((nic) => family === 4 ? localV4(nic) : localV6(nic));
  return [...main.sort(order), ...local.sort(order)];
}

/** What Linux keeps in the table `local`: what leads to the loopback interface, or to one address of ours. */
function isLocal({ protocol, scope, family, destination }: RouteFacts): boolean {
  return protocol === "kernel" && (scope === "host" || (family === 4 && destination.endsWith("/32")));
}

function mainRoute(route: RouteFacts, facts: NetworkFacts): KernelRoute | undefined {
  const v6 = route.family === 6;
  const [text, bits] = route.destination.split("/");
  const everything = route.destination === "default";
  const destination = everything ? (v6 ? ANY6 : ANY4) : IpAddress.parse(text!);
  const nic = facts.nics.find(({ name }) => name === route.device);
  if (destination === undefined || nic === undefined) return undefined;
  const parsed = (address: string | undefined) =>
    address === undefined ? undefined : IpAddress.parse(address);
  return {
    destination,
    prefixLength: everything ? 0 : Number(bits),
    table: RT_TABLE.MAIN,
    protocol: protocolNumber(route.protocol),
    scope: v6 ? RT_SCOPE.global : RT_SCOPE[route.scope],
    type: RTN.UNICAST,
    index: nic.index,
    metric: v6 && route.metric === 0
      ? (route.protocol === "kernel" ? METRIC_V6_KERNEL : METRIC_V6)
      : route.metric,
    gateway: parsed(route.gateway),
    // The kernel's own IPv6 routes prefer no source: RFC 6724 chooses.
    source: v6 && route.protocol === "kernel" ? undefined : parsed(route.source),
  };
}

/** `RTPROT_…`; those without a name here are told by number. */
function protocolNumber(protocol: RouteFacts["protocol"]): number {
  return protocol in RTPROT ? RTPROT[protocol as keyof typeof RTPROT] : Number(protocol) & 0xff;
}

const LOCAL = { table: RT_TABLE.LOCAL, protocol: RTPROT.kernel, metric: 0 } as const;

function localV4(nic: NicFacts): KernelRoute[] {
  const routes: KernelRoute[] = [];
  for (const entry of nic.addresses) {
    const source = entry.family === 4 ? IpAddress.parse(entry.local) : undefined;
    if (source === undefined) continue;
    const first = primaryOf(nic, entry);
    const base = { ...LOCAL, index: nic.index, source: IpAddress.parse(first.local) };
    const own = { ...base, type: RTN.LOCAL, scope: RT_SCOPE.host };
    routes.push({ ...own, destination: source, prefixLength: 32 });
    if (first !== entry) continue;
    const { prefixLength } = entry;
    if (nic.kind === "loopback" && prefixLength < 32) {
      routes.push({ ...own, destination: prefixOf(source, prefixLength), prefixLength });
    }
    if (prefixLength > 30 || !nic.up) continue;
    const last = IpAddress.v4(source.d | (0xffffffff >>> prefixLength));
    routes.push({
      ...base,
      destination: last,
      prefixLength: 32,
      type: RTN.BROADCAST,
      scope: RT_SCOPE.link,
    });
  }
  return routes;
}

function localV6(nic: NicFacts): KernelRoute[] {
  const routes: KernelRoute[] = [];
  const base = { ...LOCAL, index: nic.index, scope: RT_SCOPE.global };
  for (const entry of nic.addresses) {
    const destination = entry.family === 6 ? IpAddress.parse(entry.local) : undefined;
    if (destination !== undefined) routes.push({ ...base, destination, prefixLength: 128, type: RTN.LOCAL });
  }
  if (routes.length > 0 && nic.kind !== "loopback" && nic.up) {
    routes.push({ ...base, destination: GROUPS_V6, prefixLength: 8, type: RTN.MULTICAST, metric: 256 });
  }
  return routes;
}

function alike(a: KernelRoute, b: KernelRoute): boolean {
  return a.protocol === RTPROT.kernel && b.protocol === RTPROT.kernel && a.index === b.index &&
    a.prefixLength === b.prefixLength && a.metric === b.metric && a.destination.equals(b.destination);
}

/** By address, shorter prefixes first; of IPv6 the default route last, as its tree is walked. */
function order(a: KernelRoute, b: KernelRoute): number {
  if (a.destination.family === 6 && (a.prefixLength === 0) !== (b.prefixLength === 0)) {
    return a.prefixLength === 0 ? 1 : -1;
  }
  for (const word of ["a", "b", "c", "d"] as const) {
    const difference = (a.destination[word] >>> 0) - (b.destination[word] >>> 0);
    if (difference !== 0) return difference;
  }
  return a.prefixLength - b.prefixLength || a.metric - b.metric;
}

/** Both tables, or what a strict request asks for. */
export function dumpRoutes(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  const { family, asker } = request;
  const attributes = request.attributes(RTMSG);
  let table: number | undefined;
  let index: number | undefined;
  if (asker.strict) {
    if (request.length < RTMSG) return new Refusal(Errno.EINVAL, "Invalid header for FIB dump request");
    if ((request.u8(1) | request.u8(2) | request.u8(3)) !== 0) {
      return new Refusal(Errno.EINVAL, "Invalid values in header for FIB dump request");
    }
    table = request.wordOf(attributes.get(RTA.TABLE)) ?? (request.u8(4) || undefined);
    index = request.wordOf(attributes.get(RTA.OIF));
    if (index !== undefined && !facts.nics.some((nic) => nic.index === index)) {
      return new Refusal(Errno.ENODEV);
    }
    request.filtered = table !== undefined || index !== undefined || request.u8(5) !== 0 ||
      request.u8(7) !== 0;
    request.endFiltered = request.filtered;
    const known = table === undefined || table === RT_TABLE.MAIN || table === RT_TABLE.LOCAL;
    // Of all families a table that is not there is just empty.
    if (!known && (family === AF.INET || family === AF.INET6)) {
      return new Refusal(
        Errno.ENOENT,
        family === AF.INET ? "ipv4: FIB table does not exist" : "ipv6: FIB table does not exist",
      );
    }
  }
  const protocol = asker.strict ? request.u8(5) : 0, type = asker.strict ? request.u8(7) : 0;
  for (const version of [4, 6] as const) {
    if (family === (version === 4 ? AF.INET6 : AF.INET)) continue;
    for (const route of kernelRoutes(facts, version)) {
      if (table !== undefined && route.table !== table) continue;
      if (index !== undefined && route.index !== index) continue;
      if ((protocol !== 0 && route.protocol !== protocol) || (type !== 0 && route.type !== type)) continue;
      writeRoute(request, route, request.dumpFlags, out);
    }
  }
  return undefined;
}

/** One route of a table; `type` is RTM_NEWROUTE or RTM_DELROUTE (`fib_dump_info`, `rt6_fill_node`). */
export function writeRoute(
  { sequence, port }: Envelope,
  route: KernelRoute,
  flags: number,
  out: ReplyWriter,
  type: number = RTM.NEWROUTE,
): void {
  const { destination, gateway, source } = route;
  const v4 = destination.family === 4;
  const at = out.begin(type, flags, sequence, port, RTMSG);
  out.view.setUint8(at, v4 ? AF.INET : AF.INET6);
  out.view.setUint8(at + 1, route.prefixLength);
  out.view.setUint8(at + 4, route.table);
  out.view.setUint8(at + 5, route.protocol);
  out.view.setUint8(at + 6, route.scope);
  out.view.setUint8(at + 7, route.type);
  out.u32(RTA.TABLE, route.table);
  if (route.prefixLength > 0) out.address(RTA.DST, destination);
  if (v4) {
    if (route.metric !== 0) out.u32(RTA.PRIORITY, route.metric);
    if (source !== undefined) out.address(RTA.PREFSRC, source);
    if (gateway !== undefined) out.address(RTA.GATEWAY, gateway);
    out.u32(RTA.OIF, route.index);
  } else {
    if (source !== undefined) out.address(RTA.PREFSRC, source);
    out.u32(RTA.PRIORITY, route.metric);
    if (gateway !== undefined) out.address(RTA.GATEWAY, gateway);
    out.u32(RTA.OIF, route.index);
    out.zeros(RTA.CACHEINFO, 32);
    out.u8(RTA.PREF, 0);
  }
  out.end();
}
