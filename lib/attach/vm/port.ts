/**
 * A port of the switch: one guest.
 *
 * Frames for the guest wait here, in a queue of its own, so a guest that does not read loses its own frames and nobody
 * else's. Long before the queue is full the port says that it is *congested*: TCP for that guest then waits where it is
 * (lib/stack/fair_ring.ts) instead of being dropped here.
 *
 * @module
 */

import type { PacketBuffer } from "../../stack/buffer/packet.ts";
import { TokenBucket } from "../../stack/ip/token_bucket.ts";
import { framesOf, headersOf } from "../../stack/link/wire_size.ts";
import type { IpAddress } from "../../stack/wire/address.ts";
import { FrameQueue } from "./frame_queue.ts";
import type { Switch } from "./switch.ts";
import type { GuestWire, WireOwner } from "./wire.ts";

/** A port is congested from so many waiting frames, or bytes, on … */
const CONGESTED_FRAMES = 256, CONGESTED_BYTES = 512 * 1_024;
/** … until so few are left. */
const RELIEVED_FRAMES = 64, RELIEVED_BYTES = 128 * 1_024;
/** Frames after which the wire is written without waiting for the end of the turn, while they are warm. */
const FLUSH_AT = 64;

/**
 * What one guest may send to everybody, per second and at once (`switch.flood-limit`): broadcasts, groups, and frames to
 * addresses that nobody has used. Each costs a frame per guest, so a storm of one would be everybody's; ARP, DHCP and
 * neighbour discovery of a busy guest need a few.
 */
export const FLOODS_PER_SECOND = 2_000, FLOOD_BURST = 4_000;

/** Counters of one port. */
export interface PortCounters {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** Frames for the guest that found its queue full. */
  dropped: number;
  /** Frames of the guest that were refused. */
  refused: number;
}

/** A guest behind the switch. */
export class Port implements WireOwner {
  readonly id: number;
  /** For people: `vm0`. */
  readonly name: string;
  /** Longest frame that the guest takes, Ethernet header included. */
  readonly maxFrame: number;
  readonly queue = new FrameQueue();
  readonly addresses: IpAddress[] = [];
  readonly floods = new TokenBucket(FLOODS_PER_SECOND, FLOOD_BURST);
  readonly counters: PortCounters = {
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
    dropped: 0,
    refused: 0,
  };
  congested = false;
  /** The source that the guest used last, which needs no look-up. */
  lastHigh = -1;
  lastLow = 0;
  readonly #switch: Switch;
  #wire: GuestWire | undefined;
  #blocked = false;
  #dirty = false;

  constructor(owner: Switch, id: number, maxFrame: number) {
    this.#switch = owner;
    this.id = id;
    this.name = `vm${id}`;
    this.maxFrame = maxFrame;
  }

  /** Whether it still has a wire. */
  get open(): boolean {
    return this.#wire !== undefined;
  }

  /** Sets the room of its socket. */
  buffer(bytes: number): void {
    this.#wire?.buffer?.(bytes);
  }

  /** Whether its guest is there, as far as can be told. */
  get alive(): boolean {
    return this.#wire?.alive?.() ?? this.open;
  }

  /** Takes the wire whose owner this is, or a better one to the same guest. */
  join(wire: GuestWire): void {
    this.#wire = wire;
  }

  received(frame: PacketBuffer): void {
    if (!this.#switch.believes(this, frame)) return;
    const frames = framesOf(frame);
    this.counters.rxFrames += frames;
    this.counters.rxBytes += frame.totalLength;
    if (frames > 1) this.counters.rxBytes += (frames - 1) * headersOf(frame);
    this.#switch.fromGuest(this, frame);
  }

  writable(): void {
    this.#blocked = false;
    this.flush();
  }

  gone(why: string): void {
    this.#switch.detach(this, why);
  }

  count(name: string): void {
    this.#switch.count(name);
  }

  /** Queues a frame for the guest. Takes ownership. */
  send(frame: PacketBuffer): void {
    if (this.#wire === undefined || !this.queue.push(frame)) {
      this.counters.dropped++;
      this.#switch.queueFull.value++;
      frame.release();
      return;
    }
    const { queue } = this;
    if (!this.congested && (queue.frames >= CONGESTED_FRAMES || queue.bytes >= CONGESTED_BYTES)) {
      this.congested = true;
      this.#switch.congestion(this);
    }
    if (this.#blocked) return;
    if (queue.frames >= FLUSH_AT) this.flush();
    else if (!this.#dirty) {
      this.#dirty = true;
      this.#switch.dirty(this);
    }
  }

  /** Writes what waits, as far as the wire takes it. */
  flush(): void {
    const { queue, counters } = this;
    this.#dirty = false;
    if (this.#blocked || this.#wire === undefined || queue.length === 0) return;
    const { frames, bytes } = queue;
    this.#blocked = !this.#wire.send(queue);
    counters.txFrames += frames - queue.frames;
    counters.txBytes += bytes - queue.bytes;
    if (this.congested && queue.frames <= RELIEVED_FRAMES && queue.bytes <= RELIEVED_BYTES) {
      this.congested = false;
      this.#switch.congestion(this);
    }
  }

  /** Lets everything go. */
  close(): void {
    this.#wire?.close();
    this.#wire = undefined;
    this.queue.clear();
    if (this.congested) {
      this.congested = false;
      this.#switch.congestion(this);
    }
  }
}
