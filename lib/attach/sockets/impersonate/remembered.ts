/**
 * A table that forgets what it has known longest when it is full.
 *
 * @module
 */

import type { Counter } from "../../../stack/counters.ts";

/** At most so many entries; the order is that in which keys were first set. */
export class Remembered<Key, Value> extends Map<Key, Value> {
  readonly #most: number;
  readonly #forgotten: Counter;

  constructor(most: number, forgotten: Counter) {
    super();
    this.#most = most;
    this.#forgotten = forgotten;
  }

  override set(key: Key, value: Value): this {
    super.set(key, value);
    if (this.size <= this.#most) return this;
    this.#forgotten.value++;
    for (const oldest of this.keys()) {
      this.delete(oldest);
      break;
    }
    return this;
  }
}
