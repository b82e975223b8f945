/**
 * What is said of one network. A provider that lies, or comes and goes, gives us a lot to tell; what is beyond a screenful is
 * counted, and told of in one line.
 *
 * @module
 */

import { TokenBucket } from "../../stack/ip/token_bucket.ts";
import type { Instant } from "../../stack/time.ts";
import type { Log } from "../mode.ts";

/** Lines at once, and how many more a second. */
const LINES = 12, LINES_PER_SECOND = 0.1;

/** Writes lines, but not without end. */
export class NetworkLog {
  readonly #log: Log;
  readonly #name: string;
  readonly #now: () => Instant;
  readonly #credit = new TokenBucket(LINES_PER_SECOND, LINES);
  #untold = 0;
  #suppressed = 0;

  constructor(log: Log, name: string, now: () => Instant) {
    this.#log = log;
    this.#name = name;
    this.#now = now;
  }

  /** Lines that were left out so far. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /** Debug lines are for who looks for something: they are all there. */
  write(level: "debug" | "info" | "warn", text: string): void {
    if (level === "debug") return this.#log(level, text);
    if (!this.#credit.take(this.#now())) {
      this.#untold++;
      this.#suppressed++;
      return;
    }
    if (this.#untold > 0) {
      const lines = this.#untold === 1 ? "line was" : "lines were";
      this.#log("warn", `network ${this.#name}: ${this.#untold} ${lines} left out here`);
      this.#untold = 0;
    }
    this.#log(level, text);
  }
}
