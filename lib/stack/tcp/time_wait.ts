/**
 * Connections in TIME-WAIT, longest waiting first: a list through the connections themselves.
 *
 * Where there are too many, the one that has waited longest makes room, not the newest, as in Linux: a connection that ends
 * without having waited at all leaves a peer that never heard our last acknowledgement, and what comes of its FIN is a
 * reset. It would also free its port at once, while the peer still holds the four-tuple.
 *
 * @module
 */

/** What can be in the list; the two links belong to it. */
export interface TimeWaitItem<T> {
  /** Entered before it. */
  waitsLonger: T | undefined;
  /** Entered after it. */
  waitsLess: T | undefined;
}

/** Items in the order in which they were added. */
export class TimeWaitList<T extends TimeWaitItem<T>> {
  #oldest: T | undefined;
  #newest: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that has waited longest. */
  get oldest(): T | undefined {
    return this.#oldest;
  }

  /** Adds an item that is not in the list. */
  add(item: T): void {
    item.waitsLonger = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.waitsLess = item;
    this.#newest = item;
    this.#size++;
  }

  /** Takes an item out, if it is in. */
  remove(item: T): void {
    const { waitsLonger, waitsLess } = item;
    if (waitsLonger === undefined && this.#oldest !== item) return;
    if (waitsLonger === undefined) this.#oldest = waitsLess;
    else waitsLonger.waitsLess = waitsLess;
    if (waitsLess === undefined) this.#newest = waitsLonger;
    else waitsLess.waitsLonger = waitsLonger;
    item.waitsLonger = item.waitsLess = undefined;
    this.#size--;
  }
}
