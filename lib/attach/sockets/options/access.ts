/**
 * `getsockopt` and `setsockopt`: from the guest's memory to the tables and back, with Linux' rules about lengths.
 *
 * @module
 */

import { IPPROTO, SO, SOCK, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { NativeMemory } from "../../../host/memory.ts";
import type { Call } from "../call.ts";
import { IP_OPTIONS } from "./ip_level.ts";
import { IPV6_OPTIONS } from "./ipv6_level.ts";
import {
  type IntOption,
  type OptionOwner,
  type OptionTable,
  refusedWith,
  type SocketOption,
} from "./option.ts";
import { ICMPV6_OPTIONS, RAW_OPTIONS } from "./raw_level.ts";
import { SOCKET_OPTIONS } from "./socket_level.ts";
import { TCP_OPTIONS } from "./tcp_level.ts";

/** Longest value that is read or written; `TCP_INFO` and text are shorter. */
const VALUE_MAX = 512;
const AF_INET6 = 10;

const value = new NativeMemory(VALUE_MAX);

/** Options of a level, or the errno that the level itself fails with. */
function tableOf(owner: OptionOwner, level: number, setting: boolean): OptionTable | number {
  switch (level) {
    case SOL.SOCKET:
      return SOCKET_OPTIONS;
    case SOL.IP:
      return IP_OPTIONS;
    case SOL.IPV6:
      if (owner.domain === AF_INET6) return IPV6_OPTIONS;
      break;
    case SOL.RAW:
      if (owner.type === SOCK.RAW) return RAW_OPTIONS;
      break;
    case SOL.ICMPV6:
      if (owner.type === SOCK.RAW && owner.protocol === IPPROTO.ICMPV6) return ICMPV6_OPTIONS;
      break;
    case SOL.TCP:
      if (owner.protocol === SOL.TCP) return TCP_OPTIONS;
      break;
  }
  return setting ? Errno.ENOPROTOOPT : Errno.EOPNOTSUPP;
}

/** Current value of an int option. */
export function intValue(option: IntOption, owner: OptionOwner, level: number, name: number): number {
  if (option.get !== undefined) return option.get(owner);
  const set = owner.values.get(level, name);
  if (set !== undefined) return set;
  return typeof option.initial === "number" ? option.initial : option.initial(owner);
}

/** Answers `getsockopt`. */
export function answerGet(call: Call, owner: OptionOwner): void {
  const level = call.int(1), name = call.int(2), to = call.arg(3), lengthAt = call.arg(4);
  const table = tableOf(owner, level, false);
  if (typeof table === "number") return void call.fail(table);
  const room = call.readInt(lengthAt);
  if (room === undefined) return;
  if (room < 0) return void call.fail(Errno.EINVAL);
  const option: SocketOption | undefined = table[name];
  if (option === undefined) return void call.fail(Errno.ENOPROTOOPT);
  if (option.form === "refused") return void call.fail(option.getErrno);
  let length: number, number = 0;
  if (option.form === "int") {
    number = intValue(option, owner, level, name);
    value.view.setInt32(0, number, true);
    length = Math.min(room, 4);
    // ip_getsockopt: a program that offers one byte gets one, if the value fits.
    if ((level === SOL.IP) && room > 0 && room < 4 && number >= 0 && number <= 255) length = 1;
  } else {
    const result = option.read(owner, value.view, room);
    if (result < 0) return void call.fail(-result);
    length = Math.min(result, room);
  }
  const written = call.writeInt(lengthAt, length) &&
    (length === 0 || call.writeFrom(to, length, value.address));
  if (written) call.reply(0);
  // It comes again, and must find what this one has taken.
  else if (call.interrupted && level === SOL.SOCKET && name === SO.ERROR) owner.putErrorBack(number);
}

/** Answers `setsockopt`. */
export function answerSet(call: Call, owner: OptionOwner): void {
  const level = call.int(1), name = call.int(2), from = call.arg(3), length = call.int(4);
  const table = tableOf(owner, level, true);
  if (typeof table === "number") return void call.fail(table);
  if (length < 0) return void call.fail(Errno.EINVAL);
  const option: SocketOption | undefined = table[name];
  if (option?.form === "bytes" && option.write !== undefined) {
    const size = Math.min(length, VALUE_MAX);
    if (size > 0 && !call.readInto(from, size, value.address)) return;
    return settle(call, option.write(owner, value.view, size) || owner.changed(level, name));
  }
  // One byte is enough for IP's options, nothing at all is 0; the other levels want an int before they look at the name.
  if (length < 4 && level !== SOL.IP) return void call.fail(Errno.EINVAL);
  value.view.setInt32(0, 0, true);
  const size = length >= 4 ? 4 : length >= 1 ? 1 : 0;
  if (size > 0 && !call.readInto(from, size, value.address)) return;
  if (option === undefined) return void call.fail(Errno.ENOPROTOOPT);
  if (option.form !== "int" || option.accept === undefined) return void call.fail(option.setErrno);
  const accepted = option.accept(value.view.getInt32(0, true), owner);
  const errno = refusedWith(accepted);
  if (errno !== 0) return void call.fail(errno);
  const before = owner.values.get(level, name);
  owner.values.set(level, name, accepted);
  const failed = owner.changed(level, name);
  if (failed !== 0) {
    if (before === undefined) owner.values.delete(level, name);
    else owner.values.set(level, name, before);
  }
  settle(call, failed);
}

function settle(call: Call, errno: number): void {
  if (errno === 0) call.reply(0);
  else call.fail(errno);
}
