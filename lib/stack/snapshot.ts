/**
 * What a stack tells about itself, as plain data.
 *
 * @module
 */

import type { AddressFacts, NeighbourFacts, NicFacts, RouteFacts, SocketFacts, StackFacts } from "./facts.ts";
import type { Neighbour, NeighbourState } from "./ip/neighbours.ts";
import { broadcastOf, type Route } from "./ip/routes.ts";
import { type InterfaceAddress, scopeOf } from "./ip/source_address.ts";
import type { Nic, Traffic } from "./nic.ts";
import type { Stack } from "./stack.ts";
import type { Instant } from "./time.ts";

/** Everything about `stack`, at `now`. Not for the fast path. */
export function snapshotOf(stack: Stack, now: Instant): StackFacts {
  const sockets: SocketFacts[] = [...stack.tcp.facts()];
  for (const endpoint of stack.udp.demux.all()) sockets.push(endpoint.facts());
  for (const endpoint of stack.raw.all()) sockets.push(endpoint.facts());
  return {
    ...networkOf(stack, now),
    sockets,
    counters: Object.fromEntries(Object.entries(stack.counters.all()).filter(([, value]) => value !== 0)),
  };
}

/** The part that does not grow with the number of connections. */
export function networkOf(stack: Stack, now: Instant): Pick<StackFacts, "nics" | "routes" | "neighbours"> {
  const neighbours: NeighbourFacts[] = [];
  for (const nic of stack.nics) {
    for (const entry of nic.neighbours.all()) neighbours.push(neighbourFacts(entry, nic, now));
  }
  return {
    nics: stack.nics.map(nicFacts),
    routes: stack.routes.all().map(routeFacts),
    neighbours,
  };
}

/** {@linkcode networkOf}, made when somebody looks at it. */
export function lazyNetworkOf(stack: Stack, now: Instant): ReturnType<typeof networkOf> {
  let made: ReturnType<typeof networkOf> | undefined;
  const all = () => made ??= networkOf(stack, now);
  return {
    get nics() {
      return all().nics;
    },
    get routes() {
      return all().routes;
    },
    get neighbours() {
      return all().neighbours;
    },
  };
}

function nicFacts(nic: Nic): NicFacts {
  return {
    index: nic.index,
    name: nic.name,
    kind: nic.kind,
    mac: nic.mac.toString(),
    mtu: nic.mtu,
    up: nic.up,
    ...(nic.carrier ? {} : { carrier: false }),
    addresses: nic.addresses.map(addressFacts),
    ...(nic.txQueueLength === 1_000 ? {} : { txQueueLength: nic.txQueueLength }),
    ...(nic.discards ? { dummy: true } : {}),
    qdisc: nic.qdiscFacts(),
    rx: trafficFacts(nic.rx),
    tx: trafficFacts(nic.tx),
  };
}

function trafficFacts({ bytes, packets, errors, dropped }: Traffic): NicFacts["rx"] {
  return { bytes, packets, errors, dropped };
}

function addressFacts(entry: InterfaceAddress): AddressFacts {
  const { address, prefixLength, scope, label, flags } = entry;
  const broadcast = entry.broadcast === undefined && scope !== "host"
    ? broadcastOf(address, prefixLength)
    : entry.broadcast;
  return {
    family: address.family,
    local: address.toString(),
    prefixLength,
    ...(broadcast && { broadcast: broadcast.toString() }),
    scope,
    ...(label === undefined ? {} : { label }),
    ...(flags === undefined || flags === 0 ? {} : { flags }),
  };
}

function routeFacts(route: Route): RouteFacts {
  const { destination, prefixLength, gateway, source, nic, metric, protocol } = route;
  return {
    family: destination.family,
    destination: prefixLength === 0 ? "default" : `${destination}/${prefixLength}`,
    ...(gateway && { gateway: gateway.toString() }),
    device: nic.name,
    metric,
    ...(source && { source: source.toString() }),
    protocol,
    scope: gateway !== undefined ? "global" : nic.kind === "loopback" ? "host" : linkScope(route),
  };
}

/** IPv6 routes have no scope but `global` in Linux; an IPv4 route without a gateway is one to the link. */
function linkScope({ destination }: Route): RouteFacts["scope"] {
  return destination.family === 6 && scopeOf(destination) === "global" ? "global" : "link";
}

const STATE_NAMES = {
  incomplete: "INCOMPLETE",
  reachable: "REACHABLE",
  stale: "STALE",
  delay: "DELAY",
  probe: "PROBE",
  failed: "FAILED",
  permanent: "PERMANENT",
} as const satisfies Record<NeighbourState, NeighbourFacts["state"]>;

function neighbourFacts(entry: Neighbour, nic: Nic, now: Instant): NeighbourFacts {
  const { state } = entry;
  // REACHABLE ends without a timer: see `neighbours.ts`.
  const name = state === "reachable" && now >= entry.until ? "STALE" : STATE_NAMES[state];
  const known = state !== "incomplete" && state !== "failed";
  return {
    address: entry.address.toString(),
    device: nic.name,
    ...(known && { mac: entry.mac.toString() }),
    state: name,
    router: entry.router,
  };
}
