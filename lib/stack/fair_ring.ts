/**
 * Connections that have something to send, fair between the hosts that they lead to: stochastic fairness queueing
 * (McKenney 1990) by remote address, deficit round robin (Shreedhar and Varghese 1995) between the hosts, plain turns
 * between the connections of one.
 *
 * A host may be *held*: its connections wait, with their data in their send queues, until it is released. That is what a
 * switch does whose port is congested: back-pressure instead of loss, for one guest and not for its neighbours.
 *
 * @module
 */

import { type ReadyQueue, ReadyRing } from "./ready_ring.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import type { IpAddress } from "./wire/address.ts";

/** Hosts that share a bucket share a turn. Consecutive addresses never do. */
const BUCKETS = 1_024;
/** Bytes of one turn: less than any window, so that a host whose window is small has all of its turns. */
const QUANTUM = 8_192;

class Bucket {
  readonly ring = new ReadyRing();
  deficit = 0;
  /** How many hosts of the bucket are held. */
  held = 0;
  active = false;
}

/** A ready queue that knows hosts. */
export class FairRing implements ReadyQueue {
  readonly #buckets = new Array<Bucket | undefined>(BUCKETS).fill(undefined);
  /** Buckets with connections, in turn. */
  readonly #active: Bucket[] = [];
  #length = 0;
  #current: Bucket | undefined;

  get length(): number {
    return this.#length;
  }

  push(connection: TcpConnection): void {
    if (connection.ready) return;
    const bucket = this.#bucket(connection.remoteAddress);
    bucket.ring.push(connection);
    this.#length++;
    if (bucket.active) return;
    bucket.active = true;
    this.#active.push(bucket);
  }

  shift(): TcpConnection | undefined {
    const active = this.#active;
    // Each round takes a bucket off, gives it its quantum, or finds that it is held.
    for (let held = 0; active.length > held;) {
      const bucket = active[0]!;
      if (bucket.ring.length === 0) {
        bucket.active = false;
        bucket.deficit = 0;
        active.shift();
        continue;
      }
      if (bucket.held > 0) {
        held++;
        active.push(active.shift()!);
        continue;
      }
      if (bucket.deficit <= 0) {
        bucket.deficit += QUANTUM;
        held = 0;
        active.push(active.shift()!);
        continue;
      }
      this.#current = bucket;
      this.#length--;
      return bucket.ring.shift();
    }
    return undefined;
  }

  sent(bytes: number): void {
    if (this.#current !== undefined) this.#current.deficit -= bytes;
  }

  /** Lets the connections to a host wait, or go on. Calls nest. */
  hold(address: IpAddress, held: boolean): void {
    this.#bucket(address).held += held ? 1 : -1;
  }

  #bucket({ a, b, c, d }: IpAddress): Bucket {
    const index = (a ^ b ^ c ^ d ^ 0xffff) & (BUCKETS - 1);
    return this.#buckets[index] ??= new Bucket();
  }
}
