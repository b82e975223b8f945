/**
 * IPv6 addresses that are made from a hardware address.
 *
 * @module
 */

import { IpAddress } from "../wire/address.ts";
import type { MacAddress } from "../wire/ethernet.ts";

/** fe80::/64 with the interface identifier of a hardware address. */
export function linkLocalOf(mac: MacAddress): IpAddress {
  return withInterfaceId(new IpAddress(6, 0xfe800000 | 0, 0, 0, 0), mac);
}

/** The first 64 bits of `prefix`, and the modified EUI-64 of a hardware address (RFC 4291 appendix A). */
export function withInterfaceId({ a, b }: IpAddress, { high, low }: MacAddress): IpAddress {
  const upper = (high << 16) ^ 0x02000000 | (low >>> 16) & 0xff00 | 0xff;
  return new IpAddress(6, a, b, upper, 0xfe000000 | low & 0xffffff);
}
