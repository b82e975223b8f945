/**
 * The opening of a connection: when a SYN leaves, how often, and with which options.
 *
 * @module
 */

import { type Instant, later, NEVER, SECOND } from "../time.ts";
import { TcpFlag } from "../wire/tcp.ts";
import type { TcpOptions } from "./options.ts";
import { type PeerSyn, windowScaleFor } from "./peer_syn.ts";
import type { Receiver } from "./receiver.ts";
import { outgoing } from "./segment_writer.ts";
import type { Timestamps } from "./timestamps.ts";

/** RFC 6298 section 2.1: "the sender SHOULD set RTO <- 1 second". */
const SYN_TIMEOUT = SECOND;
/** Where doubling ends: 64 s. */
const MAX_DOUBLINGS = 6;

/** The handshake of one connection. */
export class Handshake {
  /** Our initial sequence number. */
  readonly sequence: number;
  /** A SYN or SYN-ACK must leave now. */
  due = false;
  /** How often it has left. */
  sent = 0;
  sentAt = 0 as Instant;
  /** When it must leave again, or counts as having left: a wire that takes nothing must not make anybody wait for ever. */
  at: Instant = NEVER;
  /** How often it should have left, and could not. */
  #kept = 0;
  /** We asked for ECN; the SYN that did was lost, perhaps for that. */
  #ecnGivenUp = false;
  readonly #options: TcpOptions;

  constructor(sequence: number, options: TcpOptions) {
    this.sequence = sequence | 0;
    this.#options = options;
  }

  /** The first one must leave; of a simultaneous open, which begins again as an answer, too. */
  begin(now: Instant): void {
    this.due = true;
    this.sent = 0;
    this.#kept = 0;
    this.at = later(now, SYN_TIMEOUT);
  }

  /** It is over, one way or the other. */
  stop(): void {
    this.due = false;
    this.at = NEVER;
  }

  /** The timer fired; returns false if it has been sent often enough. */
  repeat(passive: boolean, now: Instant): boolean {
    if (this.due) this.#kept++;
    const tries = this.sent + this.#kept;
    if (tries > (passive ? this.#options.synAckRetries : this.#options.synRetries)) return false;
    this.due = true;
    this.at = later(now, SYN_TIMEOUT * 2 ** Math.min(tries, MAX_DOUBLINGS));
    return true;
  }

  /** Whether both sides do ECN (RFC 3168 section 6.1.1), after the peer's SYN. */
  agreesOnEcn(syn: PeerSyn, active: boolean): boolean {
    if (!syn.ecn || this.#options.ecn === "off") return false;
    return active ? this.#options.ecn === "request" && !this.#ecnGivenUp : true;
  }

  /** The shift count that our SYN offers. */
  get windowScale(): number {
    return windowScaleFor(Math.max(this.#options.receiveBufferMax, this.#options.receiveBuffer));
  }

  /** Fills {@linkcode outgoing} with the options of a SYN, and returns its flags. The SYN leaves now. */
  fillSyn(mss: number, timestamps: Timestamps, now: Instant): number {
    const options = this.#options;
    this.#leaves(now);
    outgoing.clearOptions();
    outgoing.mss = mss;
    outgoing.sackPermitted = options.sack;
    outgoing.hasTimestamp = options.timestamps;
    if (options.timestamps) outgoing.timestampValue = timestamps.value(now);
    if (options.windowScale) outgoing.windowScale = this.windowScale;
    if (options.ecn !== "request") return TcpFlag.syn;
    if (this.sent === 1) return TcpFlag.syn | TcpFlag.ece | TcpFlag.cwr;
    // RFC 3168 section 6.1.1.1: boxes that drop such a SYN exist; the next one goes without.
    this.#ecnGivenUp = true;
    return TcpFlag.syn;
  }

  /** The same for a SYN-ACK: an option is in it if it was in the SYN. */
  fillSynAck(
    mss: number,
    timestamps: Timestamps,
    receiver: Receiver,
    scaled: boolean,
    ecn: boolean,
    now: Instant,
  ): number {
    this.#leaves(now);
    outgoing.clearOptions();
    outgoing.mss = mss;
    outgoing.sackPermitted = receiver.sack;
    outgoing.hasTimestamp = timestamps.enabled;
    if (timestamps.enabled) {
      outgoing.timestampValue = timestamps.value(now);
      outgoing.timestampEcho = timestamps.recent;
    }
    if (scaled) outgoing.windowScale = receiver.scale;
    return TcpFlag.syn | TcpFlag.ack | (ecn ? TcpFlag.ece : 0);
  }

  #leaves(now: Instant): void {
    this.due = false;
    if (this.sent++ === 0) this.sentAt = now;
    this.at = later(now, SYN_TIMEOUT * 2 ** Math.min(this.sent + this.#kept - 1, MAX_DOUBLINGS));
  }
}
