/**
 * A bounded table keyed by IP address: an integer hash with chains, and a list in order of last use.
 *
 * Neighbours and path MTUs live in one. Its bound is what keeps a guest that invents addresses from growing us: the
 * least recently used entry makes room for the new one, unless it is pinned. Lookups allocate nothing.
 *
 * @module
 */

import type { AddressWords, IpAddress } from "../wire/address.ts";

/** What an entry must be to live in an {@linkcode AddressTable}. The links are the table's business. */
export class AddressEntry {
  readonly address: IpAddress;
  /** Never evicted to make room. */
  pinned = false;
  /** Whether a table holds it now: who caches an entry must look again once it is false. */
  attached = false;
  chain: AddressEntry | undefined = undefined;
  newer: AddressEntry | undefined = undefined;
  older: AddressEntry | undefined = undefined;

  constructor(address: IpAddress) {
    this.address = address;
  }
}

/** A bounded map from address to entry, least recently used first to go. */
export class AddressTable<E extends AddressEntry> {
  readonly capacity: number;
  readonly #buckets: (AddressEntry | undefined)[];
  readonly #mask: number;
  #size = 0;
  #newest: AddressEntry | undefined = undefined;
  #oldest: AddressEntry | undefined = undefined;

  /** @param capacity most entries that are kept, pinned ones included */
  constructor(capacity: number) {
    this.capacity = capacity;
    let buckets = 16;
    while (buckets < capacity) buckets *= 2;
    this.#buckets = new Array<AddressEntry | undefined>(buckets).fill(undefined);
    this.#mask = buckets - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** The entry for `address`, without counting as a use of it. */
  peek(address: IpAddress): E | undefined {
    let entry = this.#buckets[address.hash() & this.#mask];
    while (entry !== undefined && !entry.address.equals(address as AddressWords)) entry = entry.chain;
    return entry as E | undefined;
  }

  /** The entry for `address`, which becomes the most recently used one. */
  get(address: IpAddress): E | undefined {
    const entry = this.peek(address);
    if (entry !== undefined && entry !== this.#newest) {
      this.#unlink(entry);
      this.#link(entry);
    }
    return entry;
  }

  /**
   * Adds an entry whose address is not in the table. Returns the entry that was evicted to make room, `entry` itself
   * if there is nothing but pinned ones, or undefined.
   */
  add(entry: E): E | undefined {
    let evicted: E | undefined;
    if (this.#size >= this.capacity && !entry.pinned) {
      let victim = this.#oldest;
      while (victim !== undefined && victim.pinned) victim = victim.newer;
      if (victim === undefined) return entry;
      evicted = victim as E;
      this.delete(evicted);
    }
    const slot = entry.address.hash() & this.#mask;
    entry.chain = this.#buckets[slot];
    entry.attached = true;
    this.#buckets[slot] = entry;
    this.#link(entry);
    this.#size++;
    return evicted;
  }

  /** Takes an entry out; false if it was not in the table. */
  delete(entry: E): boolean {
    if (!entry.attached) return false;
    const slot = entry.address.hash() & this.#mask;
    let at = this.#buckets[slot];
    if (at === entry) {
      this.#buckets[slot] = entry.chain;
    } else {
      while (at !== undefined && at.chain !== entry) at = at.chain;
      if (at === undefined) return false;
      at.chain = entry.chain;
    }
    entry.chain = undefined;
    entry.attached = false;
    this.#unlink(entry);
    this.#size--;
    return true;
  }

  /** Every entry, most recently used first. The table must not change meanwhile. */
  *[Symbol.iterator](): Generator<E, void, undefined> {
    for (let entry = this.#newest; entry !== undefined; entry = entry.older) yield entry as E;
  }

  #link(entry: AddressEntry): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
  }

  #unlink(entry: AddressEntry): void {
    if (entry.newer !== undefined) entry.newer.older = entry.older;
    else this.#newest = entry.older;
    if (entry.older !== undefined) entry.older.newer = entry.newer;
    else this.#oldest = entry.newer;
    entry.newer = undefined;
    entry.older = undefined;
  }
}
