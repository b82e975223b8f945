/**
 * Whether the engine still turns.
 *
 * A thread in a synchronous loop that no longer comes round (a defect, or a file on a dead server) tells nobody. Its
 * guest's calls would wait for ever, and a signal to us would end the program but not the session, since it is the
 * engine that sees a program's end. So the main thread asks now and then, and at once when it is asked to end.
 *
 * Not by a clock: a machine that slept, or we when stopped, come back with every deadline passed. What counts is
 * that several questions in a row went unanswered, with a full interval for each.
 *
 * @module
 */

/** Milliseconds between two questions. */
const INTERVAL = 10_000;
/** Questions without an answer, after which the engine is given up. */
const PATIENCE = 2;
/** Milliseconds that it has to answer when somebody wants us to end. */
const HURRY = 3_000;

/** Times, for tests. */
export interface WatchdogTimes {
  readonly interval: number;
  readonly hurry: number;
}

/** Asks, and calls `onStuck` once when no answer comes. */
export class Watchdog {
  readonly #ask: () => Promise<unknown>;
  readonly #onStuck: () => void;
  readonly #times: WatchdogTimes;
  readonly #timer: ReturnType<typeof setInterval>;
  #hurry: ReturnType<typeof setTimeout> | undefined;
  #unanswered = 0;

  /** @param ask resolves when the engine has turned */
  constructor(
    ask: () => Promise<unknown>,
    onStuck: () => void,
    times: WatchdogTimes = { interval: INTERVAL, hurry: HURRY },
  ) {
    this.#ask = ask;
    this.#onStuck = onStuck;
    this.#times = times;
    this.#timer = setInterval(() => this.#question(), times.interval);
  }

  /** Somebody wants us to end: the engine answers soon, or is given up. */
  hurry(): void {
    if (this.#hurry !== undefined) return;
    this.#hurry = setTimeout(() => this.#bark(), this.#times.hurry);
    this.#put();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#calm();
  }

  #question(): void {
    if (this.#unanswered >= PATIENCE) return this.#bark();
    this.#put();
  }

  #put(): void {
    this.#unanswered++;
    this.#ask().then(() => {
      this.#unanswered = 0;
      this.#calm();
    }, () => {});
  }

  #calm(): void {
    clearTimeout(this.#hurry);
    this.#hurry = undefined;
  }

  #bark(): void {
    this.close();
    this.#onStuck();
  }
}
