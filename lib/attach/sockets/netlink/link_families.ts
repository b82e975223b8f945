/**
 * What a link says for each address family (`IFLA_AF_SPEC`, `IFLA_PROTINFO`): the sysctls of `net.ipv4.conf.<device>` and
 * `net.ipv6.conf.<device>` as numbers, at Linux' defaults. Programs read a handful of them; they are complete so that
 * nobody reads past an end.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import type { NicFacts } from "../../../stack/facts.ts";
import type { ReplyWriter } from "./reply_writer.ts";

const IFLA_INET_CONF = 1;
const IFLA_INET6 = {
  FLAGS: 1,
  CONF: 2,
  STATS: 3,
  CACHEINFO: 5,
  ICMP6STATS: 6,
  TOKEN: 7,
  ADDR_GEN_MODE: 8,
} as const;
/** `IF_READY`, and `IF_RS_SENT`: it has asked for routers. */
const IF_READY = 0x80000000, IF_RS_SENT = 0x10;
/** Numbers of counters in `IFLA_INET6_STATS` and `IFLA_INET6_ICMP6STATS`; each begins with how many there are. */
const IPSTATS = 38, ICMP6_STATS = 7;
const ALL = 0xffffffff;

/** `IPV4_DEVCONF_…`, from 1 (forwarding). The loopback asks for no IPsec (NOXFRM, NOPOLICY). */
function inetConf(loopback: boolean): number[] {
  const values = new Array<number>(33).fill(0);
  for (const at of [3, 4, 5, 6, 8, 32]) values[at] = 1;
  values[26] = 10_000;
  values[27] = 1_000;
  if (loopback) { for (const at of [14, 15]) values[at] = 1; }
  return values;
}

/** `DEVCONF_…`, from 0 (forwarding); element 2 is the MTU. */
// deno-fmt-ignore
const INET6_CONF: readonly number[] = [
  0, 64, 0, 1, 1, 1, 1, ALL, 4_000, 1_000, 0, 604_800, 86_400, 3, 600, 16, 0, 1, 1, 1,
  60_000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10_000, 1_000, 1, 0, 0, 1, 0, 0, 1, 0,
  0, 0, 0, 3_600_000, 0, 0, 1, 0, 0, 0, 0, 0, 1_024, 0, 65_535, ALL, 1, 0, 0, 0,
];
const CONF_MTU6 = 2;
/** −1 on the loopback: no privacy addresses, no duplicate address detection. */
const CONF_USE_TEMPADDR = 10, CONF_ACCEPT_DAD = 27;

function inet6Conf(nic: NicFacts, at: number, value: number): number {
  if (at === CONF_MTU6) return nic.mtu;
  return nic.kind === "loopback" && (at === CONF_USE_TEMPADDR || at === CONF_ACCEPT_DAD) ? ALL : value;
}

/** What is in `IFLA_AF_SPEC`. */
export function perFamily(nic: NicFacts, out: ReplyWriter, statistics: boolean): void {
  const v4 = out.nest(AF.INET);
  out.words(IFLA_INET_CONF, inetConf(nic.kind === "loopback"));
  out.endNest(v4);
  const v6 = out.nest(AF.INET6);
  inet6Configuration(nic, out, statistics);
  out.endNest(v6);
}

/** What is in `IFLA_PROTINFO` of an IPv6 link, too. */
export function inet6Configuration(nic: NicFacts, out: ReplyWriter, statistics: boolean): void {
  out.u32(IFLA_INET6.FLAGS, nic.kind === "loopback" ? IF_READY : IF_READY + IF_RS_SENT);
  // Longest datagram, when the table changed, reachable and retransmission times in milliseconds.
  out.words(IFLA_INET6.CACHEINFO, [65_535, 0, 30_000, 1_000]);
  out.words(
    IFLA_INET6.CONF,
    INET6_CONF.map((value, at) => inet6Conf(nic, at, value)),
  );
  if (statistics) {
    out.view.setUint32(out.zeros(IFLA_INET6.STATS, 8 * IPSTATS), IPSTATS, true);
    out.view.setUint32(out.zeros(IFLA_INET6.ICMP6STATS, 8 * ICMP6_STATS), ICMP6_STATS, true);
  }
  out.zeros(IFLA_INET6.TOKEN, 16);
  out.u8(IFLA_INET6.ADDR_GEN_MODE, 0);
}
