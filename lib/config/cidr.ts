/**
 * Addresses with a prefix length: `10.0.2.100/24`, `fd00::64/64`.
 *
 * @module
 */

import { IpAddress, type IpFamily } from "../stack/wire/address.ts";

/** The address of an interface and the length of its network's prefix. */
export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

/** What an address without a mask gets. */
export const DEFAULT_PREFIX: Readonly<Record<IpFamily, number>> = { 4: 24, 6: 64 };

/**
 * Reads `ADDRESS[/LENGTH]`. Returns the reason as a string if it is not one; a missing length is
 * {@linkcode DEFAULT_PREFIX}.
 */
export function parseCidr(text: string): InterfaceAddress | string {
  const slash = text.indexOf("/");
  const address = IpAddress.parse(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return "not an IP address";
  if (slash < 0) return { address, prefixLength: DEFAULT_PREFIX[address.family] };
  const digits = text.slice(slash + 1);
  const longest = address.family === 4 ? 32 : 128;
  // No leading zeros and no sign: one network has one spelling.
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits) || Number(digits) > longest) {
    return `the prefix length must be a number from 0 to ${longest}`;
  }
  return { address, prefixLength: Number(digits) };
}

/** `10.0.2.100/24`. */
export function formatCidr(cidr: InterfaceAddress): string {
  return `${cidr.address}/${cidr.prefixLength}`;
}

/** The address with every bit after the prefix cleared, plus `host` in the last 32 bits. */
export function networkAddress(cidr: InterfaceAddress, host = 0): IpAddress {
  const { address, prefixLength } = cidr;
  if (address.family === 4) return IpAddress.v4((address.d & mask(prefixLength)) + host);
  const words = [address.a, address.b, address.c, address.d];
  const [a, b, c, d] = words.map((word, i) => word & mask(prefixLength - 32 * i)) as [
    number,
    number,
    number,
    number,
  ];
  return new IpAddress(6, a, b, c, (d + host) | 0);
}

/** Both are of one family and agree in the prefix. */
export function contains(cidr: InterfaceAddress, address: IpAddress): boolean {
  return cidr.address.family === address.family &&
    networkAddress(cidr).equals(networkAddress({ address, prefixLength: cidr.prefixLength }));
}

/** 255.255.255.255 or all host bits set, where a network has a broadcast address (RFC 3021: not /31, nor /32). */
export function isBroadcast(cidr: InterfaceAddress, address: IpAddress): boolean {
  if (address.family !== 4) return false;
  if (address.isLimitedBroadcast()) return true;
  return cidr.prefixLength < 31 && contains(cidr, address) && (address.d | mask(cidr.prefixLength)) === -1;
}

/** Why an address cannot belong to an interface of this network; undefined: it can. */
export function whyUnfit(cidr: InterfaceAddress, address: IpAddress): string | undefined {
  if (address.isUnspecified()) return "it is the unspecified address";
  if (address.isLoopback()) return "it is a loopback address";
  if (address.isMulticast()) return "it is a multicast address";
  if (address.isV4Mapped()) return "it is an IPv4-mapped address";
  if (isBroadcast(cidr, address)) return "it is the broadcast address";
  if (cidr.prefixLength === 0) return "a prefix length of 0 leaves no address to route to";
  // RFC 3021 and RFC 6164: the two addresses of a point-to-point link are both hosts.
  const hasNetworkAddress = cidr.prefixLength < (address.family === 4 ? 31 : 127);
  return hasNetworkAddress && address.equals(networkAddress(cidr))
    ? "it is the network's own address"
    : undefined;
}

/** The first `length` of 32 bits, as a signed integer; clamped to 0…32. */
function mask(length: number): number {
  // A shift by 32 is a shift by 0 in this language.
  return length <= 0 ? 0 : length >= 32 ? -1 : -1 << (32 - length);
}
