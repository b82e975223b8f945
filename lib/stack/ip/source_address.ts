/**
 * Which of our addresses a packet should come from: RFC 6724 section 5, without the rules that need temporary,
 * deprecated or home addresses, of which we have none.
 *
 * @module
 */

import type { IpAddress } from "../wire/address.ts";
import type { AddressFacts } from "../facts.ts";

/** An address of an interface. */
export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly scope: AddressFacts["scope"];
  /** What `ip addr` shows as the broadcast address; absent: the prefix' own; null: none. Nothing else depends on it. */
  readonly broadcast?: IpAddress | null;
  /** `eth0:1`; absent: the interface's name. */
  readonly label?: string;
  /** `IFA_F_NODAD`, `IFA_F_NOPREFIXROUTE` as they were asked for. */
  readonly flags?: number;
  /** Of the route to its prefix. */
  readonly metric?: number;
}

const WIDTH: Readonly<Record<AddressFacts["scope"], number>> = { host: 0, link: 1, global: 2 };

/** The scope of a destination or of an address of ours, as RFC 6724 section 3.1 compares them. */
export function scopeOf(address: IpAddress): AddressFacts["scope"] {
  if (address.isLoopback()) return "host";
  if (address.isMulticast() && address.family === 6) {
    return ((address.a >>> 16) & 15) <= 2 ? "link" : "global";
  }
  return address.isLinkLocal() ? "link" : "global";
}

/** The best of `candidates` for `destination`; undefined if none is of its family. */
export function selectSource(
  destination: IpAddress,
  candidates: readonly InterfaceAddress[],
): IpAddress | undefined {
  let best: InterfaceAddress | undefined;
  for (const candidate of candidates) {
    if (candidate.address.family !== destination.family) continue;
    if (best === undefined || better(candidate, best, destination)) best = candidate;
  }
  return best?.address;
}

function better(a: InterfaceAddress, b: InterfaceAddress, destination: IpAddress): boolean {
  // Rule 1: prefer same address.
  if (b.address.equals(destination)) return false;
  if (a.address.equals(destination)) return true;
  // Rule 2: prefer appropriate scope.
  const want = WIDTH[scopeOf(destination)];
  const scopeA = WIDTH[a.scope];
  const scopeB = WIDTH[b.scope];
  if (scopeA !== scopeB) return scopeA < scopeB ? scopeA >= want : scopeB < want;
  // Rule 8: use longest matching prefix, no longer than the candidate's own.
  const matchA = Math.min(commonPrefix(a.address, destination), a.prefixLength);
  const matchB = Math.min(commonPrefix(b.address, destination), b.prefixLength);
  return matchA > matchB;
}

/** How many leading bits two addresses of one family share. */
export function commonPrefix(a: IpAddress, b: IpAddress): number {
  if (a.family === 4) return Math.clz32(a.d ^ b.d);
  if (a.a !== b.a) return Math.clz32(a.a ^ b.a);
  if (a.b !== b.b) return 32 + Math.clz32(a.b ^ b.b);
  if (a.c !== b.c) return 64 + Math.clz32(a.c ^ b.c);
  return 96 + Math.clz32(a.d ^ b.d);
}
