/**
 * The addresses of one interface, and what packets are compared with: is it ours, is it our broadcast, is it on this link.
 *
 * @module
 */

import { IpAddress } from "../wire/address.ts";
import { broadcastOf, inPrefix } from "./routes.ts";
import type { InterfaceAddress } from "./source_address.ts";

/** A list with answers. Lookups allocate nothing. */
export class InterfaceAddresses {
  #list: InterfaceAddress[] = [];
  #broadcasts: IpAddress[] = [];

  /** In the order in which they came. */
  get list(): readonly InterfaceAddress[] {
    return this.#list;
  }

  add(entry: InterfaceAddress): void {
    this.#list.push(entry);
    this.#rebuild();
  }

  /** Takes the entry's place that has the same address; false: there is none. */
  replace(entry: InterfaceAddress): boolean {
    const at = this.#list.findIndex(({ address }) => address.equals(entry.address));
    if (at < 0) return false;
    this.#list[at] = entry;
    this.#rebuild();
    return true;
  }

  /** False: it was not there. */
  remove(address: IpAddress): boolean {
    const at = this.#list.findIndex((entry) => entry.address.equals(address));
    if (at < 0) return false;
    this.#list.splice(at, 1);
    this.#rebuild();
    return true;
  }

  /** Whether `address` is one of them. */
  owns(address: IpAddress): boolean {
    const list = this.#list;
    for (let i = 0; i < list.length; i++) if (list[i]!.address.equals(address)) return true;
    return false;
  }

  /** Whether `address` is the directed broadcast address of one of the prefixes. */
  isBroadcast(address: IpAddress): boolean {
    const list = this.#broadcasts;
    for (let i = 0; i < list.length; i++) if (list[i]!.d === address.d && address.family === 4) return true;
    return false;
  }

  /** Whether `address` lies on the link, by one of the prefixes. */
  onLink(address: IpAddress): boolean {
    const list = this.#list;
    for (let i = 0; i < list.length; i++) {
      const { address: own, prefixLength } = list[i]!;
      if (inPrefix(address, own, prefixLength)) return true;
    }
    return address.family === 6 && address.isLinkLocal();
  }

  /** The first IPv6 address that is good on this link only. */
  get linkLocal(): IpAddress | undefined {
    return this.#list.find(({ address }) => address.family === 6 && address.isLinkLocal())?.address;
  }

  #rebuild(): void {
    this.#broadcasts = [];
    for (const { address, prefixLength } of this.#list) {
      const broadcast = broadcastOf(address, prefixLength);
      if (broadcast !== undefined) this.#broadcasts.push(broadcast);
    }
  }
}
