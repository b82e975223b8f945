/**
 * Options of level `SOL_IPV6`, as Linux 6 answers them.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import { pathMtuOf } from "./ip_level.ts";
import { type BytesOption, flag, int, type OptionTable, refusal, refused } from "./option.ts";

const STREAM = 1;

const mtu: BytesOption = {
  form: "bytes",
  kind: "real",
  setErrno: Errno.ENOPROTOOPT,
  read(owner, view) {
    if (!owner.connected) return -Errno.ENOTCONN;
    view.setInt32(0, pathMtuOf(owner, view), true);
    return 4;
  },
};

/** Extension headers: none are set. */
const noHeaders: BytesOption = {
  form: "bytes",
  kind: "refused",
  setErrno: 0,
  read: () => 0,
  write: (_owner, _view, length) => length === 0 ? 0 : Errno.EPERM,
};

/** −1 means the default. */
function orDefault(value: number, least: number, most: number, initial: number): number {
  if (value === -1) return initial;
  return value < least || value > most ? refusal(Errno.EINVAL) : value;
}

/** `SOL_IPV6` by number. */
export const IPV6_OPTIONS: OptionTable = {
  1: refused(Errno.ENOTCONN, Errno.ENOTCONN), // IPV6_ADDRFORM
  2: flag("stored"), // the RFC 2292 names of options
  3: flag("stored"),
  4: flag("stored"),
  5: flag("stored"),
  6: noHeaders,
  8: flag("stored"),
  11: flag("stored"), // IPV6_FLOWINFO
  16: { ...int("stored", 64), accept: (value) => orDefault(value, 0, 255, 64) }, // IPV6_UNICAST_HOPS
  17: { // IPV6_MULTICAST_IF
    ...int("stored", 0),
    accept: (value, owner) => owner.type === STREAM ? refusal(Errno.ENOPROTOOPT) : value,
  },
  18: { // IPV6_MULTICAST_HOPS
    ...int("stored", 1),
    accept: (value, owner) =>
      owner.type === STREAM ? refusal(Errno.ENOPROTOOPT) : orDefault(value, 0, 255, 1),
  },
  19: int("stored", 1, 0, 1), // IPV6_MULTICAST_LOOP
  22: flag("stored"), // IPV6_ROUTER_ALERT
  23: int("stored", 1, 0, 5), // IPV6_MTU_DISCOVER
  24: mtu, // IPV6_MTU
  25: flag("real"), // IPV6_RECVERR
  26: { // IPV6_V6ONLY
    ...flag("real"),
    accept: (value, owner) => owner.bound ? refusal(Errno.EINVAL) : value === 0 ? 0 : 1,
  },
  29: flag("stored", 1), // IPV6_MULTICAST_ALL
  30: flag("stored"), // IPV6_ROUTER_ALERT_ISOLATE
  31: flag("stored"), // IPV6_RECVERR_RFC4884
  33: flag("stored"), // IPV6_FLOWINFO_SEND
  48: refused(Errno.EADDRNOTAVAIL, Errno.ENOPROTOOPT),
  49: flag("real"), // IPV6_RECVPKTINFO
  51: flag("real"), // IPV6_RECVHOPLIMIT
  53: flag("stored"), // IPV6_RECVHOPOPTS
  54: noHeaders, // IPV6_HOPOPTS
  55: noHeaders, // IPV6_RTHDRDSTOPTS
  56: flag("stored"), // IPV6_RECVRTHDR
  57: noHeaders, // IPV6_RTHDR
  58: flag("stored"), // IPV6_RECVDSTOPTS
  59: noHeaders, // IPV6_DSTOPTS
  60: flag("stored"), // IPV6_RECVPATHMTU
  61: refused(Errno.ENOTCONN, Errno.ENOPROTOOPT), // IPV6_PATHMTU
  62: flag("stored"), // IPV6_DONTFRAG
  66: flag("real"), // IPV6_RECVTCLASS
  67: { // IPV6_TCLASS
    ...int("stored", 0),
    accept: (value, owner) =>
      owner.type === STREAM && value > 0 && value <= 255 ? value & 0xfc : orDefault(value, 0, 255, 0),
  },
  70: flag("stored", 1), // IPV6_AUTOFLOWLABEL
  72: { // IPV6_ADDR_PREFERENCES
    ...int("stored", 1_280),
  },
  73: int("stored", 0, 0, 255), // IPV6_MINHOPCOUNT
  74: flag("stored"), // IPV6_ORIGDSTADDR
  75: { ...flag("stored"), accept: (value) => value === 0 ? 0 : refusal(Errno.EPERM) }, // IPV6_TRANSPARENT
  76: int("stored", 0), // IPV6_UNICAST_IF
  77: flag("stored"), // IPV6_RECVFRAGSIZE
  78: flag("stored"), // IPV6_FREEBIND
};
