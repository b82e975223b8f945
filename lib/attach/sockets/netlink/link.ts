/**
 * RTM_GETLINK: interfaces, in the attributes and the order of Linux 6.18 (`rtnl_fill_ifinfo`).
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { NicFacts } from "../../../stack/facts.ts";
import { inet6Configuration, perFamily } from "./link_families.ts";
import { ARPHRD, IFF, IFLA, IFLA_INFO_KIND, NLM_F, RTM } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { type Envelope, Refusal, type Request } from "./request.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** Bytes of `struct ifinfomsg`. */
export const IFINFOMSG = 16;
/** `RTEXT_FILTER_SKIP_STATS` */
const SKIP_STATS = 8;
/** `IF_OPER_…` (RFC 2863). */
const OPERSTATE = { unknown: 0, down: 2, up: 6 } as const;
/** What Linux gives every new interface. */
export const TX_QUEUE_LENGTH = 1_000;
/** `GSO_MAX_SEGS`, `GSO_LEGACY_MAX_SIZE`, and the loopback's `TSO_MAX_SIZE`. */
const GSO_MAX_SEGS = 65_535, GSO_MAX_SIZE = 65_536, TSO_MAX_SIZE = 524_280;
/** Smallest and largest MTU that our stack takes for an Ethernet device; the loopback's are 0, which says that there is none. */
export const MIN_MTU = 576, MAX_MTU = 65_535;

/** What `SIOCGIFFLAGS` and RTM_GETLINK tell of an interface: `IFF_…`. */
export function flagsOf(nic: NicFacts): number {
  const kind = nic.kind === "loopback"
    ? IFF.LOOPBACK
    : IFF.BROADCAST | (nic.dummy === true ? IFF.NOARP : IFF.MULTICAST);
  if (!nic.up) return kind;
  return nic.carrier === false ? kind | IFF.UP : kind | IFF.UP | IFF.RUNNING | IFF.LOWER_UP;
}

/** `ARPHRD_…` */
export function hardwareTypeOf(nic: NicFacts): number {
  return nic.kind === "loopback" ? ARPHRD.LOOPBACK : ARPHRD.ETHER;
}

/** Linux' names of the queueing disciplines. */
export const QDISC_NAMES = { none: "noqueue", fifo: "pfifo", tbf: "tbf" } as const;

/** All interfaces. */
export function dumpLinks(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  const invalid = invalidDump(request);
  if (invalid !== undefined) return invalid;
  const mask = request.wordOf(request.attributes(IFINFOMSG).get(IFLA.EXT_MASK)) ?? 0;
  for (const nic of facts.nics) writeLink(request, nic, NLM_F.MULTI, mask, out);
  return undefined;
}

/** One interface, by its index or its name. */
export function getLink(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  if (request.length < IFINFOMSG) return new Refusal(Errno.EINVAL);
  if (request.asker.strict && (request.u8(1) | request.u16(2) | request.u32(8) | request.u32(12)) !== 0) {
    return new Refusal(Errno.EINVAL, "Invalid values in header for get link request");
  }
  const attributes = request.attributes(IFINFOMSG);
  const index = request.u32(4) | 0;
  const name = request.textOf(attributes.get(IFLA.IFNAME) ?? attributes.get(IFLA.ALT_IFNAME));
  if (index <= 0 && name === undefined) return new Refusal(Errno.EINVAL);
  const nic = facts.nics.find((one) => index > 0 ? one.index === index : one.name === name);
  if (nic === undefined) return new Refusal(Errno.ENODEV);
  writeLink(request, nic, 0, request.wordOf(attributes.get(IFLA.EXT_MASK)) ?? 0, out);
  return undefined;
}

/** The links as IPv6 sees them: `ip -6 link` (`inet6_dump_ifinfo`). */
export function dumpInet6Links(request: Request, facts: NetworkFacts, out: ReplyWriter): Refusal | undefined {
  const invalid = invalidDump(request);
  if (invalid !== undefined) return invalid;
  for (const nic of facts.nics) {
    begin(request, nic, NLM_F.MULTI, AF.INET6, out);
    out.text(IFLA.IFNAME, nic.name);
    out.hardware(IFLA.ADDRESS, nic.mac);
    out.u32(IFLA.MTU, nic.mtu);
    out.u8(IFLA.OPERSTATE, operstate(nic));
    const nest = out.nest(IFLA.PROTINFO);
    inet6Configuration(nic, out, true);
    out.endNest(nest);
    out.end();
  }
  return undefined;
}

function invalidDump(request: Request): Refusal | undefined {
  if (!request.asker.strict) return undefined;
  if (request.length < IFINFOMSG) return new Refusal(Errno.EINVAL, "Invalid header for link dump");
  if ((request.u8(1) | request.u16(2) | request.u32(8) | request.u32(12)) !== 0) {
    return new Refusal(Errno.EINVAL, "Invalid values in header for link dump request");
  }
  return request.u32(4) === 0
    ? undefined
    : new Refusal(Errno.EINVAL, "Filter by device index not supported for link dumps");
}

function begin(
  { sequence, port }: Envelope,
  nic: NicFacts,
  flags: number,
  family: number,
  out: ReplyWriter,
  type: number = RTM.NEWLINK,
): number {
  const at = out.begin(type, flags, sequence, port, IFINFOMSG);
  const { view } = out;
  view.setUint8(at, family);
  view.setUint16(at + 2, hardwareTypeOf(nic), true);
  view.setInt32(at + 4, nic.index, true);
  view.setUint32(at + 8, flagsOf(nic), true);
  return at;
}

/** A loopback device has no operational state to tell, and Linux says so. */
function operstate(nic: NicFacts): number {
  if (!nic.up || nic.carrier === false) return OPERSTATE.down;
  return nic.kind === "loopback" || nic.dummy === true ? OPERSTATE.unknown : OPERSTATE.up;
}

// Attributes that the headers of this distribution do not name yet.
const NETNS_IMMUTABLE = 67, DEVLINK_PORT = 62, DPLL_PIN = 65, GSO_IPV4_MAX_SIZE = 63, GRO_IPV4_MAX_SIZE = 64;
const MAX_PACING_OFFLOAD_HORIZON = 66, HEADROOM = 68, TAILROOM = 69, XDP_ATTACHED = 2;

/** One interface; `mask` is of `RTEXT_FILTER_…`, `change` tells which of its flags have changed. */
export function writeLink(
  envelope: Envelope,
  nic: NicFacts,
  flags: number,
  mask: number,
  out: ReplyWriter,
  change = 0,
  type: number = RTM.NEWLINK,
): void {
  const loopback = nic.kind === "loopback";
  const at = begin(envelope, nic, flags, AF.UNSPEC, out, type);
  out.view.setUint32(at + 12, change, true);
  out.text(IFLA.IFNAME, nic.name);
  out.u32(IFLA.TXQLEN, nic.txQueueLength ?? TX_QUEUE_LENGTH);
  out.u8(IFLA.OPERSTATE, operstate(nic));
  out.u8(IFLA.LINKMODE, 0);
  out.u8(NETNS_IMMUTABLE, loopback ? 1 : 0);
  out.u32(IFLA.MTU, nic.mtu);
  out.u32(IFLA.MIN_MTU, loopback ? 0 : MIN_MTU);
  out.u32(IFLA.MAX_MTU, loopback ? 0 : MAX_MTU);
  out.u32(IFLA.GROUP, 0);
  out.u32(IFLA.PROMISCUITY, 0);
  out.u32(IFLA.ALLMULTI, 0);
  out.u32(IFLA.NUM_TX_QUEUES, 1);
  out.u32(IFLA.GSO_MAX_SEGS, GSO_MAX_SEGS);
  out.u32(IFLA.GSO_MAX_SIZE, GSO_MAX_SIZE);
  out.u32(IFLA.GRO_MAX_SIZE, GSO_MAX_SIZE);
  out.u32(GSO_IPV4_MAX_SIZE, GSO_MAX_SIZE);
  out.u32(GRO_IPV4_MAX_SIZE, GSO_MAX_SIZE);
  out.u32(IFLA.TSO_MAX_SIZE, loopback ? TSO_MAX_SIZE : GSO_MAX_SIZE);
  out.u32(IFLA.TSO_MAX_SEGS, GSO_MAX_SEGS);
  out.u32(MAX_PACING_OFFLOAD_HORIZON, 0);
  out.u32(IFLA.NUM_RX_QUEUES, 1);
  out.u8(IFLA.CARRIER, 1);
  out.u32(IFLA.CARRIER_CHANGES, 0);
  out.u32(IFLA.CARRIER_UP_COUNT, 0);
  out.u32(IFLA.CARRIER_DOWN_COUNT, 0);
  out.u16(HEADROOM, 0);
  out.u16(TAILROOM, 0);
  out.u8(IFLA.PROTO_DOWN, 0);
  out.hardware(IFLA.ADDRESS, nic.mac);
  out.hardware(IFLA.BROADCAST, broadcastMacOf(nic));
  writeStatistics(nic, out);
  const xdp = out.nest(IFLA.XDP);
  out.u8(XDP_ATTACHED, 0);
  out.endNest(xdp);
  out.text(IFLA.QDISC, QDISC_NAMES[nic.qdisc.kind]);
  if (nic.dummy === true) {
    const info = out.nest(IFLA.LINKINFO);
    out.text(IFLA_INFO_KIND, "dummy");
    out.endNest(info);
  }
  const families = out.nest(IFLA.AF_SPEC);
  perFamily(nic, out, (mask & SKIP_STATS) === 0);
  out.endNest(families);
  out.zeros(IFLA.MAP, 32);
  out.endNest(out.nest(DEVLINK_PORT, true));
  out.endNest(out.nest(DPLL_PIN, true));
  out.end();
}

/** Colon-separated. */
export function broadcastMacOf(nic: NicFacts): string {
  return nic.kind === "loopback" ? "00:00:00:00:00:00" : "ff:ff:ff:ff:ff:ff";
}

/** `struct rtnl_link_stats64` of 25 counters, and `struct rtnl_link_stats` of the first 24 in 32 bits. */
function writeStatistics({ rx, tx }: NicFacts, out: ReplyWriter): void {
  const counters = [
    rx.packets,
    tx.packets,
    rx.bytes,
    tx.bytes,
    rx.errors,
    tx.errors,
    rx.dropped,
    tx.dropped,
  ];
  const wide = out.zeros(IFLA.STATS64, 200);
  for (const [i, value] of counters.entries()) {
    out.view.setUint32(wide + 8 * i, value % 4294967296, true);
    out.view.setUint32(wide + 8 * i + 4, value / 4294967296, true);
  }
  const narrow = out.zeros(IFLA.STATS, 96);
  for (const [i, value] of counters.entries()) {
    out.view.setUint32(narrow + 4 * i, value % 4294967296, true);
  }
}
