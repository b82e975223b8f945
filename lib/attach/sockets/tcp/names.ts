/**
 * Socket addresses of the guest → addresses of the stack, with the errno of Linux for what does not fit the socket.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { ANY4, ANY6, IpAddress } from "../../../stack/wire/address.ts";
import type { Call, CallAddress } from "../call.ts";

const SOCKADDR_IN = 16;
const SOCKADDR_IN6_OLD = 24;

/** An address of the stack out of the guest's. */
function stackAddress(given: CallAddress): IpAddress {
  return new IpAddress(given.family, given.a, given.b, given.c, given.d);
}

/** Whether `length` bytes are enough for an address of the socket's family. */
function isShort(domain: number, length: number): boolean {
  return length < (domain === AF.INET6 ? SOCKADDR_IN6_OLD : SOCKADDR_IN);
}

/** An unspecified address of the family. */
export function anyOf(domain: number): IpAddress {
  return domain === AF.INET6 ? ANY6 : ANY4;
}

/**
 * What `bind` names, for `inet_bind` and `inet6_bind`.
 *
 * @returns an address, unmapped, or an errno. The unspecified address may be mapped: `0.0.0.0` of an IPv6 socket.
 */
export function bindName(
  given: CallAddress,
  call: Call,
  domain: number,
  v6Only: boolean,
): IpAddress | number {
  if (isShort(domain, call.int(2))) return Errno.EINVAL;
  if (domain === AF.INET) {
    if (given.rawFamily === AF.INET) return stackAddress(given);
    // "Compatibility games": AF_UNSPEC with 0.0.0.0.
    const unspecified = given.rawFamily === AF.UNSPEC && call.scratch.view.getInt32(4) === 0;
    return unspecified ? ANY4 : Errno.EAFNOSUPPORT;
  }
  if (given.rawFamily !== AF.INET6) return Errno.EAFNOSUPPORT;
  const address = stackAddress(given);
  if (address.family === 4) return v6Only ? Errno.EINVAL : address;
  if (address.isMulticast()) return Errno.EINVAL;
  if (address.isLinkLocal() && given.scope === 0) return Errno.EINVAL;
  return address;
}

/** The port of an AF_UNSPEC address, which `readSockaddr` leaves alone. */
export function portOf(given: CallAddress, call: Call): number {
  return given.rawFamily === AF.UNSPEC ? call.scratch.view.getUint16(2) : given.port;
}

/** What `connect` names, for `tcp_v4_connect` and `tcp_v6_connect`: an address, unmapped, or an errno. */
export function connectName(
  given: CallAddress,
  length: number,
  domain: number,
  v6Only: boolean,
): IpAddress | number {
  if (isShort(domain, length)) return Errno.EINVAL;
  if (given.rawFamily !== domain) return Errno.EAFNOSUPPORT;
  const address = stackAddress(given);
  if (domain === AF.INET6 && address.family === 4 && v6Only) return Errno.ENETUNREACH;
  // "connect() to INADDR_ANY means loopback (BSD'ism)".
  if (address.isUnspecified()) {
    return address.family === 4 ? IpAddress.v4(0x7f000001) : new IpAddress(6, 0, 0, 0, 1);
  }
  if (address.isMulticast() || address.isLimitedBroadcast()) return Errno.ENETUNREACH;
  if (address.family === 6 && address.isLinkLocal() && given.scope === 0) return Errno.EINVAL;
  return address;
}
