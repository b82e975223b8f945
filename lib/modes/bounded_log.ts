/**
 * What is said of those who may give us a lot to tell: a provider that lies, guests that come and go. What is beyond a
 * screenful is counted, and told of in one line.
 *
 * @module
 */

import { TokenBucket } from "../stack/ip/token_bucket.ts";
import type { Instant } from "../stack/time.ts";
import type { Log } from "./mode.ts";

/** Lines at once, and how many more a second. */
const LINES = 12, LINES_PER_SECOND = 0.1;

/** Writes lines, but not without end. */
export class BoundedLog {
  readonly #log: Log;
  readonly #what: string;
  readonly #now: () => Instant;
  readonly #credit: TokenBucket;
  #untold = 0;
  #suppressed = 0;

  /** @param lines how many at once */
  constructor(log: Log, what: string, now: () => Instant, lines = LINES) {
    this.#credit = new TokenBucket(LINES_PER_SECOND, lines);
    this.#log = log;
    this.#what = what;
    this.#now = now;
  }

  /** Lines that were left out so far. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /** Debug lines are for who looks for something: they are all there. */
  write(level: Parameters<Log>[0], text: string): void {
    if (level === "debug") return this.#log(level, text);
    if (!this.#credit.take(this.#now())) {
      this.#untold++;
      this.#suppressed++;
      return;
    }
    if (this.#untold > 0) {
      const lines = this.#untold === 1 ? "line was" : "lines were";
      this.#log("warn", `${this.#what}: ${this.#untold} ${lines} left out here`);
      this.#untold = 0;
    }
    this.#log(level, text);
  }
}
