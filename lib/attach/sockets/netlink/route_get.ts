/**
 * RTM_GETROUTE for one destination: `ip route get` (`inet_rtm_getroute`, `inet6_rtm_getroute`).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { inPrefix } from "../../../stack/ip/routes.ts";
import { selectSource } from "../../../stack/ip/source_address.ts";
import { ANY4, ANY6, IpAddress } from "../../../stack/wire/address.ts";
import { RT_SCOPE, RT_TABLE, RTA, RTCF, RTM, RTM_F, RTN, RTPROT } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { Refusal, type Request } from "./request.ts";
import { type KernelRoute, kernelRoutes, RTMSG, writeRoute } from "./route.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** Index of the loopback interface. */
const LOOPBACK = 1;

/** The route to one address. */
export function getRoute(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  const { family } = request;
  if (family !== AF.INET && family !== AF.INET6) return new Refusal(Errno.EOPNOTSUPP);
  const v4 = family === AF.INET;
  const who = v4 ? "ipv4" : "ipv6";
  if (request.length < RTMSG) {
    return new Refusal(Errno.EINVAL, `${who}: Invalid header for get route request`);
  }
  const flags = request.u32(8);
  const allowed = v4 ? RTM_F.LOOKUP_TABLE | RTM_F.FIB_MATCH : RTM_F.FIB_MATCH;
  if (request.asker.strict && (flags & ~allowed) !== 0) {
    return new Refusal(Errno.EINVAL, `${who}: Invalid flags for get route request`);
  }
  const attributes = request.attributes(RTMSG);
  const bits = v4 ? 4 : 16;
  for (const type of [RTA.DST, RTA.SRC]) {
    if ((attributes.get(type)?.length ?? bits) < bits) return new Refusal(Errno.EINVAL);
  }
  const destination = request.addressOf(attributes.get(RTA.DST)) ?? (v4 ? ANY4 : ANY6);
  const asked = request.addressOf(attributes.get(RTA.SRC));
  const index = request.wordOf(attributes.get(RTA.OIF)) ?? 0;
  if (index !== 0 && !facts.nics.some((nic) => nic.index === index)) return new Refusal(Errno.ENODEV);
  if (asked !== undefined && !asked.isUnspecified() && !owned(facts, asked)) {
    return new Refusal(v4 ? Errno.ENETUNREACH : Errno.EINVAL);
  }
  const route = lookup(facts, destination, index);
  if (route === undefined) return new Refusal(Errno.ENETUNREACH);
  if ((flags & RTM_F.FIB_MATCH) !== 0) {
    // Without rules of its own the kernel keeps both IPv4 tables in one.
    writeRoute(request, v4 ? { ...route, table: RT_TABLE.MAIN } : route, 0, out);
    return undefined;
  }
  const source = route.source ?? sourceFor(facts, route, destination);
  writeAnswer(request, { ...route, destination, source }, { asked, index }, out);
  return undefined;
}

function owned(facts: NetworkFacts, address: IpAddress): boolean {
  if (address.family === 4 && address.isLoopback()) return true;
  const text = address.toString();
  return facts.nics.some((nic) => nic.addresses.some(({ local }) => local === text));
}

/** Longest prefix first, then the lowest metric; the table `local` before `main`. */
function lookup(facts: NetworkFacts, destination: IpAddress, index: number): KernelRoute | undefined {
  // 0.0.0.0 is this host (RFC 1122 section 3.2.1.3), and so is :: to Linux.
  const wanted = !destination.isUnspecified()
    ? destination
    : destination.family === 4
    ? IpAddress.v4(0x7f000001)
    : new IpAddress(6, 0, 0, 0, 1);
  let best: KernelRoute | undefined;
  for (const route of kernelRoutes(facts, wanted.family)) {
    if (!inPrefix(wanted, route.destination, route.prefixLength)) continue;
    const local = route.table === RT_TABLE.LOCAL;
    if (index !== 0 && route.index !== index && !(local && route.type === RTN.LOCAL)) continue;
    if (best === undefined || preferred(route, best)) best = route;
  }
  const group = wanted.isMulticast() || wanted.isLimitedBroadcast();
  if (wanted.family !== 4 || !group) return best;
  // IPv4 groups and 255.255.255.255 have no routes of their own: they go where the default route goes.
  const nic = facts.nics.find((one) => one.index === (index || (best?.index ?? 2)));
  if (nic === undefined) return undefined;
  return {
    destination: wanted,
    prefixLength: 32,
    table: RT_TABLE.MAIN,
    protocol: RTPROT.unspec,
    scope: RT_SCOPE.global,
    type: wanted.isMulticast() ? RTN.MULTICAST : RTN.BROADCAST,
    index: nic.index,
    metric: 0,
  };
}

function preferred(a: KernelRoute, b: KernelRoute): boolean {
  if (a.table !== b.table) return a.table === RT_TABLE.LOCAL;
  return a.prefixLength !== b.prefixLength ? a.prefixLength > b.prefixLength : a.metric < b.metric;
}

/** The source address that the stack would choose (RFC 6724). */
function sourceFor(facts: NetworkFacts, route: KernelRoute, destination: IpAddress): IpAddress | undefined {
  if (route.type === RTN.LOCAL) return destination;
  const nic = facts.nics.find(({ index }) => index === route.index);
  const addresses = (nic?.addresses ?? []).flatMap(({ local, prefixLength, scope }) => {
    const address = IpAddress.parse(local);
    return address === undefined ? [] : [{ address, prefixLength, scope }];
  });
  return selectSource(route.gateway ?? destination, addresses);
}

/** `rt_fill_info`, `rt6_fill_node` */
function writeAnswer(
  request: Request,
  route: KernelRoute,
  { asked, index }: { asked: IpAddress | undefined; index: number },
  out: ReplyWriter,
): void {
  const { destination, gateway, source, type } = route;
  const v4 = destination.family === 4;
  const at = out.begin(RTM.NEWROUTE, 0, request.sequence, request.asker.port, RTMSG);
  const { view } = out;
  view.setUint8(at, v4 ? AF.INET : AF.INET6);
  view.setUint8(at + 1, v4 ? 32 : 128);
  view.setUint8(at + 2, v4 ? (asked === undefined ? 0 : 32) : 128);
  view.setUint8(at + 4, v4 ? RT_TABLE.MAIN : route.table);
  view.setUint8(at + 5, v4 ? RTPROT.unspec : route.protocol);
  view.setUint8(at + 7, type);
  if (v4) view.setUint32(at + 8, (RTM_F.CLONED | flagsOf(type)) >>> 0, true);
  out.u32(RTA.TABLE, v4 ? RT_TABLE.MAIN : route.table);
  out.address(RTA.DST, destination);
  if (asked !== undefined) out.address(RTA.SRC, asked);
  else if (!v4) out.address(RTA.SRC, ANY6);
  // What is local is reached over the loopback, whatever interface has it.
  const device = type === RTN.LOCAL ? LOOPBACK : route.index;
  if (v4) {
    out.u32(RTA.OIF, device);
    if (source !== undefined && asked === undefined) out.address(RTA.PREFSRC, source);
    if (gateway !== undefined) out.address(RTA.GATEWAY, gateway);
    out.u32(RTA.UID, request.asker.uid);
    out.zeros(RTA.CACHEINFO, 32);
  } else {
    if (source !== undefined) out.address(RTA.PREFSRC, source);
    out.u32(RTA.PRIORITY, route.metric);
    if (gateway !== undefined) out.address(RTA.GATEWAY, gateway);
    out.u32(RTA.OIF, index !== 0 && type !== RTN.LOCAL ? index : device);
    out.zeros(RTA.CACHEINFO, 32);
    out.u8(RTA.PREF, 0);
  }
  out.end();
}

/** `RTCF_…`: what kind of destination it is. Linux hears its own broadcasts and groups. */
function flagsOf(type: number): number {
  switch (type) {
    case RTN.LOCAL:
      return RTCF.LOCAL;
    case RTN.BROADCAST:
      return RTCF.LOCAL | RTCF.BROADCAST;
    case RTN.MULTICAST:
      return RTCF.LOCAL | RTCF.MULTICAST;
    default:
      return 0;
  }
}
