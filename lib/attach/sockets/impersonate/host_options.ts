/**
 * Options of a guest's socket → the host's socket that stands for it.
 *
 * What may be set at all is decided by the tables in `options/`, which refuse what needs a privilege: the guest must not
 * have ours. Here is which of the accepted ones the host's socket hears of.
 *
 * @module
 */

import { IP, IPV6, SO, SOL, TCP, UDP } from "../../../host/constants.ts";
import { setOption } from "../../../host/inet.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { setsockopt } from "../../../host/sys.ts";
import type { OptionOwner } from "../options/option.ts";
import { SO_LINGER_TIME } from "../options/socket_level.ts";
import { congestionOf } from "../options/tcp_level.ts";

const CONGESTION = 13, LINGER2 = 8, THIN_LINEAR = 16, THIN_DUPACK = 17;
const IP_MINTTL = 21, IPV6_DONTFRAG = 62, IPV6_MINHOPCOUNT = 73;

/** Numbers that are handed on as they are, by level. */
const PLAIN: Readonly<Record<number, readonly number[]>> = {
  [SOL.SOCKET]: [SO.REUSEADDR, SO.BROADCAST, SO.KEEPALIVE, SO.PRIORITY, SO.REUSEPORT],
  [SOL.IP]: [IP.TOS, IP.TTL, IP.PKTINFO, IP.MTU_DISCOVER, IP.RECVERR, IP.RECVTTL, IP.RECVTOS, IP_MINTTL],
  [SOL.IPV6]: [
    IPV6.UNICAST_HOPS,
    IPV6.MTU_DISCOVER,
    IPV6.RECVERR,
    IPV6.V6ONLY,
    IPV6.RECVPKTINFO,
    IPV6.RECVHOPLIMIT,
    IPV6.RECVTCLASS,
    IPV6_DONTFRAG,
    IPV6.TCLASS,
    IPV6_MINHOPCOUNT,
  ],
  [SOL.TCP]: [
    TCP.NODELAY,
    TCP.MAXSEG,
    TCP.CORK,
    TCP.KEEPIDLE,
    TCP.KEEPINTVL,
    TCP.KEEPCNT,
    TCP.SYNCNT,
    LINGER2,
    TCP.DEFER_ACCEPT,
    TCP.QUICKACK,
    THIN_LINEAR,
    THIN_DUPACK,
    TCP.USER_TIMEOUT,
    TCP.NOTSENT_LOWAT,
  ],
  [SOL.UDP]: [UDP.SEGMENT],
};

const value = new NativeMemory(32);

/** Tells the host's socket of one option of `owner`. */
export function tellHost(fd: number, owner: OptionOwner, level: number, name: number): void {
  const { values } = owner;
  const set = values.get(level, name);
  if (level === SOL.TCP && name === CONGESTION) {
    const algorithm = congestionOf(owner);
    if (algorithm === undefined) return;
    value.bytes.set(new TextEncoder().encode(algorithm));
    setsockopt(fd, level, name, value.address, algorithm.length);
  } else if (set === undefined) {
    return;
  } else if (level === SOL.SOCKET && name === SO.LINGER) {
    value.words[0] = set;
    value.words[1] = values.get(SOL.SOCKET, SO_LINGER_TIME) ?? 0;
    setsockopt(fd, level, name, value.address, 8);
  } else if (level === SOL.SOCKET && (name === SO.SNDBUF || name === SO.RCVBUF)) {
    // The table has doubled the number, and so will the kernel.
    setOption(fd, level, name, set >>> 1);
  } else if (PLAIN[level]?.includes(name) === true) setOption(fd, level, name, set);
}

/** Tells a host's socket that was just made of everything that was set before. */
export function tellHostAll(fd: number, owner: OptionOwner): void {
  for (const [level, name] of owner.values.names()) tellHost(fd, owner, level, name);
}
