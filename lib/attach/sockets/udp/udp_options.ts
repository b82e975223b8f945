/**
 * Options that only sockets of datagrams have: those of level `SOL_UDP`, and the membership in groups.
 *
 * @module
 */

import { AF, SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import type { Call } from "../call.ts";
import type { OptionValues } from "../options/option.ts";
import { type GroupInterface, IP_MULTICAST_IF } from "./group_interface.ts";
import type { Memberships } from "./memberships.ts";

/** `UDP_CORK`, `UDP_NO_CHECK6_TX`, `UDP_NO_CHECK6_RX`: remembered. `UDP_SEGMENT` is real; `UDP_GRO` is not offered. */
const STORED: readonly number[] = [1, 101, 102];
const SEGMENT = 103;
/** Most bytes of one segment. */
const SEGMENT_MAX = 0xffff;

const ADD_MEMBERSHIP = 35, DROP_MEMBERSHIP = 36, ADD_MEMBERSHIP6 = 20, DROP_MEMBERSHIP6 = 21;
/** Of either level, with an address of any family. */
const JOIN_GROUP = 42, LEAVE_GROUP = 45;

/** The socket whose option it is. */
export interface UdpOptionOwner {
  readonly domain: number;
  readonly values: OptionValues;
  readonly memberships: Memberships;
  readonly groupInterface: GroupInterface;
}

/** Answers the call if the option is one of these; false: it is not. */
export function udpOption(owner: UdpOptionOwner, call: Call, setting: boolean): boolean {
  const level = call.int(1), name = call.int(2);
  if (level === SOL.UDP) {
    if (setting) setUdp(owner, call, name);
    else getUdp(owner, call, name);
    return true;
  }
  if (!setting) return false;
  const v4 = level === SOL.IP, v6 = level === SOL.IPV6 && owner.domain === AF.INET6;
  if (v4 && name === IP_MULTICAST_IF) {
    owner.groupInterface.set(call);
    return true;
  }
  if (v4 && (name === ADD_MEMBERSHIP || name === DROP_MEMBERSHIP)) {
    change(owner, call, name === ADD_MEMBERSHIP, 8, (view) => IpAddress.readV4(view, 0));
    return true;
  }
  if (v6 && (name === ADD_MEMBERSHIP6 || name === DROP_MEMBERSHIP6)) {
    change(owner, call, name === ADD_MEMBERSHIP6, 20, (view) => IpAddress.readV6(view, 0));
    return true;
  }
  if ((v4 || v6) && (name === JOIN_GROUP || name === LEAVE_GROUP)) {
    change(owner, call, name === JOIN_GROUP, 136, (view) => {
      return view.getUint16(8, true) === AF.INET ? IpAddress.readV4(view, 12) : IpAddress.readV6(view, 16);
    });
    return true;
  }
  return false;
}

function change(
  { memberships }: UdpOptionOwner,
  call: Call,
  join: boolean,
  least: number,
  groupOf: (view: DataView) => IpAddress,
): void {
  if (call.int(4) < least) return void call.fail(Errno.EINVAL);
  if (call.readBytes(call.arg(3), least) === undefined) return;
  const group = groupOf(call.scratch.view);
  const errno = !group.isMulticast()
    ? Errno.EINVAL
    : join
    ? memberships.join(group)
    : memberships.leave(group);
  if (errno === 0) call.reply(0);
  else call.fail(errno);
}

function setUdp({ values }: UdpOptionOwner, call: Call, name: number): void {
  if (call.int(4) < 4) return void call.fail(Errno.EINVAL);
  const value = call.readInt(call.arg(3));
  if (value === undefined) return;
  if (name === SEGMENT) {
    if (value < 0 || value > SEGMENT_MAX) return void call.fail(Errno.EINVAL);
    values.set(SOL.UDP, name, value);
  } else if (STORED.includes(name)) {
    values.set(SOL.UDP, name, value === 0 ? 0 : 1);
  } else {
    return void call.fail(Errno.ENOPROTOOPT);
  }
  call.reply(0);
}

function getUdp({ values }: UdpOptionOwner, call: Call, name: number): void {
  const room = call.readInt(call.arg(4));
  if (room === undefined) return;
  if (room < 0) return void call.fail(Errno.EINVAL);
  if (name !== SEGMENT && !STORED.includes(name)) return void call.fail(Errno.ENOPROTOOPT);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, values.get(SOL.UDP, name) ?? 0, true);
  const length = Math.min(room, 4);
  if (!call.writeInt(call.arg(4), length)) return;
  if (length > 0 && !call.writeBytes(call.arg(3), bytes.subarray(0, length))) return;
  call.reply(0);
}
