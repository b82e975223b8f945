/**
 * Addresses that a guest names for its datagram sockets, with the checks and the errnos of Linux.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { SocketAddress } from "../../../host/structs.ts";
import type { Nic } from "../../../stack/nic.ts";
import type { Stack } from "../../../stack/stack.ts";
import { ANY4, ANY6, IpAddress } from "../../../stack/wire/address.ts";
import type { CallAddress } from "../call.ts";

const LOOPBACK4 = IpAddress.v4(0x7f000001);
const LOOPBACK6 = new IpAddress(6, 0, 0, 0, 1);

/** A copy for the stack, which keeps what it is given. */
export function toIp(address: SocketAddress): IpAddress {
  return new IpAddress(address.family, address.a, address.b, address.c, address.d);
}

/** "This host" is where Linux sends what is addressed to nobody. */
export function orLoopback(address: IpAddress): IpAddress {
  if (!address.isUnspecified()) return address;
  return address.family === 4 ? LOOPBACK4 : LOOPBACK6;
}

/** The unspecified address as a socket of that domain shows it. */
export function anyOf(domain: number): IpAddress {
  return domain === AF.INET6 ? ANY6 : ANY4;
}

/**
 * Whether an address may be given to `bind`.
 *
 * @param length as the guest gave it
 * @returns an errno, 0 for yes
 */
export function bindErrno(
  address: CallAddress,
  length: number,
  domain: number,
  v6only: boolean,
  stack: Stack,
): number {
  const { rawFamily } = address;
  if (domain === AF.INET) {
    if (length < 16) return Errno.EINVAL;
    // Old programs leave the family out, which counts with the unspecified address only.
    if (rawFamily === AF.UNSPEC) return address.d === 0 ? 0 : Errno.EAFNOSUPPORT;
    if (rawFamily !== AF.INET) return Errno.EAFNOSUPPORT;
  } else {
    if (length < 24) return Errno.EINVAL;
    if (rawFamily !== AF.INET6) return Errno.EAFNOSUPPORT;
    if (address.mapped && v6only) return Errno.EINVAL;
    if (address.family === 6 && (address.a >>> 22) === 0x3fa && address.scope === 0) return Errno.EINVAL;
  }
  const ip = toIp(address);
  if (ip.isUnspecified() || stack.owns(ip) || ip.isMulticast() || ip.isLimitedBroadcast()) return 0;
  return isBroadcast(ip, stack) ? 0 : Errno.EADDRNOTAVAIL;
}

/**
 * Whether an address may be a destination.
 *
 * @param connecting `connect` and `sendto` fail differently
 * @returns an errno, 0 for yes
 */
export function targetErrno(
  address: CallAddress,
  domain: number,
  v6only: boolean,
  connecting: boolean,
): number {
  const { rawFamily } = address;
  if (domain === AF.INET) {
    const allowed = rawFamily === AF.INET || (!connecting && rawFamily === AF.UNSPEC);
    return allowed ? 0 : Errno.EAFNOSUPPORT;
  }
  if (rawFamily === AF.INET) return v6only ? (connecting ? Errno.EAFNOSUPPORT : Errno.ENETUNREACH) : 0;
  if (rawFamily !== AF.INET6) return connecting ? Errno.EAFNOSUPPORT : Errno.EINVAL;
  return address.mapped && v6only ? Errno.ENETUNREACH : 0;
}

/** Whether all on a link of ours hear that address. */
export function isBroadcast(address: IpAddress, stack: Stack): boolean {
  return address.isLimitedBroadcast() || stack.nics.some((nic: Nic) => nic.isBroadcast(address));
}

/** The errno of what the stack says when it does not send. */
export function sendErrno(error: string | undefined): number {
  switch (error) {
    case "network-unreachable":
      return Errno.ENETUNREACH;
    case "permission":
      return Errno.EINVAL;
    case "message-size":
      return Errno.EMSGSIZE;
    case "no-buffer-space":
      // The queue of the interface is full: lost, as a datagram may be (udp_send_skb says nothing either).
      return 0;
    default:
      return Errno.EDESTADDRREQ;
  }
}
