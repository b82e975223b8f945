/**
 * When to give up on a peer that acknowledges nothing.
 *
 * @module
 */

import type { Instant } from "../time.ts";
import { RTO_LIMITS } from "./rtt.ts";
import type { Sender } from "./sender.ts";

/**
 * Whether data has been unacknowledged for as long as `retries` time-outs take, starting at Linux' least one. Counting them
 * would not do: ICMP takes steps of the back-off back, and a hopeless connection would end in a minute.
 */
export function isHopeless(sender: Sender, retries: number, now: Instant): boolean {
  if (sender.timeouts <= retries) return false;
  const { min, max } = RTO_LIMITS;
  const doubling = Math.min(retries, Math.floor(Math.log2(max / min)));
  const patience = (2 ** (doubling + 1) - 1) * min + (retries - doubling) * max;
  return now - sender.stalledSince >= patience;
}
