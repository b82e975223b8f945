/**
 * A datagram socket and its errors: how the guest is made to look.
 *
 * Theory of operation
 *
 * A pair cannot be put into error without being destroyed. An error that came back therefore makes the guest look by an
 * *empty datagram* in the pair, a mark: calls that we answer find the error instead, a plain `recv` returns 0. A program
 * that asked for errors in full (`IP_RECVERR`) waits for POLLERR: for it the pair is destroyed, see broken_pair.ts.
 *
 * @module
 */

import { SOCK } from "../../../host/constants.ts";
import { shutdown } from "../../../host/sys.ts";
import type { Instant } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import { GuestSocket, type SocketsContext } from "../guest_socket.ts";
import { OptionValues } from "../options/option.ts";
import { Arrival } from "./arrival.ts";
import { type Breakable, moveDatagrams, PairError } from "./broken_pair.ts";
import { ErrorQueue } from "./error_queue.ts";
import { Inbox, landing } from "./inbox.ts";
import { configurePair } from "./pair_options.ts";

const mark = new Arrival();

/** What {@linkcode DatagramSocket} is made on. */
export abstract class SocketInError extends GuestSocket implements Breakable {
  readonly context: SocketsContext;
  readonly values = new OptionValues();
  readonly errors = new ErrorQueue();
  protected readonly inbox = new Inbox();
  protected readonly pairError: PairError;
  /** Directions that are shut: bit 0 receiving, bit 1 sending. */
  protected shut = 0;
  protected released = false;

  constructor(
    context: SocketsContext,
    near: number,
    inode: number,
    domain: number,
    type: number,
    protocol: number,
  ) {
    super(near, inode, domain, type, protocol);
    this.context = context;
    this.pairError = new PairError(context.supervisor, this);
  }

  abstract drainSends(): void;
  abstract relieved(): void;

  protected get now(): Instant {
    return this.context.reactor.now() as Instant;
  }

  get hasErrors(): boolean {
    return !this.released && this.errors.length > 0;
  }

  /** Makes `poll` show that there is an error. */
  protected showError(): void {
    if (this.hasErrors) this.pairError.show(this.now);
    else this.mark();
  }

  mark(): void {
    mark.marker = true;
    this.inbox.keepUp(this.near);
    if (!this.inbox.lastIsMarker) this.inbox.put(this.near, landing.address, 0, mark);
  }

  /** Takes the mark out again: the error has been seen. */
  protected withdrawMark(call: Call): void {
    if (!this.inbox.firstIsMarker) return;
    const far = call.borrow();
    if (far < 0) return;
    this.inbox.take(far, false);
    call.giveBack(far);
  }

  /** Gives the guest a pair that works, for as long as this call lasts if more errors wait. */
  override entered(call: Call): void {
    this.pairError.touched(this.now);
    if (!this.pairError.broken) return;
    const result = this.context.supervisor.replacePair(this, call, SOCK.SEQPACKET, (near, far) => {
      const old = call.borrow();
      if (old >= 0) {
        moveDatagrams(old, near);
        call.giveBack(old);
      }
      configurePair(this.values, near, far);
      if (this.shut > 0) shutdown(far, this.shut - 1);
    });
    // Without descriptors to make one from there is no mending it; the call is answered as ever.
    if (result < 0) return this.context.counters.bump("sockets.not-mended");
    this.pairError.mended(this.inbox);
    this.context.reactor.defer(this.#afterwards);
  }

  readonly #afterwards = {
    run: (): void => {
      if (this.hasErrors) this.showError();
    },
  };

  /** The pending error, which a send returns in its place; 0: none. */
  protected takePending(): number {
    return this.errors.pending === 0 ? 0 : this.errors.take();
  }

  /** Takes the pending error, and what told the guest to look for it. */
  protected takeErrorFor(call: Call): number {
    const errno = this.errors.take();
    if (errno !== 0 && this.errors.length === 0) this.withdrawMark(call);
    return errno;
  }
}
