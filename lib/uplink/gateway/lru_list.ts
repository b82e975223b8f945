/**
 * A list in order of last use, threaded through its items: touch, remove and oldest are O(1) and allocate nothing.
 *
 * Items of one list live equally long, so the oldest is also the next to expire: a list is its own timer queue.
 *
 * @module
 */

import { type Instant, later, type Microseconds, NEVER } from "../../stack/time.ts";

/** What an item must carry. It is on one list at most. */
export interface LruItem<T extends LruItem<T>> {
  newer: T | undefined;
  older: T | undefined;
  /** The list that it is on. */
  list: LruList<T> | undefined;
  usedAt: Instant;
}

/** Items of one lifetime, the least recently used first. */
export class LruList<T extends LruItem<T>> {
  /** Microseconds from last use to expiry. */
  readonly lifetime: Microseconds;
  #oldest: T | undefined;
  #newest: T | undefined;
  #length = 0;

  constructor(lifetime: Microseconds) {
    this.lifetime = lifetime;
  }

  get length(): number {
    return this.#length;
  }

  get oldest(): T | undefined {
    return this.#oldest;
  }

  /** When the oldest expires. */
  expiresAt(): Instant {
    return this.#oldest === undefined ? NEVER : later(this.#oldest.usedAt, this.lifetime);
  }

  /** The oldest, if its time is over at `now`; it stays on the list. */
  expired(now: Instant): T | undefined {
    return this.#oldest !== undefined && this.expiresAt() <= now ? this.#oldest : undefined;
  }

  /** Makes `item` the most recently used of this list, wherever it was. */
  touch(item: T, now: Instant): void {
    item.usedAt = now;
    if (this.#newest === item) return;
    item.list?.remove(item);
    item.list = this;
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
    this.#length++;
  }

  /** Takes `item` off; nothing happens if it is not on this list. */
  remove(item: T): void {
    if (item.list !== this) return;
    if (item.older === undefined) this.#oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.#newest = item.older;
    else item.newer.older = item.older;
    item.older = undefined;
    item.newer = undefined;
    item.list = undefined;
    this.#length--;
  }
}
