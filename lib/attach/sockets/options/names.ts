/**
 * Names of the socket options in the tables, as `<sys/socket.h>` and its neighbours have them, for the documentation.
 *
 * @module
 */

import { SOL } from "../../../host/constants.ts";
import { IP_OPTIONS } from "./ip_level.ts";
import { IPV6_OPTIONS } from "./ipv6_level.ts";
import type { OptionTable } from "./option.ts";
import { ICMPV6_OPTIONS, RAW_OPTIONS } from "./raw_level.ts";
import { SOCKET_OPTIONS } from "./socket_level.ts";
import { TCP_OPTIONS } from "./tcp_level.ts";

/** A level: its table, and what its options are called without the common prefix. */
export interface NamedLevel {
  readonly level: number;
  readonly title: string;
  readonly prefix: string;
  readonly options: OptionTable;
  readonly names: Readonly<Record<number, string>>;
}

/** `first`, `first + 1` and so on. */
function from(first: number, words: string): Record<number, string> {
  return Object.fromEntries(words.trim().split(/\s+/).map((word, i) => [first + i, word]));
}

/** All levels that have a table. */
export const LEVELS: readonly NamedLevel[] = [
  {
    level: SOL.SOCKET,
    title: "SOL_SOCKET",
    prefix: "SO_",
    options: SOCKET_OPTIONS,
    names: {
      ...from(
        1,
        `DEBUG REUSEADDR TYPE ERROR DONTROUTE BROADCAST SNDBUF RCVBUF KEEPALIVE OOBINLINE NO_CHECK PRIORITY LINGER
        BSDCOMPAT REUSEPORT PASSCRED PEERCRED RCVLOWAT SNDLOWAT RCVTIMEO SNDTIMEO`,
      ),
      ...from(25, "BINDTODEVICE ATTACH_FILTER DETACH_FILTER PEERNAME TIMESTAMP ACCEPTCONN"),
      ...from(
        32,
        `SNDBUFFORCE RCVBUFFORCE PASSSEC TIMESTAMPNS MARK TIMESTAMPING PROTOCOL DOMAIN RXQ_OVFL WIFI_STATUS PEEK_OFF
        NOFCS LOCK_FILTER SELECT_ERR_QUEUE BUSY_POLL MAX_PACING_RATE BPF_EXTENSIONS INCOMING_CPU`,
      ),
      ...from(55, "MEMINFO INCOMING_NAPI_ID COOKIE"),
      ...from(
        59,
        `PEERGROUPS ZEROCOPY TXTIME BINDTOIFINDEX TIMESTAMP_NEW TIMESTAMPNS_NEW TIMESTAMPING_NEW RCVTIMEO_NEW
        SNDTIMEO_NEW`,
      ),
      69: "PREFER_BUSY_POLL",
      ...from(72, "BUF_LOCK RESERVE_MEM TXREHASH RCVMARK PASSPIDFD PEERPIDFD"),
    },
  },
  {
    level: SOL.TCP,
    title: "IPPROTO_TCP",
    prefix: "TCP_",
    options: TCP_OPTIONS,
    names: {
      ...from(
        1,
        `NODELAY MAXSEG CORK KEEPIDLE KEEPINTVL KEEPCNT SYNCNT LINGER2 DEFER_ACCEPT WINDOW_CLAMP INFO QUICKACK
        CONGESTION MD5SIG`,
      ),
      ...from(16, "THIN_LINEAR_TIMEOUTS THIN_DUPACK USER_TIMEOUT REPAIR REPAIR_QUEUE QUEUE_SEQ"),
      ...from(23, "FASTOPEN TIMESTAMP NOTSENT_LOWAT"),
      ...from(27, "SAVE_SYN SAVED_SYN"),
      ...from(30, "FASTOPEN_CONNECT ULP"),
      ...from(33, "FASTOPEN_KEY FASTOPEN_NO_COOKIE"),
      ...from(36, "INQ TX_DELAY"),
      ...from(43, "IS_MPTCP RTO_MAX_MS"),
    },
  },
  {
    level: SOL.IP,
    title: "IPPROTO_IP",
    prefix: "IP_",
    options: IP_OPTIONS,
    names: {
      ...from(
        1,
        `TOS TTL HDRINCL OPTIONS ROUTER_ALERT RECVOPTS RETOPTS PKTINFO PKTOPTIONS MTU_DISCOVER RECVERR RECVTTL RECVTOS
        MTU FREEBIND IPSEC_POLICY`,
      ),
      ...from(
        18,
        `PASSSEC TRANSPARENT ORIGDSTADDR MINTTL NODEFRAG CHECKSUM BIND_ADDRESS_NO_PORT RECVFRAGSIZE RECVERR_RFC4884`,
      ),
      ...from(32, "MULTICAST_IF MULTICAST_TTL MULTICAST_LOOP"),
      ...from(49, "MULTICAST_ALL UNICAST_IF LOCAL_PORT_RANGE PROTOCOL"),
    },
  },
  {
    level: SOL.IPV6,
    title: "IPPROTO_IPV6",
    prefix: "IPV6_",
    options: IPV6_OPTIONS,
    names: {
      ...from(1, "ADDRFORM 2292PKTINFO 2292HOPOPTS 2292DSTOPTS 2292RTHDR 2292PKTOPTIONS"),
      8: "2292HOPLIMIT",
      11: "FLOWINFO",
      ...from(16, "UNICAST_HOPS MULTICAST_IF MULTICAST_HOPS MULTICAST_LOOP"),
      ...from(22, "ROUTER_ALERT MTU_DISCOVER MTU RECVERR V6ONLY"),
      ...from(29, "MULTICAST_ALL ROUTER_ALERT_ISOLATE RECVERR_RFC4884"),
      33: "FLOWINFO_SEND",
      48: "GET_FIRST_HOP",
      49: "RECVPKTINFO",
      ...from(51, "RECVHOPLIMIT"),
      ...from(
        53,
        "RECVHOPOPTS HOPOPTS RTHDRDSTOPTS RECVRTHDR RTHDR RECVDSTOPTS DSTOPTS RECVPATHMTU PATHMTU DONTFRAG",
      ),
      ...from(66, "RECVTCLASS TCLASS"),
      70: "AUTOFLOWLABEL",
      ...from(72, "ADDR_PREFERENCES MINHOPCOUNT ORIGDSTADDR TRANSPARENT UNICAST_IF RECVFRAGSIZE FREEBIND"),
    },
  },
  {
    level: SOL.RAW,
    title: "SOL_RAW",
    prefix: "",
    options: RAW_OPTIONS,
    names: { 1: "ICMP_FILTER", 7: "IPV6_CHECKSUM" },
  },
  {
    level: SOL.ICMPV6,
    title: "SOL_ICMPV6",
    prefix: "",
    options: ICMPV6_OPTIONS,
    names: { 1: "ICMP6_FILTER" },
  },
];
