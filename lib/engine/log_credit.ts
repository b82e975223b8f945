/**
 * How many log lines may be on their way from the engine to the main thread.
 *
 * `postMessage` never refuses, so lines that the main thread cannot write (a terminal that is stopped, a pipe that
 * nobody reads) would pile up without bound, at the rate of packets with `--log-packets`. The main thread counts what
 * it has written in one shared word, the only memory that the two share; the engine drops what exceeds the limit, and
 * says how much it was when there is room again.
 *
 * @module
 */

/** Lines on their way; a screenful many times over. */
export const LOG_LIMIT = 4_096;

/** The word that both threads see. */
export function newLogCounter(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** The engine's side. */
export class LogCredit {
  readonly #written: Int32Array;
  #posted = 0;
  #lost = 0;

  constructor(written: Int32Array) {
    this.#written = written;
  }

  /** Lines dropped since they were last told of. */
  get lost(): number {
    return this.#lost;
  }

  /** Whether one more line may be posted; counts it as lost if not. */
  take(): boolean {
    // Both counts wrap at 2³², and their difference does not mind.
    if (((this.#posted - Atomics.load(this.#written, 0)) | 0) >= LOG_LIMIT) {
      this.#lost++;
      return false;
    }
    this.#posted = (this.#posted + 1) | 0;
    return true;
  }

  /** The number of lost lines, told once. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }
}

/** The main thread's side: a line has been written. */
export function logWritten(counter: Int32Array): void {
  Atomics.add(counter, 0, 1);
}
