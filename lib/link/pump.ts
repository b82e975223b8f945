/**
 * The pump between a link that has a descriptor and an interface of the stack.
 *
 * ```text
 *   descriptor readable ──▶ link.receive() ──▶ stack.ingress(nic)       at most RECEIVE_BATCH frames a turn
 *   end of the turn     ──▶ nic.egress()   ──▶ link.transmit()          until dry, or until the link is full
 * ```
 *
 * A frame that the link would not take stays here, in order, and nothing more is pulled from the interface until the
 * descriptor polls writable: so a full link fills the qdisc, a full qdisc stops TCP, and nothing is lost on the way.
 *
 * @module
 */

import { EpollEvents, type Reactor } from "../host/reactor.ts";
import type { PacketBuffer } from "../stack/buffer/packet.ts";
import type { Link } from "../stack/link/link.ts";
import type { Nic } from "../stack/nic.ts";
import type { Instant } from "../stack/time.ts";

/** Frames taken from one link in one turn of the loop, so that no link starves another. */
const RECEIVE_BATCH = 64;

/** Moves frames between one link and one interface. */
export class Pump {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #link: Link;
  readonly #nic: Nic;
  readonly #onHangUp: () => void;
  #blocked: PacketBuffer | undefined;
  #more = false;
  #closed = false;

  /**
   * @param fd what the reactor watches for `link`; the link reads and writes it
   * @param onHangUp called once if the far side is gone
   */
  constructor(reactor: Reactor, fd: number, link: Link, nic: Nic, onHangUp: () => void) {
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
    if ((events & EpollEvents.out) !== 0 && this.#blocked !== undefined) {
      this.#reactor.modify(this.#fd, EpollEvents.in);
      const frame = this.#blocked;
      this.#blocked = undefined;
      this.#send(frame);
    }
    if ((events & EpollEvents.in) !== 0) this.#receive();
    else if ((events & (EpollEvents.err | EpollEvents.hup)) !== 0) {
      this.close();
      this.#onHangUp();
    }
  }

  /** Sends what the interface has; drains, bounded by what the qdisc and the senders' windows hold. */
  flush(now: Instant): void {
    if (this.#closed) return;
    while (this.#blocked === undefined) {
      const frame = this.#nic.egress(now);
      if (frame === undefined) return;
      this.#send(frame);
    }
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
    }
    if (!this.#more) {
      this.#more = true;
      this.#reactor.defer(this);
    }
  }

  #send(frame: PacketBuffer): void {
    if (this.#link.transmit(frame)) return;
    this.#blocked = frame;
    this.#reactor.modify(this.#fd, EpollEvents.in | EpollEvents.out);
  }
}
