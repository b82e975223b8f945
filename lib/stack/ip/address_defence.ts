/**
 * When to say again that an address is ours, after somebody else on the link has claimed it.
 *
 * RFC 5227 section 2.4 (c): a host that must keep its address defends it by one announcement, and by no more than one in
 * DEFEND_INTERVAL, so that two such hosts do not shout at each other for ever. The same is right for IPv6
 * (RFC 4861 section 7.2.6 allows unsolicited advertisements, and few of them).
 *
 * @module
 */

import type { Nic } from "../nic.ts";
import { type Instant, later, SECOND } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import type { InterfaceAddress } from "./source_address.ts";

/** RFC 5227 section 1.1. */
const DEFEND_INTERVAL = 10 * SECOND;

/** Remembers, for each address of ours, when it was last defended. */
export class AddressDefence {
  readonly #quietUntil = new WeakMap<InterfaceAddress, Instant>();

  /** Whether to announce now that `address` of `nic` is ours; the next time is later then. */
  due(nic: Nic, address: IpAddress, now: Instant): boolean {
    if (!nic.defendAddresses) return false;
    const own = nic.addresses.find((entry) => entry.address.equals(address));
    if (own === undefined || now < (this.#quietUntil.get(own) ?? 0)) return false;
    this.#quietUntil.set(own, later(now, DEFEND_INTERVAL));
    return true;
  }
}
