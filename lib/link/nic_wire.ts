/**
 * Two interfaces, of two stacks of this program, with a wire between: whatever one sends the other receives in the same
 * turn, so the wire holds one frame at a time and is never full.
 *
 * @module
 */

import type { Link } from "../stack/link/link.ts";
import type { Nic } from "../stack/nic.ts";
import type { Instant } from "../stack/time.ts";

/** Frames carried in one direction before the other has its turn. */
const BATCH = 64;

/** One end of the wire. */
export interface WireEnd {
  readonly nic: Nic;
  readonly link: Link;
}

/** Carries what both ends send; returns how many frames that was. */
export function carryBetween(a: WireEnd, b: WireEnd, now: Instant): number {
  return carry(a, b, now) + carry(b, a, now);
}

function carry(from: WireEnd, to: WireEnd, now: Instant): number {
  for (let i = 0; i < BATCH; i++) {
    const frame = from.nic.egress(now);
    if (frame === undefined) return i;
    if (!from.link.transmit(frame)) frame.release();
    const arrived = to.link.receive();
    if (arrived !== undefined) to.nic.ingress(arrived, now);
  }
  return BATCH;
}
