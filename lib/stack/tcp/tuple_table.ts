/**
 * A hash table by four-tuple: open chains through the items themselves, so that neither look-up nor insertion allocates.
 *
 * The hash is keyed: a peer that picks its ports and addresses to make one long chain would have to know the secret.
 *
 * @module
 */

import type { IpAddress } from "../wire/address.ts";

/** What can be in the table; `chain` and `hash` belong to it. */
export interface TupleItem<T> {
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  chain: T | undefined;
  hash: number;
}

const INITIAL_SLOTS = 64;

/** Items by local and remote address and port. */
export class TupleTable<T extends TupleItem<T>> {
  #slots: (T | undefined)[] = new Array<T | undefined>(INITIAL_SLOTS).fill(undefined);
  #size = 0;
  readonly #key0: number;
  readonly #key1: number;
  readonly #key2: number;

  constructor(random: () => number) {
    this.#key0 = random() | 1;
    this.#key1 = random() | 1;
    this.#key2 = random() | 0;
  }

  get size(): number {
    return this.#size;
  }

  /** The item of that name. */
  find(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): T | undefined {
    const hash = this.#hash(local, localPort, remote, remotePort);
    let item = this.#slots[hash & (this.#slots.length - 1)];
    while (item !== undefined) {
      if (
        item.hash === hash && item.localPort === localPort && item.remotePort === remotePort &&
        item.remoteAddress.equals(remote) && item.localAddress.equals(local)
      ) return item;
      item = item.chain;
    }
    return undefined;
  }

  /** Adds an item whose name is not in the table. */
  add(item: T): void {
    if (this.#size >= this.#slots.length) this.#grow();
    item.hash = this.#hash(item.localAddress, item.localPort, item.remoteAddress, item.remotePort);
    const slot = item.hash & (this.#slots.length - 1);
    item.chain = this.#slots[slot];
    this.#slots[slot] = item;
    this.#size++;
  }

  /** Takes an item out; returns whether it was in. */
  remove(item: T): boolean {
    const slot = item.hash & (this.#slots.length - 1);
    let at = this.#slots[slot];
    if (at === item) this.#slots[slot] = item.chain;
    else {
      while (at !== undefined && at.chain !== item) at = at.chain;
      if (at === undefined) return false;
      at.chain = item.chain;
    }
    item.chain = undefined;
    this.#size--;
    return true;
  }

  /** All items, in no order. The table must not be changed meanwhile. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const first of this.#slots) {
      for (let item = first; item !== undefined; item = item.chain) yield item;
    }
  }

  #hash(local: IpAddress, localPort: number, remote: IpAddress, remotePort: number): number {
    let h = Math.imul(remote.hash() ^ this.#key2, this.#key0) ^ local.hash();
    h = Math.imul(h ^ (h >>> 15) ^ ((localPort << 16) | remotePort), this.#key1);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return h ^ (h >>> 16);
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Array<T | undefined>(old.length * 2).fill(undefined);
    const mask = this.#slots.length - 1;
    for (const first of old) {
      for (let item = first; item !== undefined;) {
        const next = item.chain;
        const slot = item.hash & mask;
        item.chain = this.#slots[slot];
        this.#slots[slot] = item;
        item = next;
      }
    }
  }
}
