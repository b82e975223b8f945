/**
 * A call that waits for something, at most for as long as the socket's time-out says.
 *
 * @module
 */

import { type Instant, later, NEVER } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import type { Deadline, SupervisorFace } from "../guest_socket.ts";

/** One held call. Ends once: answered by its owner, timed out, or abandoned by its thread. */
export class HeldCall implements Deadline {
  timerAt: Instant = NEVER;
  timerIndex = -1;
  readonly call: Call;
  /** Of `accept4`. */
  readonly flags: number;
  readonly #supervisor: SupervisorFace;
  readonly #onTimeout: (held: HeldCall) => void;

  /**
   * @param timeout microseconds, 0: none
   * @param onTimeout answers the call
   * @param onAbandoned the thread has gone
   */
  constructor(
    supervisor: SupervisorFace,
    call: Call,
    flags: number,
    timeout: number,
    now: Instant,
    onTimeout: (held: HeldCall) => void,
    onAbandoned: (held: HeldCall) => void,
  ) {
    this.#supervisor = supervisor;
    this.call = call;
    this.flags = flags;
    this.#onTimeout = onTimeout;
    call.timed = timeout > 0;
    call.hold(() => {
      this.settle();
      onAbandoned(this);
    });
    if (timeout > 0) supervisor.setDeadline(this, later(now, timeout));
  }

  /** No time-out any more: the owner answers. */
  settle(): this {
    if (this.timerIndex >= 0) this.#supervisor.setDeadline(this, NEVER);
    return this;
  }

  onDeadline(_now: Instant): void {
    this.#onTimeout(this);
  }
}
