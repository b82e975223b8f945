/**
 * Options of level `SOL_TCP`, as Linux 6 answers them.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import {
  type BytesOption,
  flag,
  int,
  type OptionOwner,
  type OptionTable,
  refusal,
  refused,
} from "./option.ts";

const SOL_TCP = 6;
/** `TCP_CONGESTION`'s text is stored as the index of its name. */
const CONGESTION = 13;
const ALGORITHMS = ["cubic", "reno"] as const;

/** The algorithm that was chosen. */
export function congestionOf(owner: OptionOwner): "cubic" | "reno" | undefined {
  const index = owner.values.get(SOL_TCP, CONGESTION);
  return index === undefined ? undefined : ALGORITHMS[index];
}

const congestion: BytesOption = {
  form: "bytes",
  kind: "real",
  setErrno: 0,
  read(owner, view, room) {
    const name = congestionOf(owner) ?? ALGORITHMS[0];
    for (let i = 0; i < 16; i++) view.setUint8(i, i < name.length ? name.charCodeAt(i) : 0);
    return Math.min(room, 16);
  },
  write(owner, view, length) {
    if (length < 1) return Errno.EINVAL;
    let name = "";
    for (let i = 0; i < Math.min(length, 15) && view.getUint8(i) !== 0; i++) {
      name += String.fromCharCode(view.getUint8(i));
    }
    const index = ALGORITHMS.findIndex((known) => known === name);
    if (index < 0) return Errno.ENOENT;
    owner.values.set(SOL_TCP, CONGESTION, index);
    return 0;
  },
};

const info: BytesOption = {
  form: "bytes",
  kind: "real",
  setErrno: Errno.ENOPROTOOPT,
  read: (owner, view) => owner.describe(view),
};

/** Keys, names of upper layers: there are none. */
const nothing: BytesOption = { form: "bytes", kind: "refused", setErrno: Errno.ENOENT, read: () => 0 };

/** `SOL_TCP` by number. */
export const TCP_OPTIONS: OptionTable = {
  1: flag("real"), // TCP_NODELAY
  2: { // TCP_MAXSEG
    ...int("real", 536),
    accept: (value) => value !== 0 && (value < 88 || value > 32_767) ? refusal(Errno.EINVAL) : value,
    get: (owner) => maximumSegment(owner),
  },
  3: flag("real"), // TCP_CORK
  4: int("real", 7_200, 1, 32_767), // TCP_KEEPIDLE
  5: int("real", 75, 1, 32_767), // TCP_KEEPINTVL
  6: int("real", 9, 1, 127), // TCP_KEEPCNT
  7: int("real", 6, 1, 127), // TCP_SYNCNT
  8: { // TCP_LINGER2: −1 is for ever not at all
    ...int("real", 60),
    accept: (value) => value < 0 ? -1 : Math.min(value, 120),
    get: (owner) => {
      const value = owner.values.get(SOL_TCP, 8) ?? 60;
      return value === 0 ? 60 : value;
    },
  },
  9: int("stored", 0), // TCP_DEFER_ACCEPT
  10: int("stored", 0), // TCP_WINDOW_CLAMP
  11: info, // TCP_INFO
  12: { ...int("stored", 1), accept: (value) => value === 0 ? 0 : 1 }, // TCP_QUICKACK
  13: congestion, // TCP_CONGESTION
  14: refused(Errno.ENOPROTOOPT, Errno.EPERM), // TCP_MD5SIG
  16: int("stored", 0, 0, 1), // TCP_THIN_LINEAR_TIMEOUTS
  17: int("stored", 0, 0, 1), // TCP_THIN_DUPACK
  18: int("real", 0, 0), // TCP_USER_TIMEOUT
  19: { ...int("stored", 0), accept: () => refusal(Errno.EPERM) }, // TCP_REPAIR
  20: refused(Errno.EINVAL, Errno.EPERM), // TCP_REPAIR_QUEUE
  21: refused(Errno.EINVAL, Errno.EPERM), // TCP_QUEUE_SEQ
  23: int("stored", 0, 0), // TCP_FASTOPEN
  24: int("stored", 0), // TCP_TIMESTAMP
  25: int("stored", 0), // TCP_NOTSENT_LOWAT
  27: int("stored", 0, 0, 1), // TCP_SAVE_SYN
  28: nothing, // TCP_SAVED_SYN
  30: { // TCP_FASTOPEN_CONNECT: the handshake would have to wait for data that we cannot see
    ...int("refused", 0, 0, 1),
    accept: (value) => value === 0 ? 0 : refusal(value === 1 ? Errno.EOPNOTSUPP : Errno.EINVAL),
  },
  31: nothing, // TCP_ULP
  33: nothing, // TCP_FASTOPEN_KEY
  34: { // TCP_FASTOPEN_NO_COOKIE
    ...int("stored", 0, 0, 1),
  },
  36: { // TCP_INQ: the control message that it promises would never come
    ...int("refused", 0, 0, 1),
    accept: (value) => value === 0 ? 0 : refusal(value === 1 ? Errno.EOPNOTSUPP : Errno.EINVAL),
  },
  37: int("stored", 0), // TCP_TX_DELAY
  43: int("stored", 0), // TCP_RTO_MAX_MS and its neighbours
  44: int("stored", 120_000, 1_000, 120_000),
};

/** What was asked for until there is a connection, then what it uses. */
function maximumSegment(owner: OptionOwner): number {
  const asked = owner.values.get(SOL_TCP, 2) ?? 0;
  if (!owner.connected) return asked === 0 ? 536 : asked;
  scratch.setUint32(16, 0, true);
  return owner.describe(scratch) >= 20 ? scratch.getUint32(16, true) : 536;
}

/** `tcpi_snd_mss` is at offset 16 of `struct tcp_info`. */
const scratch = new DataView(new ArrayBuffer(256));
