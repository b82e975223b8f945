/**
 * A priority queue of timers: an indexed binary heap. Each item knows its place in the heap, so moving or cancelling a
 * timer costs O(log n) and no search, and nothing is allocated in steady state.
 *
 * TCP re-arms a timer for almost every segment. That is why {@linkcode TimerQueue.set} is the cheap operation here:
 * a timer moved a little later sinks by few levels, mostly none.
 *
 * @module
 */

import { type Instant, NEVER } from "../time.ts";

/** What can be queued. An item is in one queue at most; both fields belong to that queue. */
export interface TimerItem {
  /** When the timer is due; {@linkcode NEVER} if it is not armed. */
  timerAt: Instant;
  /** Place in the heap; -1 when not queued. Must be -1 at the start. */
  timerIndex: number;
}

/** A queue of items by `timerAt`. Items of the same instant come out in no particular order. */
export class TimerQueue<T extends TimerItem> {
  readonly #heap: T[] = [];

  /** Armed timers. */
  get size(): number {
    return this.#heap.length;
  }

  /** Arms, or moves, the timer of `item`. {@linkcode NEVER} cancels it. */
  set(item: T, at: Instant): void {
    if (at === NEVER) return this.cancel(item);
    const before = item.timerAt;
    item.timerAt = at;
    if (item.timerIndex < 0) {
      item.timerIndex = this.#heap.length;
      this.#heap.push(item);
      this.#rise(item.timerIndex);
    } else if (at < before) this.#rise(item.timerIndex);
    else if (at > before) this.#sink(item.timerIndex);
  }

  /** Disarms the timer of `item`; nothing happens if it is not armed. */
  cancel(item: T): void {
    const index = item.timerIndex;
    item.timerAt = NEVER;
    if (index < 0) return;
    item.timerIndex = -1;
    const last = this.#heap.pop()!;
    if (last === item) return;
    this.#heap[index] = last;
    last.timerIndex = index;
    this.#rise(index);
    this.#sink(last.timerIndex);
  }

  /** When the first timer is due; {@linkcode NEVER} if none is armed. */
  next(): Instant {
    return this.#heap.length === 0 ? NEVER : this.#heap[0]!.timerAt;
  }

  /** Takes out one item that is due at `now`, disarmed; undefined if none is. */
  popDue(now: Instant): T | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.timerAt > now) return undefined;
    this.cancel(first);
    return first;
  }

  #rise(index: number): void {
    const heap = this.#heap;
    const item = heap[index]!;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex]!;
      if (parent.timerAt <= item.timerAt) break;
      heap[index] = parent;
      parent.timerIndex = index;
      index = parentIndex;
    }
    heap[index] = item;
    item.timerIndex = index;
  }

  #sink(index: number): void {
    const heap = this.#heap;
    const length = heap.length;
    const item = heap[index]!;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= length) break;
      let child = heap[childIndex]!;
      if (childIndex + 1 < length && heap[childIndex + 1]!.timerAt < child.timerAt) {
        child = heap[++childIndex]!;
      }
      if (child.timerAt >= item.timerAt) break;
      heap[index] = child;
      child.timerIndex = index;
      index = childIndex;
    }
    heap[index] = item;
    item.timerIndex = index;
  }
}
