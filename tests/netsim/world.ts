/**
 * A world of stacks and wires that jumps from event to event.
 *
 * `step` lets everything happen that can happen now, and then moves the clock to the next arrival or timer. Work that
 * never lets the clock move on is a bug of a stack, and the world refuses to go on instead of hanging.
 *
 * @module
 */

import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { earlier, type Instant, NEVER, SECOND } from "../../lib/stack/time.ts";
import type { SimWire } from "./wire.ts";

/** What the world needs of a stack. */
export interface Station {
  poll(now: Instant): void;
  pollAt(): Instant;
}

/** What the world needs of an interface. */
export interface Port {
  ingress(frame: PacketBuffer, now: Instant): void;
  egress(now: Instant): PacketBuffer | undefined;
}

interface Cable {
  readonly from: Port;
  readonly to: Port;
  readonly wire: SimWire;
}

/** Rounds at one instant after which the world says that a stack is spinning. */
const MAX_ROUNDS = 10_000;
/** Frames that one interface may send in one round. */
const MAX_BURST = 20_000;

/** Stacks, wires and one clock. */
export class World {
  now: Instant = SECOND as Instant;
  readonly #stations: Station[] = [];
  readonly #cables: Cable[] = [];
  #rounds = 0;

  add(station: Station): void {
    this.#stations.push(station);
  }

  /** What `from` sends arrives at `to`. Two calls make a cable. */
  join(from: Port, to: Port, wire: SimWire): void {
    this.#cables.push({ from, to, wire });
  }

  /** Everything that happens now, and the clock moved to what comes next. False: nothing will ever happen again. */
  step(): boolean {
    for (const station of this.#stations) if (station.pollAt() <= this.now) station.poll(this.now);
    for (const { from, wire } of this.#cables) {
      let burst = 0;
      for (let frame = from.egress(this.now); frame !== undefined; frame = from.egress(this.now)) {
        wire.send(frame, this.now);
        if (++burst > MAX_BURST) {
          throw new Error(`Cannot go on at ${this.now} µs: an interface sends without end`);
        }
      }
    }
    const next = this.#next();
    if (next === NEVER) return false;
    if (next > this.now) {
      this.now = next;
      this.#rounds = 0;
    } else if (++this.#rounds > MAX_ROUNDS) {
      throw new Error(`Cannot go on at ${this.now} µs: a stack wants to be polled without end`);
    }
    for (const { to, wire } of this.#cables) {
      for (let frame = wire.receive(this.now); frame !== undefined; frame = wire.receive(this.now)) {
        to.ingress(frame, this.now);
      }
    }
    return true;
  }

  /** Steps until `done`, or until `limit` microseconds have passed; returns whether it is done. */
  run(done: () => boolean, limit: number): boolean {
    const deadline = this.now + limit;
    while (!done()) {
      if (this.now >= deadline || !this.step()) return done();
    }
    return true;
  }

  #next(): Instant {
    let next = NEVER;
    for (const station of this.#stations) next = earlier(next, station.pollAt());
    for (const { wire } of this.#cables) next = earlier(next, wire.nextArrival());
    return next;
  }
}
