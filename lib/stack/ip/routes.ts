/**
 * The routing table: longest prefix first, then the lowest metric, then the oldest route (RFC 1812 section 5.2.4.3).
 *
 * A stack in front of one guest has a handful of routes, so each family is one array in order of preference, scanned
 * from the front. Lookups allocate nothing. `generation` moves with every change: who keeps the answer of a lookup
 * (see `path.ts`) compares it before using that answer again.
 *
 * @module
 */

import type { RouteProtocol } from "../facts.ts";
import { IpAddress, type IpFamily } from "../wire/address.ts";
import type { Nic } from "../nic.ts";

/** One route. */
export interface Route {
  /** First address of the prefix. */
  readonly destination: IpAddress;
  /** Bits of it that count; 0 is the default route. */
  readonly prefixLength: number;
  /** Who forwards for us; without one the destinations are on the link itself. */
  readonly gateway?: IpAddress;
  readonly nic: Nic;
  /** Lower wins among equals. */
  readonly metric: number;
  /** Preferred source address. */
  readonly source?: IpAddress;
  readonly protocol: RouteProtocol;
}

/** What {@linkcode RouteTable.add} takes. */
export interface RouteSpec {
  readonly destination: IpAddress;
  readonly prefixLength: number;
  readonly gateway?: IpAddress;
  readonly nic: Nic;
  /** Default 0. */
  readonly metric?: number;
  readonly source?: IpAddress;
  /** Default `static`. */
  readonly protocol?: RouteProtocol;
}

/** Word `i` (0 to 3) of the mask of an IPv6 prefix, as a signed integer. */
function maskWord(prefixLength: number, i: number): number {
  const bits = prefixLength - i * 32;
  return bits <= 0 ? 0 : bits >= 32 ? -1 : ~(0xffffffff >>> bits);
}

/** Whether `address` lies in `prefix/prefixLength` (same family). */
export function inPrefix(address: IpAddress, prefix: IpAddress, prefixLength: number): boolean {
  if (address.family !== prefix.family) return false;
  if (prefixLength === 0) return true;
  if (address.family === 4) return ((address.d ^ prefix.d) & maskWord(prefixLength, 0)) === 0;
  return ((address.a ^ prefix.a) & maskWord(prefixLength, 0)) === 0 &&
    ((address.b ^ prefix.b) & maskWord(prefixLength, 1)) === 0 &&
    ((address.c ^ prefix.c) & maskWord(prefixLength, 2)) === 0 &&
    ((address.d ^ prefix.d) & maskWord(prefixLength, 3)) === 0;
}

/** The first address of the prefix that `address` lies in. */
export function prefixOf(address: IpAddress, prefixLength: number): IpAddress {
  if (address.family === 4) return IpAddress.v4(address.d & maskWord(prefixLength, 0));
  return new IpAddress(
    6,
    address.a & maskWord(prefixLength, 0),
    address.b & maskWord(prefixLength, 1),
    address.c & maskWord(prefixLength, 2),
    address.d & maskWord(prefixLength, 3),
  );
}

/** The directed broadcast address of an IPv4 prefix; undefined for /31 (RFC 3021) and /32, which have none. */
export function broadcastOf(address: IpAddress, prefixLength: number): IpAddress | undefined {
  if (address.family !== 4 || prefixLength > 30) return undefined;
  return IpAddress.v4(address.d | ~maskWord(prefixLength, 0));
}

/** The routes of a stack. */
export class RouteTable {
  /** Changes whenever the table does. */
  generation = 1;
  readonly #v4: Route[] = [];
  readonly #v6: Route[] = [];

  /** Routes of both families. */
  get size(): number {
    return this.#v4.length + this.#v6.length;
  }

  /**
   * Adds a route, behind those that are as good.
   *
   * @param first in front of them
   * @throws {RangeError} when the prefix length does not fit the family, or the gateway is of the other family
   */
  add(spec: RouteSpec, first = false): Route {
    const { destination, prefixLength, gateway, source } = spec;
    const bits = destination.family === 4 ? 32 : 128;
    if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > bits) {
      throw new RangeError(
        `Cannot add route to ${destination}/${prefixLength}: prefix length is not 0 to ${bits}`,
      );
    }
    if (gateway !== undefined && gateway.family !== destination.family) {
      throw new RangeError(`Cannot add route via ${gateway}: it is of the other address family`);
    }
    const route: Route = {
      destination: prefixOf(destination, prefixLength),
      prefixLength,
      nic: spec.nic,
      metric: spec.metric ?? 0,
      protocol: spec.protocol ?? "static",
      ...(gateway && { gateway }),
      ...(source && { source }),
    };
    const list = this.#list(destination.family);
    let at = 0;
    while (at < list.length && (first ? preferred(list[at]!, route) : !preferred(route, list[at]!))) at++;
    list.splice(at, 0, route);
    this.generation++;
    return route;
  }

  /** Removes a route that `add` returned; false if it is not there. */
  remove(route: Route): boolean {
    const list = this.#list(route.destination.family);
    const at = list.indexOf(route);
    if (at < 0) return false;
    list.splice(at, 1);
    this.generation++;
    return true;
  }

  /** Removes every route that `match` wants gone; returns how many. */
  removeWhere(match: (route: Route) => boolean): number {
    const gone = this.all().filter(match);
    for (const route of gone) this.remove(route);
    return gone.length;
  }

  /** The best route to `destination`, on `nic` only if one is given. */
  lookup(destination: IpAddress, nic?: Nic): Route | undefined {
    const list = this.#list(destination.family);
    for (let i = 0; i < list.length; i++) {
      const route = list[i]!;
      if (nic !== undefined && route.nic !== nic) continue;
      if (inPrefix(destination, route.destination, route.prefixLength)) return route;
    }
    return undefined;
  }

  /** Every route, IPv4 first, best first. */
  all(): Route[] {
    return [...this.#v4, ...this.#v6];
  }

  #list(family: IpFamily): Route[] {
    return family === 4 ? this.#v4 : this.#v6;
  }
}

/** Whether `a` goes before `b`. A tie leaves the older one in front. */
function preferred(a: Route, b: Route): boolean {
  if (a.prefixLength !== b.prefixLength) return a.prefixLength > b.prefixLength;
  return a.metric < b.metric;
}
