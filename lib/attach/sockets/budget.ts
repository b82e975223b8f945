/**
 * So many of something dear until the next sweep.
 *
 * @module
 */

import type { Counter } from "../../stack/counters.ts";

/** What may be spent, and how often it was not enough. */
export class Budget {
  readonly #limit: number;
  readonly #refused: Counter;
  #spent = 0;

  constructor(limit: number, refused: Counter) {
    this.#limit = limit;
    this.#refused = refused;
  }

  /** False, counted: there is no more until {@linkcode renew}. */
  spend(): boolean {
    if (this.#spent < this.#limit) return ++this.#spent > 0;
    this.#refused.value++;
    return false;
  }

  renew(): void {
    this.#spent = 0;
  }
}
