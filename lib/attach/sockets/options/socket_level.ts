/**
 * Options of level `SOL_SOCKET`, as Linux 6 answers them.
 *
 * @module
 */

import { SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { kernelSetting } from "../../../host/kernel_setting.ts";
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

const { SOCKET } = SOL;
/** Numbers that `host/constants.ts` does not name, and pairs of a structure's members, which are stored apart. */
export const SO_LINGER_TIME = 2_000;
/** Seconds and microseconds of a time-out are stored as one number of microseconds under the option's own name. */
const EDOM = 33;
const MIN_SEND_BUFFER = 4_608;
const MIN_RECEIVE_BUFFER = 2_304;
const STREAM = 1;

/** Twice what was asked for, within what the machine's administrator allows. */
function bufferSize(setting: "wmem_max" | "rmem_max", least: number, initial: string): IntOption {
  return {
    form: "int",
    kind: "real",
    initial: (owner) =>
      owner.type === STREAM
        ? kernelSetting(`net/ipv4/tcp_${initial}`, 1)
        : kernelSetting(`net/core/${initial}_default`),
    setErrno: 0,
    accept: (value) =>
      Math.max(2 * Math.min(value >>> 0, kernelSetting(`net/core/${setting}`), 2 ** 30 - 1), least),
  };
}

/** `struct timeval`. */
function timeout(name: number): BytesOption {
  return {
    form: "bytes",
    kind: "real",
    setErrno: 0,
    read(owner, view) {
      const micros = Math.max(owner.values.get(SOCKET, name) ?? 0, 0);
      const seconds = Math.floor(micros / 1_000_000);
      view.setBigInt64(0, BigInt(seconds), true);
      view.setBigInt64(8, BigInt(micros - seconds * 1_000_000), true);
      return 16;
    },
    write(owner, view, length) {
      if (length < 16) return Errno.EINVAL;
      const seconds = Number(view.getBigInt64(0, true));
      const micros = Number(view.getBigInt64(8, true));
      if (micros < 0 || micros >= 1_000_000) return EDOM;
      // A negative time-out is one that is over before it begins; Linux shows it as 0, which it is not.
      owner.values.set(SOCKET, name, seconds < 0 ? -1 : Math.min(seconds, 2 ** 31) * 1_000_000 + micros);
      return 0;
    },
  };
}

/** A structure whose content says nothing here. */
function constant(
  length: number,
  fill: (view: DataView) => void = () => {},
  write?: BytesOption["write"],
): BytesOption {
  return {
    form: "bytes",
    kind: write === undefined ? "real" : "stored",
    setErrno: Errno.ENOPROTOOPT,
    read(_owner, view) {
      for (let i = 0; i < length; i++) view.setUint8(i, 0);
      fill(view);
      return length;
    },
    ...(write === undefined ? {} : { write }),
  };
}

const linger: BytesOption = {
  form: "bytes",
  kind: "real",
  setErrno: 0,
  read(owner, view) {
    view.setInt32(0, owner.values.get(SOCKET, 13) ?? 0, true);
    view.setInt32(4, owner.values.get(SOCKET, SO_LINGER_TIME) ?? 0, true);
    return 8;
  },
  write(owner, view, length) {
    if (length < 8) return Errno.EINVAL;
    const on = view.getInt32(0, true) !== 0;
    owner.values.set(SOCKET, 13, on ? 1 : 0);
    if (on) owner.values.set(SOCKET, SO_LINGER_TIME, view.getInt32(4, true));
    return 0;
  },
};

/** Names of interfaces that sockets were bound to, by owner: text does not fit the table of numbers. */
const devices = new WeakMap<OptionOwner, string>();

const bindToDevice: BytesOption = {
  form: "bytes",
  kind: "real",
  setErrno: 0,
  read(owner, view, room) {
    const name = devices.get(owner) ?? "";
    if (name === "") return 0;
    if (room < 16) return -Errno.EINVAL;
    for (let i = 0; i < name.length; i++) view.setUint8(i, name.charCodeAt(i));
    view.setUint8(name.length, 0);
    return name.length + 1;
  },
  write(owner, view, length) {
    let name = "";
    for (let i = 0; i < Math.min(length, 15); i++) {
      const byte = view.getUint8(i);
      if (byte === 0) break;
      name += String.fromCharCode(byte);
    }
    if (name === "") devices.delete(owner);
    else if (!owner.hasInterface(name)) return Errno.ENODEV;
    else devices.set(owner, name);
    return 0;
  },
};

/** The interface that `SO_BINDTODEVICE` named; undefined: any. */
export function boundDevice(owner: OptionOwner): string | undefined {
  return devices.get(owner);
}

/** An accepted socket is bound to what its listener is bound to. */
export function inheritDevice(from: OptionOwner, to: OptionOwner): void {
  const name = devices.get(from);
  if (name !== undefined) devices.set(to, name);
}

/** `tcp_set_rcvlowat`: no more than half of what the receive buffer may become. */
function lowWater(value: number, owner: OptionOwner): number {
  const buffer = owner.values.get(SOCKET, 8) ?? kernelSetting("net/ipv4/tcp_rmem", 2);
  const most = owner.type === STREAM ? buffer >> 1 : 0x7fffffff;
  return Math.max(Math.min(value < 0 ? 0x7fffffff : value, most), 1);
}

let cookies = 0;
const cookieOf = new WeakMap<OptionOwner, number>();

const cookie: BytesOption = {
  form: "bytes",
  kind: "real",
  setErrno: Errno.ENOPROTOOPT,
  read(owner, view, room) {
    if (room < 8) return -Errno.EINVAL;
    let number = cookieOf.get(owner);
    if (number === undefined) cookieOf.set(owner, number = ++cookies);
    view.setBigUint64(0, BigInt(number), true);
    return 8;
  },
};

/** `SOL_SOCKET` by number. */
export const SOCKET_OPTIONS: OptionTable = {
  1: flag("stored"), // SO_DEBUG
  2: flag("real"), // SO_REUSEADDR
  3: readOnly((owner) => owner.type), // SO_TYPE
  4: { ...readOnly(0), get: (owner) => owner.takeError() }, // SO_ERROR
  5: flag("stored"), // SO_DONTROUTE
  6: flag("real"), // SO_BROADCAST
  7: bufferSize("wmem_max", MIN_SEND_BUFFER, "wmem"), // SO_SNDBUF
  8: bufferSize("rmem_max", MIN_RECEIVE_BUFFER, "rmem"), // SO_RCVBUF
  9: flag("real"), // SO_KEEPALIVE
  10: flag("real"), // SO_OOBINLINE
  11: flag("stored"), // SO_NO_CHECK
  12: { ...int("stored", 0), accept: (value) => value < 0 || value > 6 ? refusal(Errno.EPERM) : value }, // SO_PRIORITY
  13: linger, // SO_LINGER
  14: { ...int("stored", 0), get: () => 0 }, // SO_BSDCOMPAT
  15: flag("real"), // SO_REUSEPORT
  16: refused(Errno.EOPNOTSUPP), // SO_PASSCRED
  17: constant(12, (view) => { // SO_PEERCRED: nobody
    view.setInt32(4, -1, true);
    view.setInt32(8, -1, true);
  }),
  18: { // SO_RCVLOWAT
    ...int("real", 1),
    accept: (value, owner) => lowWater(value, owner),
  },
  19: readOnly(1), // SO_SNDLOWAT
  20: timeout(20), // SO_RCVTIMEO
  21: timeout(21), // SO_SNDTIMEO
  25: bindToDevice,
  26: { // SO_ATTACH_FILTER, SO_GET_FILTER: none is attached
    form: "bytes",
    kind: "refused",
    setErrno: Errno.ENOPROTOOPT,
    read: () => 0,
  },
  27: refused(Errno.ENOPROTOOPT, Errno.ENOENT), // SO_DETACH_FILTER
  28: { // SO_PEERNAME
    form: "bytes",
    kind: "real",
    setErrno: Errno.ENOPROTOOPT,
    read: (owner, view) => owner.peerName?.(view) ?? -Errno.ENOTCONN,
  },
  29: flag("stored"), // SO_TIMESTAMP
  30: readOnly((owner) => owner.listening ? 1 : 0), // SO_ACCEPTCONN
  32: refused(Errno.ENOPROTOOPT, Errno.EPERM), // SO_SNDBUFFORCE
  33: refused(Errno.ENOPROTOOPT, Errno.EPERM), // SO_RCVBUFFORCE
  34: refused(Errno.EOPNOTSUPP), // SO_PASSSEC
  35: flag("stored"), // SO_TIMESTAMPNS
  36: { ...int("stored", 0), accept: (value) => value === 0 ? 0 : refusal(Errno.EPERM) }, // SO_MARK
  37: constant(8, undefined, (_owner, _view, length) => length < 4 ? Errno.EINVAL : 0), // SO_TIMESTAMPING
  38: readOnly((owner) => owner.protocol), // SO_PROTOCOL
  39: readOnly((owner) => owner.domain), // SO_DOMAIN
  40: flag("stored"), // SO_RXQ_OVFL
  41: flag("stored"), // SO_WIFI_STATUS
  42: int("real", -1), // SO_PEEK_OFF
  43: flag("stored"), // SO_NOFCS
  44: flag("stored"), // SO_LOCK_FILTER
  45: flag("stored"), // SO_SELECT_ERR_QUEUE
  46: {
    ...int("stored", 0),
    accept: (value) => value < 0 ? refusal(Errno.EINVAL) : value === 0 ? 0 : refusal(Errno.EPERM),
  }, // SO_BUSY_POLL
  47: constant(
    8,
    (view) => view.setBigInt64(0, -1n, true),
    (_owner, _view, length) => length < 4 ? Errno.EINVAL : 0,
  ), // SO_MAX_PACING_RATE
  48: readOnly(64), // SO_BPF_EXTENSIONS
  49: int("stored", -1), // SO_INCOMING_CPU
  55: constant(36), // SO_MEMINFO
  56: readOnly(0), // SO_INCOMING_NAPI_ID
  57: cookie, // SO_COOKIE
  59: refused(Errno.ENODATA, Errno.ENOPROTOOPT), // SO_PEERGROUPS
  60: { // SO_ZEROCOPY: the completions that it promises would never come
    ...int("refused", 0, 0, 1),
    accept: (value) => value === 0 ? 0 : refusal(value === 1 ? Errno.EOPNOTSUPP : Errno.EINVAL),
  },
  61: constant(8), // SO_TXTIME
  62: int("stored", 0), // SO_BINDTOIFINDEX
  63: flag("stored"), // SO_TIMESTAMP_NEW
  64: flag("stored"), // SO_TIMESTAMPNS_NEW
  65: constant(8, undefined, (_owner, _view, length) => length < 4 ? Errno.EINVAL : 0), // SO_TIMESTAMPING_NEW
  66: timeout(20), // SO_RCVTIMEO_NEW
  67: timeout(21), // SO_SNDTIMEO_NEW
  69: { ...int("stored", 0), accept: (value) => value === 0 ? 0 : refusal(Errno.EPERM) }, // SO_PREFER_BUSY_POLL
  72: int("stored", 0, 0, 3), // SO_BUF_LOCK
  73: int("stored", 0, 0), // SO_RESERVE_MEM
  74: int("stored", 1, -1, 1), // SO_TXREHASH
  75: flag("stored"), // SO_RCVMARK
  76: refused(Errno.EOPNOTSUPP), // SO_PASSPIDFD
  77: refused(Errno.ENODATA, Errno.ENOPROTOOPT), // SO_PEERPIDFD
};
