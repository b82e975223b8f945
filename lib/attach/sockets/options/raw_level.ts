/**
 * Options of raw sockets: levels `SOL_RAW` and `SOL_ICMPV6`, as Linux 6 answers them.
 *
 * @module
 */

import { AF, IPPROTO, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { type BytesOption, int, type OptionOwner, type OptionTable, refusal } from "./option.ts";

const ICMP_FILTER = 1, ICMP6_FILTER = 1;
export const IPV6_CHECKSUM = 7;
/** Words of `struct icmp6_filter`. */
const FILTER6_WORDS = 8;

/** A mask of message types, as words that are stored under numbers of their own. */
function filter(level: number, words: number, first: number): BytesOption {
  return {
    form: "bytes",
    kind: "real",
    setErrno: 0,
    read(owner, view, room) {
      for (let i = 0; i < words; i++) view.setInt32(4 * i, owner.values.get(level, first + i) ?? 0, true);
      return Math.min(room, 4 * words);
    },
    write(owner, view, length) {
      for (let i = 0; 4 * i + 4 <= length && i < words; i++) {
        owner.values.set(level, first + i, view.getInt32(4 * i, true));
      }
      return 0;
    },
  };
}

const FILTER4_AT = 2_000, FILTER6_AT = 2_100;
const filter4 = filter(SOL.RAW, 1, FILTER4_AT);

/** Whether the socket's filter keeps ICMP messages of that type from it: `ICMP_FILTER`, `ICMP6_FILTER`. */
export function filtersOut(owner: OptionOwner, type: number): boolean {
  if (owner.domain === AF.INET) {
    return type < 32 && ((owner.values.get(SOL.RAW, FILTER4_AT) ?? 0) >>> type & 1) !== 0;
  }
  return ((owner.values.get(SOL.ICMPV6, FILTER6_AT + (type >> 5)) ?? 0) >>> (type & 31) & 1) !== 0;
}

/** Only a socket of ICMP has a filter for it. */
const ofIcmp = (owner: OptionOwner) => owner.domain === AF.INET && owner.protocol === IPPROTO.ICMP;

/** `SOL_RAW` by number. */
export const RAW_OPTIONS: OptionTable = {
  [ICMP_FILTER]: {
    ...filter4,
    read: (owner, view, room) => ofIcmp(owner) ? filter4.read(owner, view, room) : -Errno.EOPNOTSUPP,
    write: (owner, view, length) => ofIcmp(owner) ? filter4.write!(owner, view, length) : Errno.EOPNOTSUPP,
  },
  [IPV6_CHECKSUM]: {
    ...int("real", -1),
    initial: (owner) => owner.protocol === IPPROTO.ICMPV6 ? 2 : -1,
    // Of ICMPv6 it is where it is, and cannot be moved (RFC 3542 section 3.1).
    accept(value, owner) {
      if (owner.domain !== AF.INET6) return refusal(Errno.ENOPROTOOPT);
      return value > 0 && value % 2 !== 0 ? refusal(Errno.EINVAL) : Math.max(value, -1);
    },
  },
};

/** `SOL_ICMPV6` by number. */
export const ICMPV6_OPTIONS: OptionTable = {
  [ICMP6_FILTER]: filter(SOL.ICMPV6, FILTER6_WORDS, FILTER6_AT),
};
