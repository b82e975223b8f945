/**
 * The urgent pointer (RFC 9293 section 3.8.5, RFC 6093): a mark in the stream, and the haste to make it known.
 *
 * RFC 9293 lets the pointer lead to the octet after the urgent data, and so does everybody; what an application calls
 * urgent is the one octet before (RFC 6093 section 2). There is one mark at a time: a later one takes the place of an earlier
 * one, whose octet is ordinary data from then on.
 *
 * @module
 */

import { seqAdd, seqDiff, seqGe, seqGt, seqLe, seqLt } from "./sequence.ts";

/** Furthest that a pointer reaches. */
const REACH = 0xffff;

/** The mark that we set: SND.UP. */
export class UrgentSend {
  /** It has not been acknowledged yet: segments before it carry the pointer. */
  active = false;
  /** Sequence number behind the urgent octet. */
  #up = 0;

  /** The octet before `up` is urgent. */
  mark(up: number): void {
    this.#up = up;
    this.active = true;
  }

  /** Everything before `una` has been acknowledged. */
  onAck(una: number): void {
    if (this.active && seqGe(una, this.#up)) this.active = false;
  }

  /** The urgent pointer of a segment that begins at `sequence`; 0: it has none. `nxt` is SND.NXT. */
  pointer(sequence: number, nxt: number): number {
    if (!this.active || !seqLt(sequence, this.#up)) return 0;
    const pointer = seqDiff(this.#up, sequence);
    if (pointer <= REACH) return pointer;
    // As Linux: "there is something urgent, further than I can say", unless what is sent already reaches there.
    return seqGt(seqAdd(sequence, REACH), nxt) ? REACH : 0;
  }
}

/** The mark that the peer has set: RCV.UP. */
export class UrgentReceive {
  /** Nothing else may be asked unless it is. */
  active = false;
  /** Sequence number of the urgent octet. */
  #at = 0;

  /**
   * A segment with URG.
   *
   * @param next RCV.NXT before the segment's payload
   */
  onPointer(sequence: number, pointer: number, next: number): void {
    // Linux' tcp_check_urg: "ptr && !sysctl_tcp_stdurg".
    const at = seqAdd(sequence, pointer > 0 ? pointer - 1 : 0);
    if (seqLt(at, next) || (this.active && seqLe(at, this.#at))) return;
    this.#at = at;
    this.active = true;
  }

  /** How far the urgent octet is behind `sequence`; negative: it has been passed. */
  distance(sequence: number): number {
    return seqDiff(this.#at, sequence);
  }
}
