/**
 * Options of level `SOL_NETLINK` (`netlink_setsockopt`, `netlink_getsockopt`).
 *
 * @module
 */

import { SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { Call } from "../call.ts";
import type { OptionValues } from "../options/option.ts";
import { NETLINK_OPTION } from "./numbers.ts";

/** Groups of `NETLINK_ROUTE` in Linux 6.18 (`RTNLGRP_MAX`); `NETLINK_SOCK_DIAG` has fewer. */
const GROUPS_MAX = 39;
/** Bytes of the bit map of groups. */
const GROUPS_BYTES = 8;

const O = NETLINK_OPTION;
const FLAGS: readonly number[] = [
  O.PKTINFO,
  O.BROADCAST_ERROR,
  O.NO_ENOBUFS,
  O.LISTEN_ALL_NSID,
  O.CAP_ACK,
  O.EXT_ACK,
  O.GET_STRICT_CHK,
];

/** The groups that a socket has joined: one bit each, group 1 first. */
export class Groups {
  readonly bits: Uint32Array<ArrayBuffer> = new Uint32Array(GROUPS_BYTES / 4);

  /** Replaces the first 32, which are what an address tells. */
  set first(mask: number) {
    this.bits[0] = mask;
  }
  get first(): number {
    return this.bits[0]!;
  }

  /** Whether any has been joined. */
  get any(): boolean {
    return this.bits.some((word) => word !== 0);
  }

  has(group: number): boolean {
    return (this.bits[(group - 1) >> 5]! & 1 << ((group - 1) & 31)) !== 0;
  }

  clear(): void {
    this.bits.fill(0);
  }

  change(group: number, member: boolean): void {
    const word = (group - 1) >> 5, bit = 1 << ((group - 1) & 31);
    if (member) this.bits[word]! |= bit;
    else this.bits[word]! &= ~bit;
  }
}

/** Answers `setsockopt`. */
export function setNetlinkOption(call: Call, values: OptionValues, groups: Groups): void {
  const name = call.int(2), length = call.int(4);
  let value = 0;
  if (length >= 4) {
    const read = call.readInt(call.arg(3));
    if (read === undefined) return;
    value = read;
  }
  if (name === O.ADD_MEMBERSHIP || name === O.DROP_MEMBERSHIP) {
    if (value < 1 || value > GROUPS_MAX) return void call.fail(Errno.EINVAL);
    groups.change(value, name === O.ADD_MEMBERSHIP);
  } else if (name === O.LISTEN_ALL_NSID) {
    // Asks for CAP_NET_BROADCAST, which nobody has here.
    return void call.fail(Errno.EPERM);
  } else if (FLAGS.includes(name)) {
    values.set(SOL.NETLINK, name, value === 0 ? 0 : 1);
  } else {
    return void call.fail(Errno.ENOPROTOOPT);
  }
  call.reply(0);
}

/** Answers `getsockopt`. */
export function getNetlinkOption(call: Call, values: OptionValues, groups: Groups): void {
  const name = call.int(2), to = call.arg(3), lengthAt = call.arg(4);
  const room = call.readInt(lengthAt);
  if (room === undefined) return;
  if (room < 0) return void call.fail(Errno.EINVAL);
  if (name === O.LIST_MEMBERSHIPS) {
    const bytes = new Uint8Array(groups.bits.buffer).subarray(0, Math.min(room, GROUPS_BYTES) & ~3);
    if (bytes.length > 0 && !call.writeBytes(to, bytes)) return;
    if (call.writeInt(lengthAt, GROUPS_BYTES)) call.reply(0);
    return;
  }
  if (!FLAGS.includes(name)) return void call.fail(Errno.ENOPROTOOPT);
  if (room < 4) return void call.fail(Errno.EINVAL);
  if (call.writeInt(lengthAt, 4) && call.writeInt(to, values.get(SOL.NETLINK, name) ?? 0)) call.reply(0);
}
