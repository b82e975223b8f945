/**
 * First in, first out, with tail drop (Linux' `pfifo`).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { QdiscFacts } from "../facts.ts";
import { type Instant, NEVER } from "../time.ts";
import { PacketQueue } from "./packet_queue.ts";
import type { Qdisc, QdiscKind } from "./qdisc.ts";

/** Packets that may wait; Linux' usual `txqueuelen`, and gVisor's. */
export const QUEUE_LIMIT = 1_000;

/** A queue of a bounded number of packets. */
export class Fifo implements Qdisc {
  readonly kind: QdiscKind = "fifo";
  readonly maxPacket: number = Infinity;
  readonly limit: number;
  protected readonly queue = new PacketQueue();
  #bytes = 0;
  #packets = 0;
  #drops = 0;

  constructor(limit: number = QUEUE_LIMIT) {
    this.limit = limit;
  }

  get full(): boolean {
    return this.queue.length >= this.limit;
  }

  enqueue(packet: PacketBuffer, _now: Instant): boolean {
    if (this.queue.length >= this.limit) {
      this.#drops++;
      return false;
    }
    this.queue.push(packet, packet.totalLength);
    return true;
  }

  dequeue(_now: Instant): PacketBuffer | undefined {
    const size = this.queue.headSize();
    const packet = this.queue.shift();
    if (packet === undefined) return undefined;
    this.#packets++;
    this.#bytes += size;
    return packet;
  }

  pollAt(): Instant {
    return this.queue.length > 0 ? 0 as Instant : NEVER;
  }

  reset(): void {
    this.#drops += this.queue.clear();
  }

  facts(): QdiscFacts {
    return {
      kind: this.kind,
      ...(this.kind === "fifo" ? { limit: this.limit } : {}),
      bytes: this.#bytes,
      packets: this.#packets,
      drops: this.#drops,
      overlimits: 0,
      requeues: 0,
      backlog: this.queue.bytes,
      qlen: this.queue.length,
    };
  }
}
