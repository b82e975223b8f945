/**
 * Numbers of netlink, rtnetlink and sock_diag under the names they have in C (`linux/netlink.h`, `linux/rtnetlink.h`,
 * `linux/if_link.h`, `linux/inet_diag.h`).
 *
 * @module
 */

/** Protocols of `socket(AF_NETLINK, …)` that we answer. */
export const NETLINK = { ROUTE: 0, SOCK_DIAG: 4 } as const;

/** Types of messages below the first of a family. */
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, MIN_TYPE: 16 } as const;

/** `NLM_F_…` */
export const NLM_F = {
  REQUEST: 1,
  MULTI: 2,
  ACK: 4,
  DUMP_FILTERED: 0x20,
  ROOT: 0x100,
  MATCH: 0x200,
  /** Both. */
  DUMP: 0x300,
  /** Of requests that make something: what to do if it is there, or is not. */
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  /** Of an error: the request is not echoed whole. */
  CAPPED: 0x100,
  /** Of an error: attributes follow. */
  ACK_TLVS: 0x200,
} as const;

/** Attributes of an error. */
export const NLMSGERR_ATTR_MSG = 1;

/** Bytes of `struct nlmsghdr`, and of `struct nlattr`. */
export const MESSAGE_HEADER = 16;
export const ATTRIBUTE_HEADER = 4;

/** `NLA_F_NESTED`, and what is left of a type without its flags. */
export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

/** Options of level `SOL.NETLINK`. */
export const NETLINK_OPTION = {
  ADD_MEMBERSHIP: 1,
  DROP_MEMBERSHIP: 2,
  PKTINFO: 3,
  BROADCAST_ERROR: 4,
  NO_ENOBUFS: 5,
  LISTEN_ALL_NSID: 8,
  LIST_MEMBERSHIPS: 9,
  CAP_ACK: 10,
  EXT_ACK: 11,
  GET_STRICT_CHK: 12,
} as const;

/** Requests for something, and what answers them; `GET` is two above `NEW`. */
export const RTM = {
  BASE: 16,
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  GETRULE: 34,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  GETTCLASS: 42,
  GETTFILTER: 46,
  GETNSID: 90,
  GETNEXTHOP: 106,
  /** The last one of Linux 6.18. */
  MAX: 123,
} as const;

/** `IFLA_…` */
export const IFLA = {
  ADDRESS: 1,
  BROADCAST: 2,
  IFNAME: 3,
  MTU: 4,
  QDISC: 6,
  STATS: 7,
  PROTINFO: 12,
  TXQLEN: 13,
  MAP: 14,
  OPERSTATE: 16,
  LINKMODE: 17,
  LINKINFO: 18,
  STATS64: 23,
  AF_SPEC: 26,
  GROUP: 27,
  EXT_MASK: 29,
  PROMISCUITY: 30,
  NUM_TX_QUEUES: 31,
  NUM_RX_QUEUES: 32,
  CARRIER: 33,
  CARRIER_CHANGES: 35,
  PROTO_DOWN: 39,
  GSO_MAX_SEGS: 40,
  GSO_MAX_SIZE: 41,
  XDP: 43,
  CARRIER_UP_COUNT: 47,
  CARRIER_DOWN_COUNT: 48,
  MIN_MTU: 50,
  MAX_MTU: 51,
  ALT_IFNAME: 53,
  GRO_MAX_SIZE: 58,
  TSO_MAX_SIZE: 59,
  TSO_MAX_SEGS: 60,
  ALLMULTI: 61,
} as const;

/** Of what is in `IFLA_LINKINFO`. */
export const IFLA_INFO_KIND = 1;

/** `IFF_…` */
export const IFF = {
  UP: 1,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  BROADCAST: 2,
  LOOPBACK: 8,
  RUNNING: 0x40,
  MULTICAST: 0x1000,
  LOWER_UP: 0x10000,
} as const;

/** `ARPHRD_…`, the kinds of links. */
export const ARPHRD = { ETHER: 1, LOOPBACK: 772 } as const;

/** `IFA_…` and their flags. */
export const IFA = {
  ADDRESS: 1,
  LOCAL: 2,
  LABEL: 3,
  BROADCAST: 4,
  CACHEINFO: 6,
  FLAGS: 8,
  RT_PRIORITY: 9,
  PROTO: 11,
} as const;
export const IFA_F = { SECONDARY: 1, NODAD: 2, PERMANENT: 0x80, NOPREFIXROUTE: 0x200 } as const;
/** `IFAPROT_KERNEL_LO`, `IFAPROT_KERNEL_LL`: who gave an IPv6 address. */
export const IFAPROT = { KERNEL_LO: 1, KERNEL_LL: 3 } as const;

/** `RTA_…` */
export const RTA = {
  DST: 1,
  SRC: 2,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  CACHEINFO: 12,
  TABLE: 15,
  VIA: 18,
  PREF: 20,
  ENCAP: 22,
  UID: 25,
  NH_ID: 30,
} as const;
export const RT_TABLE = { DEFAULT: 253, MAIN: 254, LOCAL: 255 } as const;
export const RTPROT = { unspec: 0, kernel: 2, boot: 3, static: 4, ra: 9, dhcp: 16 } as const;
export const RT_SCOPE = { global: 0, link: 253, host: 254, nowhere: 255 } as const;
/** The last kind of route there is. */
export const RTN_MAX = 11;
/** The gateway is on the link, whatever the addresses say. */
export const RTNH_F_ONLINK = 4;
export const RTN = { UNICAST: 1, LOCAL: 2, BROADCAST: 3, MULTICAST: 5 } as const;
export const RTM_F = { CLONED: 0x200, LOOKUP_TABLE: 0x1000, FIB_MATCH: 0x2000 } as const;
/** `RTCF_…`, in the flags of an answer to "which route". */
export const RTCF = { LOCAL: 0x80000000, MULTICAST: 0x20000000, BROADCAST: 0x10000000 } as const;

/** `NDA_…`, `NUD_…`, `NTF_…` */
export const NDA = { DST: 1, LLADDR: 2, CACHEINFO: 3, PROBES: 4, IFINDEX: 8 } as const;
export const NUD = {
  INCOMPLETE: 1,
  REACHABLE: 2,
  STALE: 4,
  DELAY: 8,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;
export const NTF = { PROXY: 8, ROUTER: 0x80 } as const;

/** `FRA_…` */
export const FRA = { PRIORITY: 6, SUPPRESS_PREFIXLEN: 14, TABLE: 15, PROTOCOL: 21 } as const;

/** Groups that hear of changes: `RTNLGRP_…`. */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
} as const;

/** `TCA_…` */
export const TCA = { KIND: 1, OPTIONS: 2, STATS: 3, STATS2: 7, HW_OFFLOAD: 12 } as const;
export const TC_H_ROOT = 0xffffffff;

/** `SOCK_DIAG_BY_FAMILY`, and what inet sockets add to their answers. */
export const SOCK_DIAG_BY_FAMILY = 20;
export const SOCK_DESTROY = 21;
export const INET_DIAG = { INFO: 2, CONG: 4, SKMEMINFO: 7, SHUTDOWN: 8, PROTOCOL: 16, SKV6ONLY: 11 } as const;
