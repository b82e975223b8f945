/**
 * Where guests come from: one `--listen`.
 *
 * @module
 */

import type { Instant } from "../../stack/time.ts";

/** Something that listens for guests. */
export interface Listener {
  /** When {@linkcode poll} has something to do. */
  pollAt(): Instant;
  poll(now: Instant): void;
  /** Stops listening; the guests that came are the switch's. */
  close(): void;
}
