/**
 * A bad path in real time: two wires of `tests/netsim/wire.ts` between two ends, of which each is a kernel or a stack of
 * ours. The wires neither know nor care that the clock is a real one.
 *
 * ```text
 *   kernel ─ TAP ─┐                                  ┌─ TAP ─ kernel
 *                 ├─ loss, queue, rate, delay, … ──► ┤
 *   our stack  ───┘ ◄── … ────────────────────────── └─ our stack
 * ```
 *
 * Several paths may share one loop. All of it is one thread: whatever else the machine does hits every path alike.
 *
 * @module
 */

import { EpollEvents, Reactor, type ReadyHandler } from "../../../lib/host/reactor.ts";
import { addressOf } from "../../../lib/host/memory.ts";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { seeded } from "../random.ts";
import { type Instant, NEVER } from "../../../lib/stack/time.ts";
import { SimWire, type WireSpec } from "../../netsim/wire.ts";

/** What is at an end of a path. */
export interface PathEnd {
  readonly established: boolean;
  readonly peerClosed: boolean;
  readonly received: number;
  readonly wrongAt: number;
  /** Descriptors that wake it. */
  readonly descriptors: readonly number[];
  ingress(frame: PacketBuffer, now: Instant): void;
  egress(now: Instant): PacketBuffer | undefined;
  /** Does what is due; returns a descriptor to watch as well, or -1. */
  work(now: Instant): number;
  /** When it has something to do if nothing happens. */
  workAt?(): Instant;
  close(): void;
}

/** A path, and how far it is. */
export class Path {
  readonly there: SimWire;
  readonly back: SimWire;
  /** When the connection was there, and when it was over. */
  beganAt = NEVER;
  endedAt = NEVER;

  constructor(
    readonly client: PathEnd,
    readonly server: PathEnd,
    there: WireSpec,
    back: WireSpec,
    seed: number,
    pool: BufferPool,
  ) {
    this.there = new SimWire(there, seeded(seed ^ 0x5eed_0001), pool);
    this.back = new SimWire(back, seeded(seed ^ 0x5eed_0002), pool);
  }

  /** Moves what can be moved; returns whether anything was. */
  carry(now: Instant): boolean {
    const { client, server, there, back } = this;
    const moved = carryOne(client, server, there, now);
    return carryOne(server, client, back, now) || moved;
  }

  /** When the next frame arrives, or an end has something to do. */
  nextAt(): Instant {
    const { client, server, there, back } = this;
    return Math.min(
      there.nextArrival(),
      back.nextArrival(),
      client.workAt?.() ?? NEVER,
      server.workAt?.() ?? NEVER,
    ) as Instant;
  }
}

function carryOne(from: PathEnd, to: PathEnd, wire: SimWire, now: Instant): boolean {
  let moved = false;
  for (let frame = from.egress(now); frame !== undefined; frame = from.egress(now)) {
    wire.send(frame, now);
    moved = true;
  }
  for (let frame = wire.receive(now); frame !== undefined; frame = wire.receive(now)) {
    to.ingress(frame, now);
    moved = true;
  }
  return moved;
}

/** A loop over some paths. */
export class PathLoop implements ReadyHandler {
  readonly pool: BufferPool = new BufferPool(addressOf);
  readonly #reactor = new Reactor();
  readonly #paths: Path[] = [];

  get now(): Instant {
    return this.#reactor.now() as Instant;
  }

  add(path: Path): void {
    this.#paths.push(path);
    for (const end of [path.client, path.server]) for (const fd of end.descriptors) this.#watch(fd);
  }

  /** Turns until every path is `done`, or until `limit` microseconds have passed. */
  run(done: (path: Path) => boolean, limit: number): void {
    const deadline = this.#reactor.refresh() + limit;
    const hooks = {
      beforeWait: () => this.#paths.reduce((at, path) => Math.min(at, path.nextAt()), deadline),
      afterTurn: () => this.#turn(),
    };
    this.#turn();
    while (this.now < deadline) {
      let open = false;
      for (const path of this.#paths) {
        if (path.endedAt !== NEVER) continue;
        if (path.beganAt === NEVER && path.client.established && path.server.established) {
          path.beganAt = this.now;
        }
        if (done(path)) path.endedAt = this.now;
        else open = true;
      }
      if (!open) return;
      this.#reactor.turn(hooks);
    }
    for (const path of this.#paths) if (path.endedAt === NEVER) path.endedAt = this.now;
  }

  close(): void {
    for (const path of this.#paths) {
      path.client.close();
      path.server.close();
    }
    this.#reactor.close();
  }

  onReady(): void {
    // Everybody gets a turn anyway.
  }

  #turn(): void {
    for (const path of this.#paths) {
      for (let rounds = 0; rounds < 4; rounds++) {
        const now = this.#reactor.refresh() as Instant;
        // What has arrived comes before the timers, lest one expire for an acknowledgement that is there.
        const moved = path.carry(now);
        this.#work(path.client, now);
        this.#work(path.server, now);
        if (!path.carry(now) && !moved) break;
      }
    }
  }

  #work(end: PathEnd, now: Instant): void {
    const fd = end.work(now);
    if (fd >= 0) this.#watch(fd);
  }

  /** Edges: a socket that has room for more, because nobody has more to write, must not keep the loop spinning. */
  #watch(fd: number): void {
    this.#reactor.add(fd, EpollEvents.in | EpollEvents.out | EpollEvents.et, this);
  }
}
