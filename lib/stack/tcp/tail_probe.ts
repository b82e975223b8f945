/**
 * Tail loss probes (RFC 8985 section 7): when nothing has come back for two round trips, the end of the flight is sent
 * again, or something new, so that an acknowledgement tells what is missing before the retransmission timer must.
 *
 * @module
 */

import { type Instant, type Microseconds, MILLISECOND } from "../time.ts";
import type { CongestionControl } from "./congestion/congestion.ts";
import type { LossRecovery } from "./recovery.ts";
import { seqLt } from "./sequence.ts";

/** RFC 8985 section 7.2: worst case of a delayed acknowledgement. */
const WORST_DELAYED_ACK = 200 * MILLISECOND;
const SLACK = 2 * MILLISECOND;

/** The probe of one sender: at most one per tail. */
export class TailProbe {
  /** The timer has fired: the next segment is the probe. */
  due = false;
  /** One is on its way. */
  flying = false;
  /** It repeated a segment (TLP.is_retrans). */
  #again = false;
  /** TLP.end_seq. */
  #end = 0;

  /** The probe leaves; SND.NXT is `end` now. */
  sent(end: number, again: boolean): void {
    this.flying = true;
    this.#again = again;
    this.#end = end;
  }

  /** Nothing is in flight any more, or the retransmission timer was first. */
  cancel(): void {
    this.due = false;
    this.flying = false;
  }

  /** Section 7.2: how long after the last segment, if there may be a probe at all; NaN: none. */
  delay(recovery: LossRecovery, srtt: Microseconds, outstanding: number, mss: number): Microseconds {
    // Only with SACK, in open state, without anything sacked.
    if (
      !recovery.sack || recovery.state !== "open" || recovery.board.sacked > 0 || this.flying || srtt === 0
    ) {
      return NaN;
    }
    return 2 * srtt + (outstanding <= mss ? WORST_DELAYED_ACK : SLACK);
  }

  /** Section 7.4.2, "Detecting losses using TLP", with an acknowledgement that is on the scoreboard. */
  settle(
    ack: number,
    advanced: boolean,
    flight: number,
    recovery: LossRecovery,
    congestion: CongestionControl,
    now: Instant,
  ): void {
    if (!this.flying || seqLt(ack, this.#end)) return;
    this.flying = false;
    if (!this.#again || recovery.board.dsackBytes > 0) return;
    // "if the ACK is beyond TLP.end_seq", or it advanced to it without a D-SACK: the probe filled a hole.
    if (advanced) recovery.onProbeRepaired(flight, now, congestion);
  }
}
