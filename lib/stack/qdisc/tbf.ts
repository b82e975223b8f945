/**
 * Token bucket filter: so many bytes per second, with bursts (Linux' `sch_tbf`, gVisor's `--qdisc=tbf`).
 *
 * Tokens are bytes. The bucket holds `burst` of them, is full at the start, and fills at `rate`; a frame costs its
 * whole length, link header included, and leaves when the bucket covers it. Order is strict: a small frame never
 * passes a large one that waits. There is no peak rate and no second bucket.
 *
 * Over any time t at most burst + rate·t bytes leave, and no less if data waits: tokens are a real number computed from
 * the time of the last departure, so rounding does not add up, and a late wake-up is made good from the bucket.
 *
 * Tail drop is by packets and by bytes. The byte limit is what Linux users write as `latency 1s`: with packets alone,
 * a thousand super-packets would be 64 MB, minutes at a small rate.
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { QdiscFacts } from "../facts.ts";
import { type Instant, NEVER, SECOND } from "../time.ts";
import { QUEUE_LIMIT } from "./fifo.ts";
import { PacketQueue } from "./packet_queue.ts";
import type { Qdisc } from "./qdisc.ts";

/** Frames that TCP keeps in the queue; the rest stays in its send queues. As many as Linux' TCP small queues allow. */
const PULL_LIMIT = 2;

/** Ethernet header: what a frame is longer than its packet. */
const LINK_HEADER = 14;

/** Parameters of the bucket and of the link beneath it. */
export interface TbfOptions {
  /** Bytes per second. */
  readonly rate: number;
  /** Depth of the bucket in bytes. */
  readonly burst: number;
  /** Largest IP packet of the link. */
  readonly mtu: number;
  /** Largest IP packet that the link cuts itself; 0 if it cuts none. */
  readonly gsoMaxSize: number;
  /** Packets that may wait; 1000 if absent. */
  readonly limit?: number;
}

/** Why these parameters cannot work, in gVisor's words; undefined if they can. */
export function checkTbf(options: TbfOptions): string | undefined {
  const { rate, burst, mtu, gsoMaxSize } = options;
  if (!(rate > 0)) return "qdisc=tbf requires setting qdisc-tbf-rate";
  if (!(burst > 0)) return "qdisc=tbf requires setting qdisc-tbf-burst";
  if (gsoMaxSize > 0 && burst < gsoMaxSize + LINK_HEADER) {
    return `burst (${burst} bytes) is smaller than link's max GSO packet size (${
      gsoMaxSize + LINK_HEADER
    } bytes); ` +
      "either increase burst or disable host GSO via --gso=false";
  }
  if (burst < mtu + LINK_HEADER) {
    return `burst (${burst} bytes) is smaller than max packet length (${mtu + LINK_HEADER} bytes)`;
  }
  // A bucket that fills within one tick of the clock spills the rest of the tick: the rate cannot be reached.
  if (burst * SECOND / rate < 1) {
    return `rate (${rate} bytes/sec) is too high relative to burst (${burst} bytes); ` +
      "reduce qdisc-tbf-rate or increase qdisc-tbf-burst";
  }
  return undefined;
}

/** A token bucket with a queue in front of it. */
export class Tbf implements Qdisc {
  readonly kind = "tbf";
  #options: TbfOptions;
  readonly #limit: number;
  /** Longest frame of the link: what `full` leaves room for, so that nothing pulled is ever dropped. */
  readonly #maxFrame: number;
  readonly #queue = new PacketQueue();
  /** Tokens at `#filledAt`, in bytes; negative only after the burst was made smaller than a frame that waited. */
  #tokens: number;
  #filledAt: Instant | undefined;
  /** A frame has left and none has come since: a pull is due even if datagrams alone fill the queue. */
  #left = false;
  #bytes = 0;
  #packets = 0;
  #drops = 0;
  #overlimits = 0;

  /** Throws a RangeError with the text of {@linkcode checkTbf}. */
  constructor(options: TbfOptions) {
    const why = checkTbf(options);
    if (why !== undefined) throw new RangeError(why);
    this.#options = options;
    this.#limit = options.limit ?? QUEUE_LIMIT;
    this.#maxFrame = Math.max(options.mtu, options.gsoMaxSize) + LINK_HEADER;
    this.#tokens = options.burst;
  }

  get rate(): number {
    return this.#options.rate;
  }

  get burst(): number {
    return this.#options.burst;
  }

  get maxPacket(): number {
    return this.#options.burst;
  }

  get full(): boolean {
    const { length, bytes } = this.#queue;
    if (length >= this.#limit || bytes + this.#maxFrame > this.#byteLimit) return true;
    return length >= PULL_LIMIT && !this.#left;
  }

  enqueue(packet: PacketBuffer, _now: Instant): boolean {
    const size = packet.totalLength;
    if (
      size > this.#options.burst || this.#queue.length >= this.#limit ||
      this.#queue.bytes + size > this.#byteLimit
    ) {
      this.#drops++;
      return false;
    }
    this.#queue.push(packet, size);
    this.#left = false;
    return true;
  }

  dequeue(now: Instant): PacketBuffer | undefined {
    if (this.#queue.length === 0) return undefined;
    this.#fill(now);
    const size = this.#queue.headSize();
    if (this.#tokens < this.#price(size)) {
      this.#overlimits++;
      return undefined;
    }
    this.#tokens -= size;
    this.#packets++;
    this.#bytes += size;
    this.#left = true;
    return this.#queue.shift();
  }

  pollAt(): Instant {
    if (this.#queue.length === 0) return NEVER;
    const missing = this.#price(this.#queue.headSize()) - this.#tokens;
    if (missing <= 0 || this.#filledAt === undefined) return 0 as Instant;
    return this.#filledAt + Math.ceil(missing * SECOND / this.#options.rate) as Instant;
  }

  /** Changes rate and burst while running; tokens earned so far stay, up to the new burst. Throws as the constructor. */
  change(rate: number, burst: number, now: Instant): void {
    const options = { ...this.#options, rate, burst };
    const why = checkTbf(options);
    if (why !== undefined) throw new RangeError(why);
    this.#fill(now);
    this.#options = options;
    this.#tokens = Math.min(this.#tokens, burst);
  }

  reset(): void {
    this.#drops += this.#queue.clear();
  }

  facts(): QdiscFacts {
    return {
      kind: this.kind,
      rate: this.#options.rate,
      burst: this.#options.burst,
      bytes: this.#bytes,
      packets: this.#packets,
      drops: this.#drops,
      overlimits: this.#overlimits,
      requeues: 0,
      backlog: this.#queue.bytes,
      qlen: this.#queue.length,
    };
  }

  get #byteLimit(): number {
    return this.#options.burst + this.#options.rate;
  }

  /** What must be in the bucket for the head to leave. A frame from before a `change` may be longer than the bucket. */
  #price(size: number): number {
    return Math.min(size, this.#options.burst);
  }

  #fill(now: Instant): void {
    if (this.#filledAt === undefined || now > this.#filledAt) {
      const since = this.#filledAt === undefined ? 0 : now - this.#filledAt;
      this.#tokens = Math.min(this.#options.burst, this.#tokens + since * this.#options.rate / SECOND);
      this.#filledAt = now;
    }
  }
}
