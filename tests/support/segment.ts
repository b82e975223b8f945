/**
 * One interface on a wire that the test plays the other end of, and a clock that only the test moves.
 *
 * @module
 */

import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import type { Nic } from "../../lib/stack/nic.ts";
import { Stack } from "../../lib/stack/stack.ts";
import { earlier, type Instant } from "../../lib/stack/time.ts";
import type { MacAddress } from "../../lib/stack/wire/ethernet.ts";
import { seeded } from "./random.ts";
import { mac } from "./two_stacks.ts";

/** Hardware addresses of the interface, and of whoever speaks from the other end. */
export const OURS: MacAddress = mac("02:00:00:00:00:01");
export const THEIRS: MacAddress = mac("02:00:00:00:00:02");

/** A machine without a clock, such as a client of DHCP. */
export interface Machine {
  pollAt(): Instant;
  poll(now: Instant): void;
}

/** The interface, its stack, and the time. */
export class Segment {
  readonly stack: Stack;
  readonly nic: Nic;
  now: Instant = 1_000_000 as Instant;
  /** What the interface sent, from its Ethernet header on, is shown to this; it may answer by {@linkcode inject}. */
  onFrame: (frame: PacketBuffer) => void = () => {};
  readonly #machines: Machine[] = [];

  constructor(seed = 1) {
    this.stack = new Stack({ random: seeded(seed) });
    this.nic = this.stack.addNic({ name: "eth0", mac: OURS, mtu: 1_500, capabilities: NO_OFFLOAD });
  }

  drive(machine: Machine): void {
    this.#machines.push(machine);
  }

  /** A frame from the other end. */
  inject(frame: PacketBuffer): void {
    this.nic.ingress(frame, this.now);
  }

  /** Lets `seconds` pass, deadline by deadline. */
  pass(seconds: number): void {
    const until = (this.now + seconds * 1e6) as Instant;
    for (let turns = 0; turns < 100_000; turns++) {
      for (const machine of this.#machines) if (machine.pollAt() <= this.now) machine.poll(this.now);
      this.stack.poll(this.now);
      this.#drain();
      let next = this.stack.pollAt();
      for (const machine of this.#machines) next = earlier(next, machine.pollAt());
      if (next > until) {
        this.now = until;
        return;
      }
      if (next > this.now) this.now = next;
    }
    throw new Error("the machines never come to rest");
  }

  #drain(): void {
    for (let frame = this.nic.egress(this.now); frame !== undefined; frame = this.nic.egress(this.now)) {
      this.onFrame(frame);
      frame.release();
    }
  }
}
