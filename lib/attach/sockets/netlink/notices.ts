/**
 * What has changed between two looks at a network, as the messages in which a kernel tells it to the groups of rtnetlink.
 *
 * Changes come from many sides: the guest's own requests with all that follows from them, leases, router advertisements, a
 * cable. Comparing what was with what is tells of all of them, whoever made them.
 *
 * @module
 */

import type { AddressFacts, NeighbourFacts, NicFacts } from "../../../stack/facts.ts";
import { writeAddress } from "./address.ts";
import { flagsOf, writeLink } from "./link.ts";
import { writeNeighbour } from "./neighbour.ts";
import { NLM_F, RTM, RTNLGRP } from "./numbers.ts";
import { ReplyWriter } from "./reply_writer.ts";
import type { Envelope } from "./request.ts";
import { type KernelRoute, kernelRoutes, writeRoute } from "./route.ts";
import type { NetworkFacts } from "./rtnetlink.ts";

/** One message, and the group that hears it. */
export interface Notice {
  /** `RTNLGRP_…` */
  readonly group: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The request that a change was made by. */
export interface Cause extends Envelope {
  /** `RTM_…`, `NLM_F_…` */
  readonly type: number;
  readonly flags: number;
}

/** Nobody asked for it. */
export const UNASKED: Cause = { sequence: 0, port: 0, type: 0, flags: NLM_F.APPEND };

/** Only what was asked for bears the number of the request; what follows from it is the kernel's own doing. */
function envelopeOf(cause: Cause, type: number): Cause {
  return cause.type === type || cause.type === type + 1 ? cause : UNASKED;
}

/** A network at one instant, by what its objects are known by. */
export interface Look {
  readonly nics: ReadonlyMap<number, NicFacts>;
  readonly addresses: ReadonlyMap<string, readonly [NicFacts, AddressFacts]>;
  readonly routes: ReadonlyMap<string, KernelRoute>;
  readonly neighbours: ReadonlyMap<string, readonly [index: number, NeighbourFacts]>;
}

/** Looks at a network. */
export function look(facts: NetworkFacts): Look {
  const { nics } = facts;
  const routes = [...kernelRoutes(facts, 4), ...kernelRoutes(facts, 6)];
  return {
    nics: new Map(nics.map((nic) => [nic.index, nic])),
    addresses: new Map(
      nics.flatMap((nic) =>
        nic.addresses.map((entry) => [`${nic.index} ${entry.local}`, [nic, entry] as const] as const)
      ),
    ),
    routes: new Map(routes.map((route) => [routeKey(route), route])),
    neighbours: new Map(facts.neighbours.flatMap((entry) => {
      const nic = nics.find(({ name }) => name === entry.device);
      return nic === undefined
        ? []
        : [[`${nic.index} ${entry.address}`, [nic.index, entry] as const] as const];
    })),
  };
}

function routeKey(route: KernelRoute): string {
  const { destination, prefixLength, table, protocol, index, metric, gateway, source, type } = route;
  return `${destination}/${prefixLength} ${table} ${metric} ${type} ${index} ${gateway} ${source} ${protocol}`;
}

/** What only one of two maps has. */
function* missing<V>(from: ReadonlyMap<unknown, V>, other: ReadonlyMap<unknown, unknown>): Iterable<V> {
  for (const [key, value] of from) if (!other.has(key)) yield value;
}

/** The messages that tell how `before` became `after`, in the order in which a kernel would send them. */
export function noticesOf(before: Look, after: Look, cause: Cause): Notice[] {
  const notices: Notice[] = [];
  // Of a neighbour it tells who asked, but not by which request.
  const ofNeighbours = { sequence: 0, port: envelopeOf(cause, RTM.NEWNEIGH).port };
  const ofAddress = ({ family }: AddressFacts) => family === 4 ? envelopeOf(cause, RTM.NEWADDR) : UNASKED;
  const tell = (group: number, write: (out: ReplyWriter) => void) => {
    const out = new ReplyWriter();
    write(out);
    out.cut();
    for (const bytes of out.datagrams) notices.push({ group, bytes });
  };
  for (const [index, nic] of after.nics) {
    const old = before.nics.get(index);
    if (old !== undefined && sameLink(old, nic)) continue;
    const change = old === undefined ? 0xffffffff : flagsOf(old) ^ flagsOf(nic);
    tell(RTNLGRP.LINK, (out) => writeLink(UNASKED, nic, 0, 0, out, change & 1));
  }
  const addressGroup = ({ family }: AddressFacts) => family === 4 ? RTNLGRP.IPV4_IFADDR : RTNLGRP.IPV6_IFADDR;
  for (const [nic, entry] of missing(before.addresses, after.addresses)) {
    tell(addressGroup(entry), (out) => writeAddress(ofAddress(entry), nic, entry, out, 0, RTM.DELADDR));
  }
  for (const [key, [nic, entry]] of after.addresses) {
    const [oldNic, old] = before.addresses.get(key) ?? [];
    if (old !== undefined && sameAddress(old, entry) && oldNic?.name === nic.name) continue;
    tell(addressGroup(entry), (out) => writeAddress(ofAddress(entry), nic, entry, out, 0));
  }
  tellRoutes(before, after, envelopeOf(cause, RTM.NEWROUTE), tell);
  for (const [index, entry] of missing(before.neighbours, after.neighbours)) {
    const failed = failure(entry);
    tell(RTNLGRP.NEIGH, (out) => writeNeighbour(ofNeighbours, failed, index, out, 0));
    tell(RTNLGRP.NEIGH, (out) => writeNeighbour(UNASKED, failed, index, out, 0, RTM.DELNEIGH));
  }
  for (const [key, [index, entry]] of after.neighbours) {
    const [, old] = before.neighbours.get(key) ?? [];
    if (entry.state === "FAILED" && old === undefined) continue;
    if (old?.state === entry.state && old.mac === entry.mac && old.router === entry.router) continue;
    tell(RTNLGRP.NEIGH, (out) => writeNeighbour(ofNeighbours, entry, index, out, 0));
  }
  for (const nic of missing(before.nics, after.nics)) {
    tell(RTNLGRP.LINK, (out) => writeLink(UNASKED, nic, 0, 0, out, 0xffffffff, RTM.DELLINK));
  }
  return notices;
}

/** A neighbour that is gone has no hardware address any more. */
function failure({ address, device, router }: NeighbourFacts): NeighbourFacts {
  return { address, device, state: "FAILED", router };
}

/** A route that takes another's place is told as one message. */
function tellRoutes(
  before: Look,
  after: Look,
  envelope: Cause,
  tell: (group: number, write: (out: ReplyWriter) => void) => void,
): void {
  const group = (route: KernelRoute) =>
    route.destination.family === 4 ? RTNLGRP.IPV4_ROUTE : RTNLGRP.IPV6_ROUTE;
  const gone = [...missing(before.routes, after.routes)];
  const come = [...missing(after.routes, before.routes)];
  const heirs = new Map<KernelRoute, KernelRoute>();
  for (const route of come) {
    const heir = gone.find((old) => samePlace(old, route) && !heirs.has(old));
    if (heir !== undefined) heirs.set(heir, route);
  }
  for (const route of gone) {
    if (!heirs.has(route)) tell(group(route), (out) => writeRoute(envelope, route, 0, out, RTM.DELROUTE));
  }
  const replacing = new Set(heirs.values());
  for (const route of come) {
    const flags = replacing.has(route)
      ? NLM_F.REPLACE
      : [...before.routes.values()].some((old) => samePlace(old, route))
      ? NLM_F.CREATE | (envelope.flags & NLM_F.APPEND)
      : NLM_F.CREATE | NLM_F.EXCL;
    tell(group(route), (out) => writeRoute(envelope, route, flags, out));
  }
}

function samePlace(a: KernelRoute, b: KernelRoute): boolean {
  return a.table === b.table && a.metric === b.metric && a.prefixLength === b.prefixLength &&
    a.type === b.type && a.destination.equals(b.destination);
}

function sameLink(a: NicFacts, b: NicFacts): boolean {
  return flagsOf(a) === flagsOf(b) && a.mtu === b.mtu && a.mac === b.mac && a.name === b.name &&
    a.txQueueLength === b.txQueueLength && a.qdisc.kind === b.qdisc.kind;
}

function sameAddress(a: AddressFacts, b: AddressFacts): boolean {
  return a.prefixLength === b.prefixLength && a.scope === b.scope && a.label === b.label &&
    a.flags === b.flags && a.broadcast === b.broadcast;
}
