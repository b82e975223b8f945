/**
 * The resolved way to a destination: which interface, which source address, which neighbour, which MTU.
 *
 * A TCP connection and a connected UDP endpoint keep their path, so that sending a packet looks nothing up. What it was
 * made from may change; `PathResolver.refresh` compares two generation numbers and resolves again only then.
 *
 * @module
 */

import type { Nic } from "../nic.ts";
import type { TcpPath } from "../tcp/context.ts";
import { type Instant, later, NEVER } from "../time.ts";
import type { IpAddress } from "../wire/address.ts";
import { MacAddress } from "../wire/ethernet.ts";
import type { Neighbour } from "./neighbours.ts";
import { PATH_MTU_RECHECK, type PathMtuCache } from "./path_mtu.ts";
import type { RouteTable } from "./routes.ts";
import { selectSource } from "./source_address.ts";

/** Why there is no way. */
export type NoPath = "network-unreachable" | "permission";

/** A way to one destination. */
export class IpPath implements TcpPath {
  readonly destination: IpAddress;
  readonly source: IpAddress;
  nic: Nic;
  /** The destination itself, or the router to it. */
  nextHop: IpAddress;
  /** Set for groups and broadcasts, and on the loopback: nobody needs to be asked. */
  hardware: MacAddress | undefined = undefined;
  neighbour: Neighbour | undefined = undefined;
  /** Of the whole path: the interface's MTU, or what a router complained about. */
  mtu = 0;
  gsoMaxSize = 0;
  /** Asked for by the caller: no other interface may be used. */
  readonly bound: boolean;
  routeGeneration = 0;
  mtuGeneration = 0;
  mtuCheckAt: Instant = NEVER;
  /** Counts IPv4 identifications (RFC 6864 section 5.2: unique per path while it may be fragmented). */
  identification = 0;

  constructor(destination: IpAddress, source: IpAddress, nic: Nic, nextHop: IpAddress, bound: boolean) {
    this.destination = destination;
    this.source = source;
    this.nic = nic;
    this.nextHop = nextHop;
    this.bound = bound;
  }
}

/** What finding a path needs to know of the stack. */
export interface PathContext {
  readonly routes: RouteTable;
  readonly pathMtus: PathMtuCache;
  readonly loopback: Nic;
  /** The interface for groups and broadcasts when no route says. */
  readonly firstNic: Nic | undefined;
  /** Whether an interface of ours has this address. */
  owns(address: IpAddress): boolean;
  random(): number;
}

/** Hardware address of everything on the loopback. */
const NOBODY: MacAddress = new MacAddress(0, 0);
const EVERYBODY: MacAddress = new MacAddress(0xffff, -1);

/** Finds paths. */
export class PathResolver {
  readonly #context: PathContext;

  constructor(context: PathContext) {
    this.#context = context;
  }

  /**
   * The way to `destination`. Addresses are kept: hand in clones of scratch ones.
   *
   * @param source the address to send from; one of ours unless the interface may spoof
   * @param nic the only interface to use
   */
  resolve(destination: IpAddress, now: Instant, source?: IpAddress, nic?: Nic): IpPath | NoPath {
    const { routes, loopback } = this.#context;
    let via: Nic;
    let nextHop = destination;
    let preferred: IpAddress | undefined;
    if (destination.isLoopback() || this.#context.owns(destination)) via = loopback;
    else if (destination.isUnspecified()) return "network-unreachable";
    else {
      const route = routes.lookup(destination, nic);
      const group = destination.isMulticast() || destination.isLimitedBroadcast();
      if (route !== undefined && !destination.isLimitedBroadcast()) {
        via = route.nic;
        if (!group) nextHop = route.gateway ?? destination;
        preferred = route.source;
      } else {
        const first = group ? nic ?? this.#context.firstNic : undefined;
        if (first === undefined) return "network-unreachable";
        via = first;
      }
    }
    if (via.closed) return "network-unreachable";
    if (source !== undefined && !source.isUnspecified()) {
      if (source.family !== destination.family) return "network-unreachable";
      if (!this.#context.owns(source) && !(nic ?? via).spoofing) return "permission";
    } else {
      source = preferred ?? selectSource(nextHop, via.addresses) ?? selectSource(destination, via.addresses);
      if (source === undefined) return "network-unreachable";
      // To one of our own addresses we speak from that address, as Linux does.
      if (via === loopback && !destination.isLoopback() && this.#context.owns(destination)) {
        source = destination;
      }
    }
    const path = new IpPath(destination, source, via, nextHop, nic !== undefined);
    path.identification = this.#context.random() & 0xffff;
    this.#fill(path, now);
    return path;
  }

  /** Makes sure that a kept path is still true. False: there is no way any more, the old one is left as it was. */
  refresh(path: IpPath, now: Instant): boolean {
    const { routes, pathMtus } = this.#context;
    if (
      path.routeGeneration === routes.generation && path.mtuGeneration === pathMtus.generation &&
      now < path.mtuCheckAt
    ) return true;
    if (path.routeGeneration !== routes.generation) {
      path.routeGeneration = routes.generation;
      const fresh = this.resolve(path.destination, now, path.source, path.bound ? path.nic : undefined);
      if (typeof fresh === "string") return false;
      path.nic = fresh.nic;
      path.nextHop = fresh.nextHop;
    }
    this.#fill(path, now);
    return true;
  }

  #fill(path: IpPath, now: Instant): void {
    const { routes, pathMtus, loopback } = this.#context;
    const { nic, destination } = path;
    path.routeGeneration = routes.generation;
    const estimate = pathMtus.lookup(destination, now);
    path.mtuGeneration = pathMtus.generation;
    path.mtuCheckAt = estimate === 0 ? NEVER : later(now, PATH_MTU_RECHECK);
    path.mtu = estimate === 0 ? nic.mtu : Math.min(nic.mtu, estimate);
    path.gsoMaxSize = nic.gsoMaxSize;
    path.neighbour = undefined;
    path.hardware = nic === loopback ? NOBODY : groupHardware(destination, nic);
  }
}

/** The hardware address that a group or broadcast address maps to; undefined for an ordinary address. */
function groupHardware(destination: IpAddress, nic: Nic): MacAddress | undefined {
  if (nic.discards) return EVERYBODY; // There is nobody to ask.
  if (destination.isMulticast()) {
    return destination.family === 4 ? MacAddress.multicast4(destination) : MacAddress.multicast6(destination);
  }
  if (destination.isLimitedBroadcast() || nic.isBroadcast(destination)) return EVERYBODY;
  return undefined;
}
