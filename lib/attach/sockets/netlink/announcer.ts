/**
 * Tells the groups of rtnetlink what changes in a network, as long as anybody has joined one: `ip monitor`.
 *
 * Each change is told when it is made, with the number of the request that made it. To find it costs a look at the whole
 * network, so a guest that changes a large one very often hears the rest once a second, as the difference.
 *
 * @module
 */

import { networkOf } from "../../../stack/snapshot.ts";
import { type Instant, later, NEVER, SECOND } from "../../../stack/time.ts";
import type { Deadline, SocketsContext } from "../guest_socket.ts";
import { type Cause, type Look, look, type Notice, noticesOf, UNASKED } from "./notices.ts";

/** How often it is looked whether something has changed that no request of the guest's has. */
const INTERVAL = SECOND;

/** Sockets of one network that hear of changes (`sockets.limit.listeners`): each change is told to each. */
export const MAX_LISTENERS = 256;

/** Objects looked at and messages told between two regular looks (`sockets.limit.announcements`): some 0.1 s of work. */
export const EFFORT = 32_768;

/** Who hears of changes. */
export interface Listener {
  /** Whether it has joined any group. */
  readonly listens: boolean;
  hear(notices: readonly Notice[]): void;
}

/** The announcer of each network. */
const announcers = new WeakMap<SocketsContext, Announcer>();

/** The announcer of a guest's network. */
export function announcerOf(context: SocketsContext): Announcer {
  let found = announcers.get(context);
  if (found === undefined) announcers.set(context, found = new Announcer(context));
  return found;
}

/** Compares a network with what it was, and tells. */
export class Announcer implements Deadline {
  timerAt: Instant = NEVER;
  timerIndex = -1;
  readonly #context: SocketsContext;
  readonly #listeners = new Set<Listener>();
  #last: Look | undefined;
  #effort = EFFORT;

  constructor(context: SocketsContext) {
    this.#context = context;
  }

  /** Whether there may be no more listeners; counted if so. */
  get full(): boolean {
    if (this.#listeners.size < MAX_LISTENERS) return false;
    this.#context.counters.bump("sockets.limit.listeners");
    return true;
  }

  /** `listener` has joined or left a group, or is gone. */
  changed(listener: Listener): void {
    if (listener.listens) this.#listeners.add(listener);
    else this.#listeners.delete(listener);
    if (this.#listeners.size === 0) {
      this.#last = undefined;
      this.#context.supervisor.setDeadline(this, NEVER);
    } else if (this.#last === undefined) {
      this.#last = this.#look();
      this.#again();
    }
  }

  /** Something may have changed, by the request `cause`. */
  announce(cause: Cause = UNASKED): void {
    if (this.#last === undefined) return;
    if (this.#effort > 0) this.#tell(cause);
    else this.#context.counters.bump("sockets.limit.announcements");
  }

  onDeadline(): void {
    this.#effort = EFFORT;
    this.#tell(UNASKED);
    this.#again();
  }

  #tell(cause: Cause): void {
    const last = this.#last;
    if (last === undefined) return;
    const now = this.#last = this.#look();
    const notices = noticesOf(last, now, cause);
    const { nics, addresses, routes, neighbours } = now;
    this.#effort -= nics.size + addresses.size + routes.size + neighbours.size +
      notices.length * this.#listeners.size;
    if (notices.length === 0) return;
    for (const listener of this.#listeners) listener.hear(notices);
  }

  #again(): void {
    const { supervisor, reactor } = this.#context;
    supervisor.setDeadline(this, later(reactor.now() as Instant, INTERVAL));
  }

  #look(): Look {
    return look(networkOf(this.#context.stack, this.#context.reactor.now() as Instant));
  }
}
