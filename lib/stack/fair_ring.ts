/**
 * Connections that have something to send, fair between the hosts that they lead to: deficit round robin (Shreedhar and
 * Varghese 1995) between remote addresses, plain turns between the connections of one.
 *
 * A host may be *held*: its connections wait, with their data in their send queues, until it is released. That is what a
 * switch does whose port is congested: back-pressure instead of loss, for one guest and not for its neighbours:
 * hosts never share a place (as in stochastic fairness queueing), since a guest may choose its addresses so that they would.
 *
 * @module
 */

import { type ReadyQueue, ReadyRing } from "./ready_ring.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import type { IpAddress } from "./wire/address.ts";

/** Chains of the table of hosts. */
const CHAINS = 1_024;
/** Bytes of one turn: less than any window, so that a host whose window is small has all of its turns. */
const QUANTUM = 8_192;

class Host {
  readonly ring = new ReadyRing();
  deficit = 0;
  /** How often it is held. */
  held = 0;
  active = false;
  next: Host | undefined;

  constructor(readonly address: IpAddress, next: Host | undefined) {
    this.next = next;
  }
}

/** A ready queue that knows hosts. */
export class FairRing implements ReadyQueue {
  /** Every host that is active or held, and some that were. */
  readonly #chains = new Array<Host | undefined>(CHAINS).fill(undefined);
  /** Hosts with connections, in turn. */
  readonly #active: Host[] = [];
  #length = 0;
  #current: Host | undefined;

  get length(): number {
    return this.#length;
  }

  push(connection: TcpConnection): void {
    if (connection.ready) return;
    const host = this.#host(connection.remoteAddress);
    host.ring.push(connection);
    this.#length++;
    if (host.active) return;
    host.active = true;
    this.#active.push(host);
  }

  shift(): TcpConnection | undefined {
    const active = this.#active;
    // Each round takes a host off, gives it its quantum, or finds that it is held.
    for (let held = 0; active.length > held;) {
      const host = active[0]!;
      if (host.ring.length === 0) {
        host.active = false;
        // What it did not use is gone, what it had too much is not: packets are longer than a turn.
        if (host.deficit > 0) host.deficit = 0;
        active.shift();
        continue;
      }
      if (host.held > 0) {
        held++;
        active.push(active.shift()!);
        continue;
      }
      if (host.deficit <= 0) {
        host.deficit += QUANTUM;
        held = 0;
        active.push(active.shift()!);
        continue;
      }
      this.#current = host;
      this.#length--;
      return host.ring.shift();
    }
    return undefined;
  }

  sent(bytes: number): void {
    if (this.#current !== undefined) this.#current.deficit -= bytes;
  }

  /** Lets the connections to a host wait, or go on. Calls nest. */
  hold(address: IpAddress, held: boolean): void {
    this.#host(address).held += held ? 1 : -1;
  }

  #host(address: IpAddress): Host {
    const { a, b, c, d } = address;
    const index = (a ^ b ^ c ^ d ^ 0xffff) & (CHAINS - 1);
    const first = this.#chains[index];
    for (let host = first; host !== undefined; host = host.next) {
      if (host.address.equals(address)) return host;
    }
    return this.#chains[index] = new Host(address.clone(), withoutIdle(first));
  }
}

/** A chain without the hosts that nothing depends on: so it is never longer than those that were busy at one time. */
function withoutIdle(chain: Host | undefined): Host | undefined {
  let kept: Host | undefined;
  for (let host = chain; host !== undefined;) {
    const { next } = host;
    if (host.active || host.held > 0) {
      host.next = kept;
      kept = host;
    }
    host = next;
  }
  return kept;
}
