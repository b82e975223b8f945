/**
 * Which hardware address is behind which port: the filtering database of a bridge (IEEE 802.1Q section 8.8), of a
 * fixed size.
 *
 * ```text
 *   heads[hash]  ─▶ entry ─▶ entry ─▶ −1          chains by number, in typed arrays: nothing is allocated per frame
 *   free         ─▶ entry ─▶ …                    what is not used
 * ```
 *
 * Each port may own so many addresses and no more, so a guest that invents addresses fills its own share and nobody
 * else's. An address belongs to the port that used it first, until that port is gone; where room is needed, until it has
 * not been used for {@linkcode AGEING}.
 *
 * @module
 */

import { type Instant, SECOND } from "../../stack/time.ts";

/** IEEE 802.1Q table 8-6: the recommended ageing time. */
export const AGEING = 300 * SECOND;
/** Addresses that one port may own (`switch.address-limit`): a guest may have bridges of its own inside. */
export const PORT_ADDRESSES = 64;

/** What {@linkcode MacTable.learn} found. */
export type Learnt = "known" | "new" | "taken" | "full";

/** The table. Ports are numbers, chosen by the owner. */
export class MacTable {
  readonly #mask: number;
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #high: Int32Array;
  readonly #low: Int32Array;
  readonly #port: Int32Array;
  readonly #usedAt: Float64Array;
  readonly #owned: number[] = [];
  readonly #perPort: number;
  #free = 0;
  #size = 0;

  /** @param capacity most addresses altogether, a power of two */
  constructor(capacity = 4_096, perPort = PORT_ADDRESSES) {
    this.#mask = capacity * 2 - 1;
    this.#heads = new Int32Array(capacity * 2).fill(-1);
    this.#next = Int32Array.from({ length: capacity }, (_, i) => i + 1 < capacity ? i + 1 : -1);
    this.#high = new Int32Array(capacity);
    this.#low = new Int32Array(capacity);
    this.#port = new Int32Array(capacity).fill(-1);
    this.#usedAt = new Float64Array(capacity);
    this.#perPort = perPort;
  }

  get size(): number {
    return this.#size;
  }

  /** The port of an address, or −1. */
  lookup(high: number, low: number, now: Instant): number {
    const entry = this.#find(high, low);
    return entry < 0 || now - this.#usedAt[entry]! > AGEING ? -1 : this.#port[entry]!;
  }

  /** The port that owns an address, used of late or not; −1: none. */
  ownerOf(high: number, low: number): number {
    const entry = this.#find(high, low);
    return entry < 0 ? -1 : this.#port[entry]!;
  }

  /** An address was used by `port`. Only `known` and `new` may pass. */
  learn(high: number, low: number, port: number, now: Instant): Learnt {
    const entry = this.#find(high, low);
    if (entry >= 0) {
      // However long its owner has been silent: who is idle is not to be robbed of what is sent to it.
      if (this.#port[entry] !== port) return "taken";
      this.#usedAt[entry] = now;
      return "known";
    }
    if ((this.#owned[port] ?? 0) >= this.#perPort) {
      this.#expire(port, now);
      if (this.#owned[port]! >= this.#perPort) return "full";
    }
    if (this.#free < 0) this.#expire(-1, now);
    const fresh = this.#free;
    if (fresh < 0) return "full";
    this.#free = this.#next[fresh]!;
    const head = this.#hash(high, low);
    this.#next[fresh] = this.#heads[head]!;
    this.#heads[head] = fresh;
    this.#high[fresh] = high;
    this.#low[fresh] = low;
    this.#port[fresh] = port;
    this.#usedAt[fresh] = now;
    this.#owned[port] = (this.#owned[port] ?? 0) + 1;
    this.#size++;
    return "new";
  }

  /** Forgets everything about a port that is gone. */
  forget(port: number): void {
    for (let entry = 0; entry < this.#port.length; entry++) {
      if (this.#port[entry] === port) this.#remove(entry);
    }
  }

  /** Every address with its port, for people. */
  *entries(): IterableIterator<{ readonly high: number; readonly low: number; readonly port: number }> {
    for (let entry = 0; entry < this.#port.length; entry++) {
      const port = this.#port[entry]!;
      if (port >= 0) yield { high: this.#high[entry]!, low: this.#low[entry]!, port };
    }
  }

  /** Removes what has aged, of one port or (−1) of all. Rare: a table is full. */
  #expire(port: number, now: Instant): void {
    for (let entry = 0; entry < this.#port.length; entry++) {
      const owner = this.#port[entry]!;
      if (owner < 0 || (port >= 0 && owner !== port)) continue;
      if (now - this.#usedAt[entry]! > AGEING) this.#remove(entry);
    }
  }

  #find(high: number, low: number): number {
    let entry = this.#heads[this.#hash(high, low)]!;
    while (entry >= 0 && (this.#low[entry] !== low || this.#high[entry] !== high)) entry = this.#next[entry]!;
    return entry;
  }

  #remove(entry: number): void {
    const head = this.#hash(this.#high[entry]!, this.#low[entry]!);
    let at = this.#heads[head]!;
    if (at === entry) this.#heads[head] = this.#next[entry]!;
    else {
      while (this.#next[at] !== entry) at = this.#next[at]!;
      this.#next[at] = this.#next[entry]!;
    }
    this.#owned[this.#port[entry]!]!--;
    this.#port[entry] = -1;
    this.#next[entry] = this.#free;
    this.#free = entry;
    this.#size--;
  }

  #hash(high: number, low: number): number {
    const mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & this.#mask;
  }
}
