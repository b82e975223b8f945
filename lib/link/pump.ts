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
 * A near end with a qdisc for what arrives gets one frame at a time through it: while that one waits for its tokens, the
 * descriptor is not watched for more, and so the sender's own queue fills, and stops the sender.
 *
 * @module
 */

import { EpollEvents, type Reactor } from "../host/reactor.ts";
import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { Link } from "../stack/link/link.ts";
import type { Qdisc } from "../stack/qdisc/qdisc.ts";
import { type Instant, NEVER } from "../stack/time.ts";

/** Frames taken from one link in one turn of the loop, so that no link starves another. */
const RECEIVE_BATCH = 64;

/** What stands at the near end of the pump: an interface of a stack. */
export interface PumpEnd {
  ingress(frame: PacketBuffer, now: Instant): void;
  egress(now: Instant): PacketBuffer | undefined;
  /** Shapes what arrives; see `NicOptions.inbound`. */
  readonly inbound?: Qdisc | undefined;
  /** Takes no more for now: frames are left in the descriptor until a `flush` finds room. */
  readonly full?: boolean;
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
  /** When the frame that waits in the inbound qdisc may pass; NEVER: none does. */
  #passAt: Instant = NEVER;
  /** The near end is full. */
  #held = false;
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
    const released = this.#held && this.#nic.full !== true;
    if ((this.#passAt <= now || released) && !this.#closed) {
      if (released) this.#hold(false);
      this.#receive();
    }
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

  /** When {@linkcode flush} has something to do that no event tells: a shaped frame may pass, or there is room again. */
  pollAt(): Instant {
    return this.#held && this.#nic.full !== true ? 0 as Instant : this.#passAt;
  }

  /** Stops watching; the descriptor stays its owner's. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reactor.remove(this.#fd);
    this.#blocked?.release();
    this.#blocked = undefined;
    this.#passAt = NEVER;
    this.#held = false;
  }

  #receive(): void {
    const now = this.#reactor.now() as Instant;
    const { inbound } = this.#nic;
    if (inbound !== undefined) this.#pass(inbound, now);
    for (let i = 0; i < RECEIVE_BATCH; i++) {
      if (this.#passAt !== NEVER || this.#closed) return;
      if (this.#nic.full === true) return this.#hold(true);
      const frame = this.#link.receive();
      if (frame === undefined) return;
      if (inbound === undefined) this.#nic.ingress(frame, now);
      else if (inbound.enqueue(frame, now)) this.#pass(inbound, now);
      else frame.release();
    }
    if (this.#closed) return;
    if (!this.#more) {
      this.#more = true;
      this.#reactor.defer(this);
    }
  }

  /** Lets the frame in the inbound qdisc go in, or waits until it may. */
  #pass(inbound: Qdisc, now: Instant): void {
    const waited = this.#passAt !== NEVER;
    const frame = inbound.dequeue(now);
    this.#passAt = inbound.pollAt();
    if ((this.#passAt !== NEVER) !== waited) this.#watch();
    if (frame !== undefined) this.#nic.ingress(frame, now);
  }

  #hold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    this.#watch();
  }

  /** Has the descriptor watched for what there is something to do about. */
  #watch(): void {
    if (this.#closed) return;
    const receiving = this.#passAt === NEVER && !this.#held ? EpollEvents.in : 0;
    this.#reactor.modify(this.#fd, this.#full ? receiving | EpollEvents.out : receiving);
  }

  #block(frame: PacketBuffer | undefined): void {
    // A link that learnt while it was written to that its far side is gone has had us closed.
    if (this.#closed) {
      frame?.release();
      return;
    }
    this.#blocked = frame;
    this.#full = true;
    this.#watch();
  }

  #resume(): void {
    const frame = this.#blocked;
    if (frame !== undefined) {
      if (!this.#link.transmit(frame)) return;
      this.#blocked = undefined;
    }
    if (this.#closed || this.#link.flush?.() === false) return;
    this.#full = false;
    this.#watch();
  }
}
