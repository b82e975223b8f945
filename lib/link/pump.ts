/**
 * The pump between a link that has a descriptor and an interface of the stack.
 *
 * ```text
 *   descriptor readable ──▶ link.receive() ──▶ stack.ingress(nic)       at most RECEIVE_BATCH frames a turn
 *   end of the turn     ──▶ nic.egress()   ──▶ link.transmit()          until dry, or until the link is full
 * ```
 *
 * A frame that the link would not take stays here, in order, and nothing more is pulled from the interface until the
 * descriptor polls writable: so a full link fills the qdisc, a full qdisc stops TCP, and nothing is lost on the way. A link
 * that sends frames together is told when there are no more.
 *
 * @module
 */

import { EpollEvents, type Reactor } from "../host/reactor.ts";
import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { Link } from "../stack/link/link.ts";
import type { Instant } from "../stack/time.ts";

/** Frames taken from one link in one turn of the loop, so that no link starves another. */
const RECEIVE_BATCH = 64;

/** What stands at the near end of the pump: an interface of a stack. */
export interface PumpEnd {
  ingress(frame: PacketBuffer, now: Instant): void;
  egress(now: Instant): PacketBuffer | undefined;
}

/** Moves frames between one link and one interface. */
export class Pump {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #link: Link;
  readonly #nic: PumpEnd;
  readonly #onHangUp: () => void;
  readonly #survives: () => boolean;
  /** The frame that the link would not take. */
  #blocked: PacketBuffer | undefined;
  /** The link is full; of what it has kept back, too. */
  #full = false;
  #more = false;
  #closed = false;

  /**
   * @param fd what the reactor watches for `link`; the link reads and writes it
   * @param onHangUp called once if the far side is gone
   * @param survives asked about an error first: true if it has been dealt with, and the wire may come back
   */
  constructor(
    reactor: Reactor,
    fd: number,
    link: Link,
    nic: PumpEnd,
    onHangUp: () => void,
    survives: () => boolean = () => false,
  ) {
    this.#survives = survives;
    this.#reactor = reactor;
    this.#fd = fd;
    this.#link = link;
    this.#nic = nic;
    this.#onHangUp = onHangUp;
    reactor.add(fd, EpollEvents.in, this);
  }

  /** Work list entry: the rest of a batch that was cut short. */
  run(): void {
    this.#more = false;
    if (!this.#closed) this.#receive();
  }

  onReady(events: number): void {
    if ((events & EpollEvents.out) !== 0 && this.#full) this.#resume();
    if (this.#closed) return;
    if ((events & EpollEvents.in) !== 0) this.#receive();
    else if ((events & (EpollEvents.err | EpollEvents.hup)) !== 0 && !this.#survives()) {
      this.close();
      this.#onHangUp();
    }
  }

  /** Sends what the interface has; drains, bounded by what the qdisc and the senders' windows hold. */
  flush(now: Instant): void {
    if (this.#closed || this.#full) return;
    for (;;) {
      const frame = this.#nic.egress(now);
      if (frame === undefined) break;
      if (!this.#link.transmit(frame)) return this.#block(frame);
      if (this.#closed) return;
    }
    if (this.#link.flush?.() === false) this.#block(undefined);
  }

  /** Whether the link is full: a frame waits for it. */
  get full(): boolean {
    return this.#full;
  }

  /** Stops watching; the descriptor stays its owner's. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reactor.remove(this.#fd);
    this.#blocked?.release();
    this.#blocked = undefined;
  }

  #receive(): void {
    const now = this.#reactor.now() as Instant;
    for (let i = 0; i < RECEIVE_BATCH; i++) {
      const frame = this.#link.receive();
      if (frame === undefined) return;
      this.#nic.ingress(frame, now);
      if (this.#closed) return;
    }
    if (!this.#more) {
      this.#more = true;
      this.#reactor.defer(this);
    }
  }

  #block(frame: PacketBuffer | undefined): void {
    // A link that learnt while it was written to that its far side is gone has had us closed.
    if (this.#closed) {
      frame?.release();
      return;
    }
    this.#blocked = frame;
    this.#full = true;
    this.#reactor.modify(this.#fd, EpollEvents.in | EpollEvents.out);
  }

  #resume(): void {
    const frame = this.#blocked;
    if (frame !== undefined) {
      if (!this.#link.transmit(frame)) return;
      this.#blocked = undefined;
    }
    if (this.#closed || this.#link.flush?.() === false) return;
    this.#full = false;
    this.#reactor.modify(this.#fd, EpollEvents.in);
  }
}
