/**
 * Which endpoint a datagram is for.
 *
 * Two hash tables with integer keys: connected endpoints by their four-tuple, the others by local port. A connected one
 * wins over a bound one, and one that named the local address over one that did not.
 *
 * @module
 */

import type { Nic } from "../nic.ts";
import type { IpAddress } from "../wire/address.ts";
import type { UdpEndpoint } from "./endpoint.ts";

const INITIAL_BUCKETS = 64;

/** A hash table of endpoints with chains. Grows by doubling. */
class EndpointTable {
  #buckets = new Array<UdpEndpoint | undefined>(INITIAL_BUCKETS).fill(undefined);
  #size = 0;
  readonly #hashOf: (endpoint: UdpEndpoint) => number;

  constructor(hashOf: (endpoint: UdpEndpoint) => number) {
    this.#hashOf = hashOf;
  }

  /** Head of the chain for a hash. */
  chain(hash: number): UdpEndpoint | undefined {
    return this.#buckets[hash & (this.#buckets.length - 1)];
  }

  add(endpoint: UdpEndpoint): void {
    if (this.#size >= this.#buckets.length * 2) this.#grow();
    this.#insert(endpoint);
    this.#size++;
  }

  delete(endpoint: UdpEndpoint): void {
    const slot = this.#hashOf(endpoint) & (this.#buckets.length - 1);
    let at = this.#buckets[slot];
    if (at === endpoint) this.#buckets[slot] = endpoint.chain;
    else {
      while (at !== undefined && at.chain !== endpoint) at = at.chain;
      if (at === undefined) return;
      at.chain = endpoint.chain;
    }
    endpoint.chain = undefined;
    this.#size--;
  }

  #insert(endpoint: UdpEndpoint): void {
    const slot = this.#hashOf(endpoint) & (this.#buckets.length - 1);
    endpoint.chain = this.#buckets[slot];
    this.#buckets[slot] = endpoint;
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array<UdpEndpoint | undefined>(old.length * 4).fill(undefined);
    for (let next of old) {
      while (next !== undefined) {
        const endpoint: UdpEndpoint = next;
        next = endpoint.chain;
        this.#insert(endpoint);
      }
    }
  }
}

function tupleHash(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): number {
  const mixed = Math.imul(local.hash() ^ Math.imul(remote.hash(), 0x9e3779b1), 0x85ebca6b) ^
    Math.imul((localPort << 16) | remotePort, 0xc2b2ae35);
  return mixed ^ (mixed >>> 15);
}

/** All UDP endpoints. */
export class UdpDemux {
  readonly #connected = new EndpointTable((endpoint) =>
    tupleHash(endpoint.localAddress!, endpoint.localPort, endpoint.remoteAddress!, endpoint.remotePort)
  );
  readonly #bound = new EndpointTable((endpoint) => endpoint.localPort);
  readonly #all = new Set<UdpEndpoint>();

  get size(): number {
    return this.#all.size;
  }

  /** Every endpoint, oldest first. */
  all(): Iterable<UdpEndpoint> {
    return this.#all;
  }

  add(endpoint: UdpEndpoint): void {
    this.#all.add(endpoint);
    (endpoint.remoteAddress === undefined ? this.#bound : this.#connected).add(endpoint);
  }

  delete(endpoint: UdpEndpoint): void {
    if (!this.#all.delete(endpoint)) return;
    (endpoint.remoteAddress === undefined ? this.#bound : this.#connected).delete(endpoint);
  }

  /** Whether an endpoint that is to be bound would be in the way of another one. */
  taken(
    local: IpAddress | undefined,
    localPort: number,
    remote: IpAddress | undefined,
    remotePort: number,
    nic: Nic | undefined,
  ): boolean {
    if (remote !== undefined) return this.connected(local!, localPort, remote, remotePort) !== undefined;
    for (let at = this.#bound.chain(localPort); at !== undefined; at = at.chain) {
      if (at.localPort !== localPort) continue;
      if (nic !== undefined && at.nic !== undefined && at.nic !== nic) continue;
      if (local === undefined || at.localAddress === undefined || at.localAddress.equals(local)) return true;
    }
    return false;
  }

  /** The connected endpoint with exactly this four-tuple. */
  connected(
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
  ): UdpEndpoint | undefined {
    let at = this.#connected.chain(tupleHash(local, localPort, remote, remotePort));
    while (at !== undefined) {
      if (
        at.localPort === localPort && at.remotePort === remotePort && at.remoteAddress!.equals(remote) &&
        at.localAddress!.equals(local)
      ) return at;
      at = at.chain;
    }
    return undefined;
  }

  /**
   * The endpoint for a datagram.
   *
   * @param foreign the local address is not ours: only who named it hears it
   */
  lookup(
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
    nic: Nic | undefined,
    foreign: boolean,
  ): UdpEndpoint | undefined {
    const exact = this.connected(local, localPort, remote, remotePort);
    if (exact !== undefined && (exact.nic === undefined || nic === undefined || exact.nic === nic)) {
      return exact;
    }
    let best: UdpEndpoint | undefined;
    for (let at = this.#bound.chain(localPort); at !== undefined; at = at.chain) {
      if (at.localPort !== localPort) continue;
      if (at.nic !== undefined && nic !== undefined && at.nic !== nic) continue;
      if (at.localAddress === undefined) {
        if (!foreign && at.hears(local.family)) best ??= at;
      } else if (at.localAddress.equals(local)) return at;
    }
    return best;
  }

  /** The bound endpoint after `previous` (or the first) that hears datagrams to a group or to everybody. */
  nextGroup(
    previous: UdpEndpoint | undefined,
    group: IpAddress,
    localPort: number,
    nic: Nic,
  ): UdpEndpoint | undefined {
    let at = previous === undefined ? this.#bound.chain(localPort) : previous.chain;
    for (; at !== undefined; at = at.chain) {
      if (at.localPort !== localPort || (at.nic !== undefined && at.nic !== nic)) continue;
      if (at.localAddress === undefined ? at.hears(group.family) : at.localAddress.equals(group)) return at;
    }
    return undefined;
  }
}
