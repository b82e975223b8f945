/**
 * A gateway and a guest without a kernel between them: two stacks on a wire in memory, one of them with a gateway behind
 * it that talks to real sockets of the loopback. Tests turn the loop by hand.
 *
 * @module
 */

import { addressOf } from "../../../lib/host/memory.ts";
import { Reactor } from "../../../lib/host/reactor.ts";
import type { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import type { LinkCapabilities } from "../../../lib/stack/link/link.ts";
import { copyOf } from "../../../lib/stack/link/copy.ts";
import type { Nic } from "../../../lib/stack/nic.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { ANY4, ANY6, IpAddress } from "../../../lib/stack/wire/address.ts";
import { MacAddress } from "../../../lib/stack/wire/ethernet.ts";
import type { GatewayConfig } from "../../../lib/uplink/gateway/config.ts";
import { Gateway } from "../../../lib/uplink/gateway/gateway.ts";

/** Reads an address that is known to be one. */
export function ip(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === undefined) throw new TypeError(`Cannot read address "${text}"`);
  return address;
}

export const GATEWAY4: IpAddress = ip("10.0.2.2");
export const GATEWAY6: IpAddress = ip("fd00::2");
export const DNS4: IpAddress = ip("10.0.2.3");
export const GUEST4: IpAddress = ip("10.0.2.100");
export const GUEST6: IpAddress = ip("fd00::64");

const OFFLOAD: LinkCapabilities = { txChecksum: true, rxChecksum: true, gsoMaxSize: 65_535 };
/** Microseconds after which something that has not happened will not. */
const PATIENCE = 10_000_000;
/** Longest sleep of a turn: what a test waits for may come from nowhere. */
const NAP = 5_000;

/** Everything a test needs. */
export class World {
  readonly reactor = new Reactor();
  readonly pool = new BufferPool(addressOf);
  readonly stack: Stack;
  readonly nic: Nic;
  readonly guest: Stack;
  readonly guestNic: Nic;
  readonly gateway: Gateway;
  readonly log: string[] = [];
  /** Frames to the guest that are lost on the way. */
  losing: ((frame: PacketBuffer) => boolean) | undefined;
  /** Sees every frame. */
  onFrame: ((direction: "in" | "out", frame: PacketBuffer) => void) | undefined;
  #seed = 0x2545f491;

  constructor(config: Partial<GatewayConfig> = {}, mtu = 65_520) {
    const { pool } = this;
    const random = () => this.#random();
    const nicOf = (stack: Stack, last: number, options: { promiscuous?: boolean; spoofing?: boolean }) =>
      stack.addNic({
        name: "eth0",
        mac: MacAddress.parse(`02:00:00:00:00:0${last}`)!,
        mtu,
        capabilities: OFFLOAD,
        learnNeighbours: true,
        ...options,
      });
    this.stack = new Stack({ random, pool });
    this.nic = nicOf(this.stack, 1, { promiscuous: true, spoofing: true });
    this.nic.addAddress(GATEWAY4, 24);
    this.nic.addAddress(DNS4, 24);
    this.nic.addAddress(GATEWAY6, 64);
    this.guest = new Stack({ random, pool });
    this.guestNic = nicOf(this.guest, 2, {});
    this.guestNic.addAddress(GUEST4, 24);
    this.guestNic.addAddress(GUEST6, 64);
    this.guest.routes.add({ destination: ANY4, prefixLength: 0, gateway: GATEWAY4, nic: this.guestNic });
    this.guest.routes.add({ destination: ANY6, prefixLength: 0, gateway: GATEWAY6, nic: this.guestNic });
    this.gateway = new Gateway({
      stack: this.stack,
      nic: this.nic,
      reactor: this.reactor,
      pool,
      log: (level, text) => void this.log.push(`${level} ${text}`),
      config: {
        gateway4: GATEWAY4,
        gateway6: GATEWAY6,
        dns4: DNS4,
        guest4: GUEST4,
        guest6: GUEST6,
        resolvers: [],
        hostLoopback: true,
        publish: [],
        guestEndpoint: (...tuple) => this.guest.udp.endpointFor(...tuple),
        ...config,
      },
    });
  }

  now(): Instant {
    return this.reactor.now() as Instant;
  }

  /** One turn of the loop, with everything that it makes the stacks do. */
  turn(): void {
    this.reactor.turn({
      beforeWait: () => {
        // What a test has just written must not wait for an event.
        if (this.nic.hasEgress || this.guestNic.hasEgress) return 0;
        const deadline = Math.min(this.stack.pollAt(), this.guest.pollAt(), this.gateway.pollAt());
        return Math.min(deadline, this.now() + NAP);
      },
      afterTurn: () => this.#settle(),
    });
  }

  /** Turns until `done()`; throws with the words of `what` if it never is. */
  until(done: () => boolean, what: string): void {
    const patience = this.reactor.refresh() + PATIENCE;
    while (this.now() < patience) {
      if (done()) return;
      this.turn();
    }
    throw new Error(`Cannot wait longer for ${what}: ${JSON.stringify(this.gateway.counters())}`);
  }

  /** Turns for a while, to see that nothing happens. */
  idle(turns = 20): void {
    for (let turn = 0; turn < turns; turn++) this.turn();
  }

  /** What the gateway has counted under `name`, without its prefix. */
  counted(name: string): number {
    return this.gateway.counters()[`gateway.${name}`] ?? 0;
  }

  close(): void {
    this.gateway.stop();
    this.reactor.close();
  }

  #settle(): void {
    const now = this.now();
    if (this.gateway.pollAt() <= now) this.gateway.poll(now);
    for (let round = 0; round < 16; round++) {
      this.stack.poll(now);
      this.guest.poll(now);
      const moved = this.#move(this.nic, this.guestNic, now) + this.#move(this.guestNic, this.nic, now);
      if (moved === 0 && this.stack.pollAt() > now && this.guest.pollAt() > now) return;
    }
  }

  /** Carries what `from` has to `to`; a real wire would not take more at once. */
  #move(from: Nic, to: Nic, now: Instant): number {
    for (let moved = 0; moved < 64; moved++) {
      const frame = from.egress(now);
      if (frame === undefined) return moved;
      this.onFrame?.(from === this.guestNic ? "out" : "in", frame);
      if (to === this.guestNic && this.losing?.(frame) === true) {
        frame.release();
      } else if (frame.fragments.length === 0) {
        to.ingress(frame, now);
      } else {
        // The far side parses in place: what hangs on the frame is gathered, as a kernel would.
        to.ingress(copyOf(frame, this.pool), now);
        frame.release();
      }
    }
    return 64;
  }

  /** xorshift32: the same world every time. */
  #random(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x;
    return x >>> 0;
  }
}

/** Runs `body` in a world whose gateway has been started. */
export function within(body: (world: World) => void, config: Partial<GatewayConfig> = {}): void {
  const world = new World(config);
  try {
    world.gateway.start();
    body(world);
  } finally {
    world.close();
  }
}
