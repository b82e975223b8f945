/** The pump between a link and a near end that shapes what arrives. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { EpollEvents, type Reactor } from "../../lib/host/reactor.ts";
import { Pump } from "../../lib/link/pump.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { type MemoryLink, memoryWire } from "../../lib/stack/link/memory.ts";
import { createQdisc } from "../../lib/stack/qdisc/qdisc.ts";
import { type Instant, MILLISECOND, NEVER } from "../../lib/stack/time.ts";

/** 1 MB/s: a millisecond a frame. The bucket holds two of them. */
const FRAME = 1_000;
const RATE = 1_000_000;
const BURST = 2 * FRAME;

class World {
  readonly pool = new BufferPool();
  now = 0;
  /** What the pump has its descriptor watched for. */
  interest = -1;
  readonly passed: number[] = [];
  readonly far: MemoryLink;
  readonly pump: Pump;
  /** The near end takes no more. */
  full = false;
  readonly inbound = createQdisc({ kind: "tbf", rate: RATE, burst: BURST, mtu: FRAME - 14, gsoMaxSize: 0 });

  constructor() {
    const [near, far] = memoryWire({ mtu: FRAME }, this.pool);
    this.far = far;
    const reactor = {
      now: () => this.now,
      add: (_fd: number, events: number) => void (this.interest = events),
      modify: (_fd: number, events: number) => void (this.interest = events),
      remove: () => void (this.interest = -1),
      defer: () => {},
    } as unknown as Reactor;
    const isFull = () => this.full;
    const end = {
      inbound: this.inbound,
      get full() {
        return isFull();
      },
      ingress: (frame: { release(): void }) => {
        this.passed.push(this.now);
        frame.release();
      },
      egress: () => undefined,
    };
    this.pump = new Pump(reactor, 0, near, end, () => {});
  }

  send(count: number, size: number = FRAME): void {
    for (let i = 0; i < count; i++) {
      const frame = this.pool.take(size);
      frame.end += size;
      ok(this.far.transmit(frame));
    }
  }
}

test("frames beyond the bucket wait for their tokens, and the descriptor is left alone meanwhile", () => {
  const world = new World();
  world.send(5);
  world.pump.onReady(EpollEvents.in);
  deepStrictEqual(world.passed, [0, 0]);
  strictEqual(world.interest, 0);
  strictEqual(world.pump.pollAt(), MILLISECOND);

  world.now = MILLISECOND - 1;
  world.pump.flush(world.now as Instant);
  strictEqual(world.passed.length, 2);

  while (world.pump.pollAt() !== NEVER) {
    world.now = world.pump.pollAt();
    world.pump.flush(world.now as Instant);
  }
  deepStrictEqual(world.passed, [0, 0, 1, 2, 3].map((ms) => ms * MILLISECOND));
  strictEqual(world.interest, EpollEvents.in);
  strictEqual(world.inbound.facts().bytes, 5 * FRAME);
});

test("a frame that the bucket can never hold is dropped and counted, and blocks nobody", () => {
  const world = new World();
  world.send(1, BURST + 1);
  world.send(1);
  world.pump.onReady(EpollEvents.in);
  deepStrictEqual(world.passed, [0]);
  strictEqual(world.inbound.facts().drops, 1);
});

test("a closed pump asks for no time", () => {
  const world = new World();
  world.send(3);
  world.pump.onReady(EpollEvents.in);
  world.pump.close();
  strictEqual(world.pump.pollAt(), NEVER);
  world.now = 1e9;
  world.pump.flush(world.now as Instant);
  strictEqual(world.passed.length, 2);
});

test("a near end that was full is served as soon as it has room, though the descriptor says nothing", () => {
  const world = new World();
  world.send(1);
  world.full = true;
  world.pump.onReady(EpollEvents.in);
  deepStrictEqual([world.interest, world.pump.pollAt()], [0, NEVER]);
  world.full = false;
  ok(world.pump.pollAt() <= world.now);
  world.pump.flush(world.now as Instant);
  deepStrictEqual([world.passed.length, world.interest, world.pump.pollAt()], [1, EpollEvents.in, NEVER]);
  world.full = true;
  world.send(1);
  world.pump.onReady(EpollEvents.in);
  world.full = false;
  world.pump.close();
  strictEqual(world.pump.pollAt(), NEVER);
});
