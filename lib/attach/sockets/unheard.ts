/**
 * Answers that nobody heard.
 *
 * Theory of operation
 *
 * A trapped call is a wait, which a signal may end in the very moment that it is answered: the call has been carried out, and
 * its thread does not know. Most handlers have `SA_RESTART`, so it comes again with the same call; carried out once more, a
 * `bind` would say EINVAL, and a datagram would be sent twice. It gets the answer that it has missed instead: what was
 * written to its memory is there already.
 *
 * The next call of the thread decides. Is it another one, the handler was of the kind that makes calls fail with EINTR, or
 * has called us itself; then the answer is forgotten.
 *
 * Not kept is what must not be old: that there is nothing (EAGAIN), for by then there may be something. And callers of
 * {@linkcode Call.tryReply} undo what they have done, where that is possible and better.
 *
 * @module
 */

import type { Counter, Counters } from "../../stack/counters.ts";
import type { Call } from "./call.ts";

/** Most that are kept. */
export const MOST_UNHEARD = 1_024;

/** A call that was answered in vain. */
interface Unheard {
  readonly nr: number;
  readonly words: Int32Array;
  readonly result: number;
}

/** The last answer to each thread, if it was not heard. */
export class UnheardAnswers {
  readonly #byThread = new Map<number, Unheard>();
  readonly #kept: Counter;
  readonly #dropped: Counter;

  constructor(counters: Counters) {
    this.#kept = counters.slot("sockets.unheard");
    this.#dropped = counters.slot("sockets.limit.unheard");
  }

  get size(): number {
    return this.#byThread.size;
  }

  /** @param result a value, or −errno */
  keep(call: Call, result: number): void {
    this.#kept.value++;
    this.#byThread.set(call.tid, { nr: call.nr, words: call.words(), result });
    if (this.#byThread.size <= MOST_UNHEARD) return;
    this.#dropped.value++;
    for (const oldest of this.#byThread.keys()) {
      this.#byThread.delete(oldest);
      return;
    }
  }

  /** The answer to `call`, if its thread has missed it the first time; undefined: it is a new one. */
  take(call: Call): number | undefined {
    if (this.#byThread.size === 0) return undefined;
    const unheard = this.#byThread.get(call.tid);
    if (unheard === undefined) return undefined;
    this.#byThread.delete(call.tid);
    return call.is(unheard.nr, unheard.words) ? unheard.result : undefined;
  }

  /** Forgets those of threads that are gone: their numbers are given out again. */
  sweep(lives: (thread: number) => boolean): void {
    for (const thread of this.#byThread.keys()) if (!lives(thread)) this.#byThread.delete(thread);
  }
}
