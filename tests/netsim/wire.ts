/**
 * One direction of a simulated wire, whose only clock is the caller's and whose only chance is a seed.
 *
 * ```text
 *  send ──► loss ──► queue (bytes, tail drop) ──► bottleneck (rate) ──► delay ──► [late] [twice] ──► receive
 * ```
 *
 * Times are whole microseconds where frames arrive. In between, the bottleneck is counted in fractions by the four
 * operations that IEEE 754 defines to the last bit, so every engine computes the same.
 *
 * @module
 */

import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import type { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { copyOf } from "../../lib/stack/link/copy.ts";
import { type Instant, type Microseconds, NEVER, SECOND } from "../../lib/stack/time.ts";
import { mark } from "./marking.ts";

/** What the wire is like. */
export interface WireSpec {
  /** Time from end to end. */
  readonly delay: Microseconds;
  /** Bottleneck in bytes per second; none if absent. */
  readonly rate?: number;
  /** Bytes that may wait for the bottleneck, the one in service included; without end if absent. */
  readonly queue?: number;
  /** Frames that could be marked are, when this many bytes wait for the bottleneck (RFC 3168). */
  readonly markAbove?: number;
  /** Probabilities per frame. */
  readonly loss?: number;
  /** Losses in bursts (Gilbert's model): how often one begins, and how many frames it takes on average. */
  readonly bursts?: { readonly probability: number; readonly length: number };
  readonly duplicate?: number;
  readonly reorder?: number;
  /** One bit is flipped, anywhere in the frame. */
  readonly corrupt?: number;
  /** How much later a reordered frame arrives; half of `delay` and a millisecond if absent. */
  readonly reorderBy?: Microseconds;
}

interface Flying {
  readonly at: Instant;
  readonly frame: PacketBuffer;
}

/** Why a frame did not arrive. */
export interface WireCounts {
  sent: number;
  lost: number;
  overflowed: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  marked: number;
  bytes: number;
}

/** One direction of a wire. */
export class SimWire {
  readonly counts: WireCounts = {
    sent: 0,
    lost: 0,
    overflowed: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    marked: 0,
    bytes: 0,
  };
  spec: WireSpec;
  readonly #random: () => number;
  readonly #pool: BufferPool | undefined;
  /** Sorted by arrival, from `#head` on. */
  #flight: Flying[] = [];
  #head = 0;
  /** When the bottleneck has sent all that waits for it. */
  #busyUntil = 0;
  /** In the middle of a burst of losses. */
  #bursting = false;

  /** @param random uniform in 0 … 2³² − 1 */
  constructor(spec: WireSpec, random: () => number, pool?: BufferPool) {
    this.spec = spec;
    this.#random = random;
    this.#pool = pool;
  }

  /** Frames on their way. */
  get inFlight(): number {
    return this.#flight.length - this.#head;
  }

  /** Takes ownership of a frame. What arrives is a copy, so that the ends share nothing. */
  send(frame: PacketBuffer, now: Instant): void {
    const { spec, counts } = this;
    const size = frame.totalLength;
    counts.sent++;
    // The dice are thrown for every frame in the same order, whatever becomes of it: then one probability can be
    // changed without changing all the others.
    const bursting = this.#burst();
    const loss = this.#chance(spec.loss) || bursting;
    const duplicate = this.#chance(spec.duplicate);
    const reorder = this.#chance(spec.reorder);
    let departure: number = now;
    if (spec.rate !== undefined && !loss) {
      const backlog = Math.max(0, this.#busyUntil - now) * spec.rate / SECOND;
      if (spec.queue !== undefined && backlog + size > spec.queue) {
        counts.overflowed++;
        frame.release();
        return;
      }
      if (spec.markAbove !== undefined && backlog > spec.markAbove && mark(frame)) counts.marked++;
      this.#busyUntil = Math.max(now, this.#busyUntil) + size * SECOND / spec.rate;
      departure = this.#busyUntil;
    }
    if (loss) {
      counts.lost++;
      frame.release();
      return;
    }
    let arrival = Math.ceil(departure + spec.delay);
    if (reorder) {
      counts.reordered++;
      arrival += spec.reorderBy ?? Math.floor(spec.delay / 2) + 1000;
    }
    counts.bytes += size;
    const copy = copyOf(frame, this.#pool);
    if (spec.corrupt !== undefined && this.#chance(spec.corrupt)) {
      counts.corrupted++;
      const bit = this.#random() % (8 * copy.length);
      const at = copy.start + (bit >> 3);
      copy.bytes[at] = copy.bytes[at]! ^ (1 << (bit & 7));
    }
    this.#fly(copy, arrival as Instant);
    if (duplicate) {
      counts.duplicated++;
      this.#fly(copyOf(frame, this.#pool), arrival as Instant);
    }
    frame.release();
  }

  /** The next frame that has arrived by `now`, the caller's then. */
  receive(now: Instant): PacketBuffer | undefined {
    if (this.nextArrival() > now) return undefined;
    const { frame } = this.#flight[this.#head++]!;
    if (this.#head >= 1024 || this.#head === this.#flight.length) {
      this.#flight = this.#flight.slice(this.#head);
      this.#head = 0;
    }
    return frame;
  }

  nextArrival(): Instant {
    return this.#flight[this.#head]?.at ?? NEVER;
  }

  #fly(frame: PacketBuffer, at: Instant): void {
    const flight = this.#flight;
    // Frames mostly arrive in the order in which they leave; one that is late lets the others pass.
    let i = flight.length;
    while (i > this.#head && flight[i - 1]!.at > at) i--;
    if (i === flight.length) flight.push({ at, frame });
    else flight.splice(i, 0, { at, frame });
  }

  #burst(): boolean {
    const { bursts } = this.spec;
    if (bursts === undefined) return false;
    const change = this.#bursting ? 1 / bursts.length : bursts.probability;
    if (this.#chance(change)) this.#bursting = !this.#bursting;
    return this.#bursting;
  }

  #chance(probability: number | undefined): boolean {
    return this.#random() < (probability ?? 0) * 0x1_0000_0000;
  }
}
