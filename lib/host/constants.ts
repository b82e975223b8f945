/**
 * Numbers of the Linux interface that are the same on every architecture we know, under the names they have
 * in C.
 *
 * @module
 */

/** Address families. */
export const AF = { UNSPEC: 0, UNIX: 1, INET: 2, INET6: 10, NETLINK: 16, PACKET: 17 } as const;

/** Socket types and the flags that may be or-ed to them. */
export const SOCK = {
  STREAM: 1,
  DGRAM: 2,
  RAW: 3,
  SEQPACKET: 5,
  NONBLOCK: 0o4000,
  CLOEXEC: 0o2000000,
} as const;

/** Protocols for `socket(2)`. */
export const IPPROTO = { IP: 0, ICMP: 1, TCP: 6, UDP: 17, IPV6: 41, ICMPV6: 58, RAW: 255 } as const;

/** Levels of socket options. */
export const SOL = {
  IP: 0,
  SOCKET: 1,
  TCP: 6,
  UDP: 17,
  IPV6: 41,
  ICMPV6: 58,
  RAW: 255,
  PACKET: 263,
  NETLINK: 270,
} as const;

/** Options of level `SOL.SOCKET`. */
export const SO = {
  REUSEADDR: 2,
  TYPE: 3,
  ERROR: 4,
  BROADCAST: 6,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  OOBINLINE: 10,
  PRIORITY: 12,
  LINGER: 13,
  REUSEPORT: 15,
  PASSCRED: 16,
  PEERCRED: 17,
  RCVTIMEO: 20,
  SNDTIMEO: 21,
  BINDTODEVICE: 25,
  ATTACH_FILTER: 26,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  MARK: 36,
  PROTOCOL: 38,
  DOMAIN: 39,
  BUF_LOCK: 72,
} as const;

/** Options of level `SOL.IP`. */
export const IP = {
  TOS: 1,
  TTL: 2,
  HDRINCL: 3,
  PKTINFO: 8,
  MTU_DISCOVER: 10,
  RECVERR: 11,
  RECVTTL: 12,
  RECVTOS: 13,
  MTU: 14,
} as const;

/** Options of level `SOL.IPV6`. */
export const IPV6 = {
  UNICAST_HOPS: 16,
  MTU_DISCOVER: 23,
  MTU: 24,
  RECVERR: 25,
  V6ONLY: 26,
  RECVPKTINFO: 49,
  PKTINFO: 50,
  RECVHOPLIMIT: 51,
  HOPLIMIT: 52,
  RECVTCLASS: 66,
  TCLASS: 67,
} as const;

/** Options of level `SOL.TCP`. */
export const TCP = {
  NODELAY: 1,
  MAXSEG: 2,
  CORK: 3,
  KEEPIDLE: 4,
  KEEPINTVL: 5,
  KEEPCNT: 6,
  SYNCNT: 7,
  DEFER_ACCEPT: 9,
  INFO: 11,
  QUICKACK: 12,
  USER_TIMEOUT: 18,
  NOTSENT_LOWAT: 25,
} as const;

/** Options of level `SOL.PACKET`. */
export const PACKET = { ADD_MEMBERSHIP: 1, STATISTICS: 6, VNET_HDR: 15, IGNORE_OUTGOING: 23 } as const;

/** Options of level `SOL.UDP`. */
export const UDP = { SEGMENT: 103, GRO: 104 } as const;

/** Flags of `send(2)` and `recv(2)`. */
export const MSG = {
  OOB: 1,
  PEEK: 2,
  CTRUNC: 8,
  TRUNC: 0x20,
  DONTWAIT: 0x40,
  EOR: 0x80,
  WAITALL: 0x100,
  ERRQUEUE: 0x2000,
  NOSIGNAL: 0x4000,
  MORE: 0x8000,
  FASTOPEN: 0x20000000,
  CMSG_CLOEXEC: 0x40000000,
} as const;

/** Directions of `shutdown(2)`. */
export const SHUT = { RD: 0, WR: 1, RDWR: 2 } as const;

/** Control message types of level `SOL.SOCKET`. */
export const SCM = { RIGHTS: 1, CREDENTIALS: 2 } as const;

/** What `epoll` reports and is asked for. */
export const EpollEvents = {
  in: 0x001,
  pri: 0x002,
  out: 0x004,
  err: 0x008,
  hup: 0x010,
  rdhup: 0x2000,
  et: 1 << 31,
} as const;

/** Commands of `fcntl(2)`. */
export const F = {
  DUPFD: 0,
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  DUPFD_CLOEXEC: 1030,
  SETPIPE_SZ: 1031,
  GETPIPE_SZ: 1032,
} as const;
/** The only descriptor flag. */
export const FD_CLOEXEC = 1;

/** Clocks. */
export const CLOCK = { REALTIME: 0, MONOTONIC: 1, BOOTTIME: 7 } as const;

/** Signals. */
export const SIG = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  XFSZ: 25,
  WINCH: 28,
} as const;

/** Namespace kinds for `unshare(2)`, `setns(2)`. */
export const CLONE = {
  NEWTIME: 0x80,
  NEWNS: 0x20000,
  NEWCGROUP: 0x2000000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;

/** Flags of `mount(2)` and `umount2(2)`. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  BIND: 4096,
  REC: 16384,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
} as const;
/** `umount2(2)`: detach now, clean up when no longer busy. */
export const MNT_DETACH = 2;

/** Flags of `splice(2)`. */
export const SPLICE = { MOVE: 1, NONBLOCK: 2, MORE: 4 } as const;

/** Socket ioctls. */
export const SIOC = { INQ: 0x541b, OUTQ: 0x5411, ATMARK: 0x8905 } as const;
