/**
 * Options of level `SOL_IP`, as Linux 6 answers them.
 *
 * @module
 */

import { IPPROTO, SOCK } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import {
  type BytesOption,
  flag,
  int,
  type IntOption,
  type OptionOwner,
  type OptionTable,
  readOnly,
  refusal,
  refused,
} from "./option.ts";

const STREAM = 1;

/** No IP options are set, and none can be but an empty set. */
const noOptions: BytesOption = {
  form: "bytes",
  kind: "refused",
  setErrno: 0,
  read: () => 0,
  write: (_owner, _view, length) => length === 0 ? 0 : length > 40 ? Errno.EINVAL : Errno.EPERM,
};

/** −1 means the default. */
function orDefault(value: number, least: number, most: number, initial: number): number {
  if (value === -1) return initial;
  return value < least || value > most ? refusal(Errno.EINVAL) : value;
}

/** `tcpi_pmtu` is at offset 60 of `struct tcp_info`; a socket that does not know says what Ethernet would. */
export function pathMtuOf(owner: OptionOwner, view: DataView): number {
  const known = owner.pathMtu?.() ?? 0;
  if (known > 0) return known;
  return owner.describe(view) >= 64 ? view.getUint32(60, true) : 1_500;
}

/** Connected sockets only. */
const mtu: IntOption | BytesOption = {
  form: "bytes",
  kind: "real",
  setErrno: Errno.ENOPROTOOPT,
  read(owner, view) {
    if (!owner.connected) return -Errno.ENOTCONN;
    view.setInt32(0, pathMtuOf(owner, view), true);
    return 4;
  },
};

/** `SOL_IP` by number. */
export const IP_OPTIONS: OptionTable = {
  1: { // IP_TOS: TCP keeps the two bits of ECN to itself
    ...int("stored", 0),
    accept: (value, owner) => owner.type === STREAM ? value & 0xfc : value & 0xff,
  },
  2: { ...int("stored", 64), accept: (value) => orDefault(value, 1, 255, 64) }, // IP_TTL
  3: { // IP_HDRINCL: of raw sockets alone; IPPROTO_RAW has it from the start
    ...flag("real"),
    initial: (owner) => owner.protocol === IPPROTO.RAW ? 1 : 0,
    accept: (value, owner) => owner.type !== SOCK.RAW ? refusal(Errno.ENOPROTOOPT) : value === 0 ? 0 : 1,
  },
  4: noOptions,
  5: flag("stored"), // IP_ROUTER_ALERT
  6: flag("stored"), // IP_RECVOPTS
  7: flag("stored"), // IP_RETOPTS
  8: flag("real"), // IP_PKTINFO
  9: { ...noOptions, setErrno: Errno.ENOPROTOOPT }, // IP_PKTOPTIONS
  10: int("stored", 1, 0, 5), // IP_MTU_DISCOVER
  11: flag("real"), // IP_RECVERR
  12: flag("real"), // IP_RECVTTL
  13: flag("real"), // IP_RECVTOS
  14: mtu, // IP_MTU
  15: flag("stored"), // IP_FREEBIND
  16: refused(Errno.ENOPROTOOPT, Errno.EPERM), // IP_IPSEC_POLICY
  18: flag("stored"), // IP_PASSSEC
  19: { ...flag("stored"), accept: (value) => value === 0 ? 0 : refusal(Errno.EPERM) }, // IP_TRANSPARENT
  20: flag("stored"), // IP_ORIGDSTADDR
  21: int("stored", 0, 0, 255), // IP_MINTTL
  22: flag("stored"), // IP_NODEFRAG
  23: flag("stored"), // IP_CHECKSUM
  24: flag("stored"), // IP_BIND_ADDRESS_NO_PORT
  25: flag("stored"), // IP_RECVFRAGSIZE
  26: flag("stored"), // IP_RECVERR_RFC4884
  32: int("stored", 0), // IP_MULTICAST_IF
  33: { // IP_MULTICAST_TTL
    ...int("stored", 1),
    accept: (value, owner) => owner.type === STREAM ? refusal(Errno.EINVAL) : orDefault(value, 0, 255, 1),
  },
  34: flag("stored", 1), // IP_MULTICAST_LOOP
  49: { ...flag("stored", 1), initial: (owner) => owner.domain === 2 ? 1 : 0 }, // IP_MULTICAST_ALL
  50: int("stored", 0), // IP_UNICAST_IF
  51: int("stored", 0), // IP_LOCAL_PORT_RANGE
  52: readOnly(0), // IP_PROTOCOL
};
