/**
 * Two stacks on a wire in memory, and a clock that only the test moves.
 *
 * @module
 */

import { HEADROOM, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { LinkCapabilities } from "../../lib/stack/link/link.ts";
import { type MemoryLink, memoryWire } from "../../lib/stack/link/memory.ts";
import type { Nic, NicOptions } from "../../lib/stack/nic.ts";
import { Stack, type StackOptions } from "../../lib/stack/stack.ts";
import { earlier, type Instant } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/ethernet.ts";
import { seeded } from "./random.ts";

/** The address that `text` says. */
export function ip(text: string): IpAddress {
  const address = IpAddress.parse(text);
  if (address === undefined) throw new TypeError(`Cannot use "${text}" as an address`);
  return address;
}

/** The hardware address that `text` says. */
export function mac(text: string): MacAddress {
  const address = MacAddress.parse(text);
  if (address === undefined) throw new TypeError(`Cannot use "${text}" as a hardware address`);
  return address;
}

/** One of two stacks. */
export interface Side {
  readonly stack: Stack;
  readonly nic: Nic;
  readonly link: MemoryLink;
}

/** What may differ from the usual pair. */
export interface PairOptions {
  readonly mtu?: number;
  readonly capabilities?: LinkCapabilities;
  readonly a?: Partial<NicOptions>;
  readonly b?: Partial<NicOptions>;
  readonly stack?: Partial<StackOptions>;
  readonly pool?: BufferPool;
  /** Sees each frame before it is on the wire; false loses it. */
  readonly filter?: (frame: PacketBuffer, from: "a" | "b") => boolean;
}

/** Stack a is 10.0.0.1, fd00::1, fe80::1; stack b 10.0.0.2, fd00::2, fe80::2. */
export class Pair {
  readonly a: Side;
  readonly b: Side;
  readonly pool: BufferPool;
  now: Instant = 1_000_000 as Instant;
  readonly #filter: PairOptions["filter"];

  constructor(options: PairOptions = {}) {
    const mtu = options.mtu ?? 1_500;
    this.pool = options.pool ?? new BufferPool();
    const wire = { mtu, ...(options.capabilities && { capabilities: options.capabilities }) };
    const [linkA, linkB] = memoryWire(wire, this.pool);
    this.a = this.#side(1, linkA, options, options.a);
    this.b = this.#side(2, linkB, options, options.b);
    this.#filter = options.filter;
  }

  #side(
    n: number,
    link: MemoryLink,
    options: PairOptions,
    nicOptions: Partial<NicOptions> | undefined,
  ): Side {
    const stack = new Stack({ random: seeded(n), pool: this.pool, ...options.stack });
    const nic = stack.addNic({
      name: "eth0",
      mac: mac(`02:00:00:00:00:0${n}`),
      mtu: link.mtu,
      capabilities: link.capabilities,
      ...nicOptions,
    });
    nic.addAddress(ip(`10.0.0.${n}`), 24);
    nic.addAddress(ip(`fd00::${n}`), 64);
    nic.addAddress(ip(`fe80::${n}`), 64);
    return { stack, nic, link };
  }

  /** Lets everything happen that can happen at this instant. Throws if it never ends. */
  settle(): void {
    for (let round = 0; round < 100_000; round++) {
      const moved = this.#pump(this.a, "a") + this.#pump(this.b, "b");
      const waits = this.a.stack.pollAt() <= this.now || this.b.stack.pollAt() <= this.now;
      if (moved === 0 && !waits) return;
    }
    throw new Error("Cannot settle: there is always something left to do");
  }

  /** Settles at every timer until `duration` microseconds have passed, or `until` is true. */
  run(duration: number, until?: () => boolean): void {
    const end = this.now + duration;
    for (;;) {
      this.settle();
      if (until?.()) return;
      const next = earlier(this.a.stack.pollAt(), this.b.stack.pollAt());
      if (next > end) break;
      this.now = next;
    }
    this.now = end as Instant;
    this.settle();
  }

  /** A packet with these bytes as payload. */
  payload(bytes: Uint8Array | string): PacketBuffer {
    const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    const packet = this.pool.take(data.length);
    packet.bytes.set(data, HEADROOM);
    packet.end = HEADROOM + data.length;
    return packet;
  }

  #pump(side: Side, name: "a" | "b"): number {
    let moved = 0;
    for (let frame = side.link.receive(); frame !== undefined; frame = side.link.receive()) {
      side.nic.ingress(frame, this.now);
      moved++;
    }
    side.stack.poll(this.now);
    for (let frame = side.nic.egress(this.now); frame !== undefined; frame = side.nic.egress(this.now)) {
      moved++;
      if (this.#filter?.(frame, name) === false) frame.release();
      else if (!side.link.transmit(frame)) frame.release();
    }
    return moved;
  }
}
