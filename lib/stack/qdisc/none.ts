/**
 * No discipline: straight through (Linux' `noqueue`).
 *
 * What waits here waits for the wire alone. TCP is held back by the first frame that does; datagrams, which cannot be,
 * are still bounded.
 *
 * @module
 */

import { Fifo } from "./fifo.ts";
import type { QdiscKind } from "./qdisc.ts";

/** The absence of a queueing discipline. */
export class None extends Fifo {
  override readonly kind: QdiscKind = "none";

  override get full(): boolean {
    return this.queue.length > 0;
  }
}
