/**
 * A network that somebody with the right to changes, and what is refused to them all the same.
 *
 * The stack is the guest's, and most of what is set on it concerns nobody else: the gateway on the other side of the wire
 * has its own addresses, its own routes and its policy, and takes from the guest's frames what it would take from a kernel's.
 * Two things stay the operator's. Interfaces that lead into somebody else's network are as they were given: with an address
 * or a hardware address of one's choice the guest would speak there in others' names. And the names of interfaces by which
 * the operator speaks of them.
 *
 * @module
 */

import { Errno } from "../../../../host/errno.ts";
import type { Counters } from "../../../../stack/counters.ts";
import type { Nic } from "../../../../stack/nic.ts";
import type { Stack } from "../../../../stack/stack.ts";
import type { Instant } from "../../../../stack/time.ts";
import { Refusal } from "../request.ts";

/** Addresses of one interface (`sockets.limit.addresses`). */
export const MAX_ADDRESSES = 256;
/** Routes, those of the addresses included (`sockets.limit.routes`). */
export const MAX_ROUTES = 512;
/** Neighbours of one interface that are never forgotten (`sockets.limit.neighbours`): half of what its cache holds. */
export const MAX_PERMANENT_NEIGHBOURS = 256;
/** Interfaces, all kinds (`sockets.limit.interfaces`). */
export const MAX_INTERFACES = 16;

/** What is changed. */
export interface ChangeableNetwork {
  readonly stack: Stack;
  readonly counters: Counters;
  readonly now: Instant;
  /** Interfaces with a wire are not the guest's to change. */
  readonly fixedInterfaces: boolean;
}

/** The interface that an address, route or neighbour is to belong to; undefined: there is none of that index. */
export function nicAt({ stack }: ChangeableNetwork, index: number): Nic | undefined {
  return stack.nics.find((nic) => nic.index === index);
}

/** Whether the interface is the operator's. */
export function fixed(network: ChangeableNetwork, nic: Nic): Refusal | undefined {
  return network.fixedInterfaces && nic.kind !== "loopback" && !nic.discards
    ? new Refusal(Errno.EPERM, `sluice: ${nic.name} leads into a network of others and stays as it was given`)
    : undefined;
}

/** A limit was met. */
export function full(network: ChangeableNetwork, what: string): Refusal {
  network.counters.bump(`sockets.limit.${what}`);
  return new Refusal(Errno.ENOBUFS);
}

/** What only a kernel does. */
export function unsupported(what: string): Refusal {
  return new Refusal(Errno.EOPNOTSUPP, `sluice: ${what}`);
}
