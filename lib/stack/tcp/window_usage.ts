/**
 * Whether the congestion window is used: the most that was in flight at once in the current window of data (Linux'
 * tcp_cwnd_validate, RFC 7661).
 *
 * What is in flight when an acknowledgement arrives would not do. They come in batches, and nothing leaves between those of
 * one batch: behind the first few, any window looks unused.
 *
 * @module
 */

import { seqLt } from "./sequence.ts";

/** The usage of one sender's window. */
export class WindowUsage {
  /** Bytes. */
  peak = 0;
  /** SND.NXT when the peak was seen: a window of data later it is history. */
  #end = 0;

  /** Something was sent: so much is in flight now. */
  note(flight: number, una: number, nxt: number): void {
    if (flight <= this.peak && seqLt(una, this.#end)) return;
    this.peak = flight;
    this.#end = nxt;
  }
}
