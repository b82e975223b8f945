/**
 * The first half of RFC 9293 section 3.10.7.4: is this segment any of our business?
 *
 * The checks that come before the acknowledgement, in their order, with the refinements of RFC 5961 (challenges), RFC 7323
 * (PAWS) and Linux. The verdict is data; what it means for the connection is the connection's business.
 *
 * @module
 */

import type { Instant } from "../time.ts";
import { TcpFlag, type TcpHeader } from "../wire/tcp.ts";
import type { Receiver } from "./receiver.ts";
import { seqAdd } from "./sequence.ts";
import type { TcpState } from "./state.ts";
import type { Timestamps } from "./timestamps.ts";

/** What to do with a segment. */
export type Verdict =
  /** Go on with the acknowledgement. */
  | "accept"
  | "ignore"
  /** Older than what was received, by its timestamp. */
  | "old-timestamp"
  /** Out of the window: say where we are. */
  | "out-of-window"
  | "out-of-window-reset"
  /** It may be forged: let a true peer prove itself. */
  | "challenge"
  /** A RST, exactly in sequence. */
  | "reset"
  /** The peer's SYN again: our SYN-ACK was lost. */
  | "repeat-syn-ack";

/**
 * Examines a segment of a synchronized connection (or of one in SYN-RECEIVED).
 *
 * @param length sequence numbers it occupies
 */
export function examine(
  header: TcpHeader,
  length: number,
  state: TcpState,
  receiver: Receiver,
  timestamps: Timestamps,
  now: Instant,
): Verdict {
  const { flags, sequence } = header;
  const reset = (flags & TcpFlag.rst) !== 0;
  // RFC 7323 section 5.3 R1. A RST is let through: its sender may have lost all memory of timestamps.
  if (timestamps.enabled && header.hasTimestamp && !reset && timestamps.isOld(header.timestampValue, now)) {
    return "old-timestamp";
  }
  const repeatsSyn = state === "syn-received" && (flags & TcpFlag.syn) !== 0 &&
    seqAdd(sequence, 1) === receiver.next;
  // First: the sequence number.
  if (!receiver.accepts(sequence, length)) {
    if (reset) return "out-of-window-reset";
    if ((flags & TcpFlag.syn) === 0) return "out-of-window";
    return repeatsSyn ? "repeat-syn-ack" : "challenge";
  }
  // Second: RST. RFC 5961 section 3.2: exactly RCV.NXT, or be challenged.
  if (reset) return sequence === receiver.next ? "reset" : "challenge";
  // Fourth: SYN. RFC 5961 section 4.2: "irrespective of the sequence number, TCP MUST send ... a challenge ACK".
  if ((flags & TcpFlag.syn) !== 0) {
    if (!repeatsSyn) return "challenge";
    if ((flags & TcpFlag.ack) === 0) return "repeat-syn-ack";
    // The SYN-ACK of a simultaneous open acknowledges our SYN.
  }
  // Fifth: "if the ACK bit is off, drop the segment".
  return (flags & TcpFlag.ack) === 0 ? "ignore" : "accept";
}
