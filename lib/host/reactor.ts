/**
 * The loop of a thread that moves packets: epoll, deadlines, a work list.
 *
 * Theory of operation
 *
 * One turn is: ask the owner for its next deadline (`beforeWait`), `epoll_wait` until then, call the handler
 * of each ready descriptor, drain the work list, tell the owner (`afterTurn`). Everything is synchronous;
 * nothing awaits. Handlers do a bounded amount of work and `defer()` the rest, so no descriptor starves
 * another: a turn handles at most {@linkcode EVENTS_PER_WAIT} events, and work deferred during the drain
 * belongs to the next turn, which then does not sleep. Level-triggered epoll forgives a handler that stops
 * early; edge-triggered descriptors must defer.
 *
 * Stale events. A handler may close a descriptor, and open another that gets the same number, while an event
 * for the first is still in the batch. Each registration therefore has a generation, which travels through
 * the kernel in the upper half of
 * `epoll_event.data`; an event whose generation is not the slot's is dropped.
 *
 * Sleep. To be woken takes long, so a loop that is woken soon after it fell asleep looks a few times more before it sleeps
 * ({@linkcode LONGEST_POLL}); one that has nothing to do sleeps at once.
 *
 * Time. `now()` is read once per turn, after the wait; all work of a turn happens at the same instant.
 *
 * @module
 */

import { EPOLL_EVENT_DATA, EPOLL_EVENT_SIZE, O } from "./arch.ts";
import { monotonic } from "./clock.ts";
import { EpollEvents } from "./constants.ts";
import { check, Errno, SystemError } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { close, epoll_create1, epoll_ctl, epoll_pwait2, epoll_wait } from "./sys.ts";

export { EpollEvents } from "./constants.ts";

/** Most events handled in one turn. */
export const EVENTS_PER_WAIT = 128;

const CTL_ADD = 1, CTL_DEL = 2, CTL_MOD = 3;
/**
 * Microseconds of polling before a sleep, if sleeps are short. To be woken costs more than to look again: measured on a
 * virtual machine with two cores, a request/response took 43 µs instead of 78, connect-request-close 183 instead of 219, and a stream gained a tenth.
 */
const SHORTEST_POLL = 10, LONGEST_POLL = 50;
/** A sleep up to this long, waking up included, was short. */
const SHORT_SLEEP = 100;
/** Longest sleep, so that a deadline far away fits a timespec and an int of milliseconds. */
const LONGEST_WAIT = 3_600_000_000;

/** Who wants to know that a descriptor is ready. */
export interface ReadyHandler {
  /** @param events bits of {@linkcode EpollEvents} */
  onReady(events: number): void;
}

/** Something to do in the next drain of the work list. */
export interface Work {
  run(): void;
}

/** The owner of the loop. */
export interface LoopHooks {
  /**
   * When the loop must turn even if nothing happens: microseconds on the loop's clock, 0 for at once,
   * Infinity for never.
   */
  beforeWait(): number;
  /** All handlers and all deferred work of this turn have run. */
  afterTurn(): void;
}

/** How the loop has fared. */
export interface ReactorCounters {
  turns: number;
  events: number;
  /** Events for a descriptor that was removed earlier in the same batch. */
  stale: number;
  /** Longest time between two waits, microseconds. */
  longestTurn: number;
}

/** An epoll loop. One per thread. */
export class Reactor {
  readonly counters: ReactorCounters = { turns: 0, events: 0, stale: 0, longestTurn: 0 };
  readonly #epoll: number;
  readonly #batch = new NativeMemory(EPOLL_EVENT_SIZE * EVENTS_PER_WAIT);
  readonly #control = new NativeMemory(16);
  readonly #timespec = new NativeMemory(16);
  readonly #handlers: (ReadyHandler | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #interests: number[] = [];
  #work: Work[] = [];
  #working: Work[] = [];
  #now: number = monotonic();
  #running = false;
  #hasPwait2 = true;
  /** Microseconds to poll before the next sleep. */
  #polling = 0;
  /** Somebody was woken on this processor: he runs once we sleep. */
  #owesRest = false;

  constructor() {
    this.#epoll = check(epoll_create1(O.CLOEXEC), "create an epoll descriptor");
  }

  /** The instant of this turn, microseconds, monotonic, the same origin in every thread. */
  now(): number {
    return this.#now;
  }

  /** The clock as it is now, which may be later than the instant of this turn. */
  elapsed(): number {
    return monotonic();
  }

  /** Moves the instant of this turn to now, for a turn that took long. */
  refresh(): number {
    return this.#now = monotonic();
  }

  /** Watches `fd`. Errors and hang-ups are always reported. Throws {@linkcode SystemError}. */
  add(fd: number, events: number, handler: ReadyHandler): void {
    const generation = ((this.#generations[fd] ?? 0) + 1) | 0;
    check(this.#ctl(CTL_ADD, fd, events, generation), `watch descriptor ${fd}`);
    while (this.#handlers.length <= fd) {
      this.#handlers.push(undefined);
      this.#generations.push(0);
      this.#interests.push(0);
    }
    this.#handlers[fd] = handler;
    this.#generations[fd] = generation;
    this.#interests[fd] = events;
  }

  /** Changes what is waited for; no system call when nothing changes. */
  modify(fd: number, events: number): void {
    if (this.#interests[fd] === events && (events & EpollEvents.et) === 0) return;
    check(this.#ctl(CTL_MOD, fd, events, this.#generations[fd] ?? 0), `watch descriptor ${fd}`);
    this.#interests[fd] = events;
  }

  /** Stops watching; call it before the descriptor is closed. Events already collected for it are dropped. */
  remove(fd: number): void {
    if (this.#handlers[fd] === undefined) return;
    this.#handlers[fd] = undefined;
    this.#generations[fd] = (this.#generations[fd]! + 1) | 0;
    // Fails only if the descriptor was closed before, which took it out of the set already.
    this.#ctl(CTL_DEL, fd, 0, 0);
  }

  /**
   * Stops watching a descriptor that the caller closes next. Closing takes it out of the set by itself,
   * unless it was duplicated, so this saves the system call that `remove` makes.
   */
  forget(fd: number): void {
    if (this.#handlers[fd] === undefined) return;
    this.#handlers[fd] = undefined;
    this.#generations[fd] = (this.#generations[fd]! + 1) | 0;
  }

  /**
   * Puts work on the list; it runs after this turn's handlers, or in the next turn when called from such
   * work.
   */
  defer(work: Work): void {
    this.#work.push(work);
  }

  /** Turns until `stop()`. An exception of a handler ends it. */
  run(hooks: LoopHooks): void {
    this.#running = true;
    this.#now = monotonic();
    while (this.#running) this.turn(hooks);
  }

  /** Somebody was woken to run on this processor, and waits for us to sleep: the next wait does not poll. */
  rest(): void {
    this.#owesRest = true;
  }

  /** Ends `run()` after this turn. */
  stop(): void {
    this.#running = false;
  }

  /** One turn, for who has a loop of his own. */
  turn(hooks: LoopHooks): void {
    const deadline = hooks.beforeWait();
    const began = this.#now;
    let timeout = 0;
    if (this.#work.length === 0 && deadline > 0) {
      const before = monotonic();
      if (before - began > this.counters.longestTurn) this.counters.longestTurn = before - began;
      timeout = Math.min(deadline - before, LONGEST_WAIT);
      if (deadline === Infinity) timeout = -1;
      else if (timeout < 0) timeout = 0;
    }
    const count = timeout === 0 ? this.#wait(0) : this.#pollThenWait(timeout);
    this.#now = monotonic();
    this.counters.turns++;
    for (let i = 0; i < count; i++) this.#deliver(i * EPOLL_EVENT_SIZE);
    this.#drain();
    hooks.afterTurn();
  }

  /** Closes the epoll descriptor. */
  close(): void {
    close(this.#epoll);
  }

  #deliver(at: number): void {
    const { view } = this.#batch;
    const fd = view.getInt32(at + EPOLL_EVENT_DATA, true);
    const handler = this.#handlers[fd];
    this.counters.events++;
    if (handler === undefined || this.#generations[fd] !== view.getInt32(at + EPOLL_EVENT_DATA + 4, true)) {
      this.counters.stale++;
      return;
    }
    handler.onReady(view.getInt32(at, true));
  }

  #drain(): void {
    if (this.#work.length === 0) return;
    const working = this.#work;
    this.#work = this.#working;
    this.#working = working;
    for (let i = 0; i < working.length; i++) working[i]!.run();
    working.length = 0;
  }

  /**
   * Polls for {@linkcode Reactor.#polling} microseconds before it sleeps. Whether that is worth it, the sleeps tell, as with
   * KVM's `halt_poll_ns`: a short one doubles the time, a long one resets it to none.
   */
  #pollThenWait(timeout: number): number {
    if (this.#owesRest) {
      this.#owesRest = false;
      return this.#wait(timeout);
    }
    if (this.#polling > 0) {
      const until = monotonic() + (timeout < 0 ? this.#polling : Math.min(this.#polling, timeout));
      do {
        const count = this.#wait(0);
        if (count > 0) return count;
      } while (monotonic() < until);
    }
    const began = monotonic();
    const count = this.#wait(timeout);
    const slept = monotonic() - began;
    this.#polling = slept > SHORT_SLEEP
      ? 0
      : Math.min(Math.max(2 * this.#polling, SHORTEST_POLL), LONGEST_POLL);
    return count;
  }

  /** @param timeout microseconds; −1 for ever */
  #wait(timeout: number): number {
    const count = timeout > 0 && this.#hasPwait2 ? this.#waitPrecisely(timeout) : epoll_wait(
      this.#epoll,
      this.#batch.address,
      EVENTS_PER_WAIT,
      timeout > 0 ? Math.ceil(timeout / 1_000) : timeout,
    );
    if (count >= 0) return count;
    // A signal, or the one call that found epoll_pwait2 missing: the turn is empty.
    if (count === -Errno.EINTR || count === -Errno.ENOSYS) return 0;
    throw new SystemError("wait for events", -count);
  }

  /** Deadlines of a shaper are finer than the milliseconds of `epoll_wait`. */
  #waitPrecisely(timeout: number): number {
    const seconds = Math.trunc(timeout / 1_000_000);
    this.#timespec.words[0] = seconds;
    this.#timespec.words[2] = Math.trunc((timeout - seconds * 1_000_000) * 1_000);
    const count = epoll_pwait2(this.#epoll, this.#batch.address, EVENTS_PER_WAIT, this.#timespec.address, 0);
    // Linux before 5.11, or a sandbox that does not know the call (gVisor, old seccomp profiles say EPERM).
    if (count === -Errno.ENOSYS || count === -Errno.EPERM) {
      this.#hasPwait2 = false;
      return -Errno.ENOSYS;
    }
    return count;
  }

  #ctl(operation: number, fd: number, events: number, generation: number): number {
    const { view } = this.#control;
    view.setInt32(0, events, true);
    view.setInt32(EPOLL_EVENT_DATA, fd, true);
    view.setInt32(EPOLL_EVENT_DATA + 4, generation, true);
    return epoll_ctl(this.#epoll, operation, fd, this.#control.address);
  }
}
