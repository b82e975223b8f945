/**
 * What stands between an interface and its wire on the way out.
 *
 * ```text
 *  UDP, ICMP, ARP ─── enqueue ──┐
 *                               ├──► queue ──► dequeue ──► wire
 *  TCP ── pulled unless full ───┘
 * ```
 *
 * Datagrams are pushed and may be dropped. TCP is pulled: the interface asks a connection for its next segment only
 * when `dequeue` had nothing and the discipline is not `full`, so a connection feels a slow wire as back-pressure and
 * never as loss. `full` therefore says "do not pull", and is true long before packets would be dropped: data is better
 * kept in send queues, where the peer's acknowledgements and the application's writes still count, than in a second
 * queue that only adds delay (the reasoning of Linux' TCP small queues).
 *
 * @module
 */

import type { PacketBuffer } from "../buffer/packet.ts";
import type { QdiscFacts } from "../facts.ts";
import type { Instant } from "../time.ts";
import { Fifo } from "./fifo.ts";
import { None } from "./none.ts";
import { Tbf, type TbfOptions } from "./tbf.ts";

/** The disciplines there are. */
export type QdiscKind = QdiscFacts["kind"];

/** A queueing discipline. */
export interface Qdisc {
  readonly kind: QdiscKind;
  /** Whether TCP should wait. Not a promise that `enqueue` would fail. */
  readonly full: boolean;
  /** Longest frame that `enqueue` takes; whatever is longer must be cut before. */
  readonly maxPacket: number;
  /** Takes ownership of a complete frame. False: dropped and counted; the caller still owns it and releases it. */
  enqueue(packet: PacketBuffer, now: Instant): boolean;
  /** The frame that may leave now, which is the caller's then. Undefined: nothing waits, or not yet. */
  dequeue(now: Instant): PacketBuffer | undefined;
  /** When `dequeue` is worth calling again without an `enqueue`: in the past if at once, NEVER if nothing waits. */
  pollAt(): Instant;
  /** Releases everything that waits; the packets count as dropped. */
  reset(): void;
  facts(): QdiscFacts;
}

/** What to make, in the words of `--qdisc`. */
export type QdiscOptions =
  | { readonly kind: "none" }
  | { readonly kind: "fifo"; readonly limit?: number }
  | { readonly kind: "tbf" } & TbfOptions;

/** The discipline of that kind. Throws a RangeError if the parameters of `tbf` cannot work. */
export function createQdisc(options: QdiscOptions): Qdisc {
  switch (options.kind) {
    case "none":
      return new None();
    case "fifo":
      return new Fifo(options.limit);
    case "tbf":
      return new Tbf(options);
  }
}
