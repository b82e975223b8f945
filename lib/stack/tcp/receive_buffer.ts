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

/** Bytes of the first round trip: RFC 6928's initial window. */
const INITIAL_READ = 14_600;

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
    // As Linux: what the peer's initial window brings. From half of the capacity on would be too late for a long path.
    this.#space = Math.min(capacity >> 1, INITIAL_READ);
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
      const twice = 2 * this.#copied + 16 * mss;
      // "slow start: allow the sender to double its rate": by how much the rate grew, twice over. Without it the window is
      // half a round trip late each time, and what it held back arrives in one burst.
      const growth = twice + 2 * Math.floor(twice * (this.#copied - this.#space) / this.#space);
      if (growth > this.capacity) this.capacity = Math.min(growth, this.#max);
      this.#space = this.#copied;
    }
    this.#copied = 0;
    this.#epoch = now;
  }
}
