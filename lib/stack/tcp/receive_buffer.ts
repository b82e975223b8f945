/**
 * How much the peer may send: the receive buffer, and its growth with the rate at which the user reads.
 *
 * Dynamic right-sizing, as in Linux' `tcp_rcv_space_adjust`: what the user read in one round trip is what the path
 * carries; twice that, and room for slow start to double it again, is what the buffer must hold.
 *
 * @module
 */

import type { Instant, Microseconds } from "../time.ts";
import { MILLISECOND } from "../time.ts";

/** Size and growth of one receive buffer. */
export class ReceiveBuffer {
  /** Bytes that may wait, in order or not. */
  capacity: number;
  readonly #max: number;
  /** Round-trip time as the receiver sees it, 0: unknown. */
  #rtt = 0;
  #epoch = 0 as Instant;
  #copied = 0;
  #space: number;

  constructor(capacity: number, max: number) {
    this.capacity = capacity;
    this.#max = Math.max(capacity, max);
    this.#space = capacity >> 1;
  }

  /** A full-sized segment echoed a timestamp of ours of `rtt` ago. */
  onRtt(rtt: Microseconds): void {
    const sample = Math.max(rtt, MILLISECOND);
    this.#rtt = this.#rtt === 0 ? sample : this.#rtt + (sample - this.#rtt) / 8;
  }

  /** The user has read `n` bytes. `srtt` is the sender's estimate, for who has no timestamps. */
  onRead(n: number, mss: number, srtt: Microseconds, now: Instant): void {
    this.#copied += n;
    if (this.capacity >= this.#max) return;
    const rtt = this.#rtt > 0 ? this.#rtt : srtt;
    if (rtt === 0 || now - this.#epoch < rtt) return;
    if (this.#copied > this.#space) {
      const growth = 2 * this.#copied + 16 * mss;
      if (growth > this.capacity) this.capacity = Math.min(growth, this.#max);
      this.#space = this.#copied;
    }
    this.#copied = 0;
    this.#epoch = now;
  }
}
