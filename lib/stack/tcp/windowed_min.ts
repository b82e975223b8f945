/**
 * The least sample of a sliding window of time, in constant space.
 *
 * Kathleen Nichols' estimator, as in Linux' `lib/minmax.c`: keep the best, the second and the third best sample, each
 * younger than the one before it. When the best one leaves the window the next steps up. A quarter and a half of the
 * window without a new second or third best are filled with what has been seen since, so the answer never rests on
 * one ancient sample.
 *
 * @module
 */

import type { Instant, Microseconds } from "../time.ts";

/** Tracks the minimum of the samples of the last `window` microseconds. */
export class WindowedMin {
  readonly #window: Microseconds;
  // Parallel fields, not an array of objects: nothing is allocated per sample.
  #value0 = 0;
  #value1 = 0;
  #value2 = 0;
  #at0 = 0;
  #at1 = 0;
  #at2 = 0;
  #empty = true;

  constructor(window: Microseconds) {
    this.#window = window;
  }

  /** The minimum; 0 as long as there was no sample. */
  get value(): number {
    return this.#value0;
  }

  /** Takes a sample and returns the new minimum. */
  sample(value: number, now: Instant): number {
    if (this.#empty || value <= this.#value0 || now - this.#at2 > this.#window) {
      this.#empty = false;
      this.#value0 = this.#value1 = this.#value2 = value;
      this.#at0 = this.#at1 = this.#at2 = now;
      return value;
    }
    if (value <= this.#value1) {
      this.#value1 = this.#value2 = value;
      this.#at1 = this.#at2 = now;
    } else if (value <= this.#value2) {
      this.#value2 = value;
      this.#at2 = now;
    }
    return this.#age(value, now);
  }

  #age(value: number, now: Instant): number {
    const age = now - this.#at0;
    if (age > this.#window) {
      // The best has left: step up, and once more if the second has left as well.
      this.#shift(value, now);
      if (now - this.#at0 > this.#window) this.#shift(value, now);
    } else if (this.#at1 === this.#at0 && age > this.#window / 4) {
      this.#value1 = this.#value2 = value;
      this.#at1 = this.#at2 = now;
    } else if (this.#at2 === this.#at1 && age > this.#window / 2) {
      this.#value2 = value;
      this.#at2 = now;
    }
    return this.#value0;
  }

  #shift(value: number, now: Instant): void {
    this.#value0 = this.#value1;
    this.#at0 = this.#at1;
    this.#value1 = this.#value2;
    this.#at1 = this.#at2;
    this.#value2 = value;
    this.#at2 = now;
  }
}
