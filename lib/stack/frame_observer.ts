/**
 * Whoever looks at frames as they pass an interface: captures.
 *
 * What leaves is seen as it goes to the wire. What comes in is seen before the stack works on it, and told of once more
 * after, for only then it is known whether it was dropped. In between the stack answers by queueing, so all that can be
 * seen is an answer for which there was no room.
 *
 * @module
 */

import type { PacketBuffer } from "./buffer/packet.ts";
import type { Nic } from "./nic.ts";
import type { Instant } from "./time.ts";
import { MALFORMED } from "./wire/malformed.ts";

/** Sees every frame of every interface of a stack; must not change, keep or release any. */
export interface FrameObserver {
  /** A frame that goes to the wire, or does not: `dropped` says why. */
  outbound(nic: Nic, frame: PacketBuffer, now: Instant, dropped?: string): void;
  /** A frame from the wire, cursor at its Ethernet header. */
  inbound(nic: Nic, frame: PacketBuffer, now: Instant): void;
  /** What became of that frame: undefined if it was of use. */
  outcome(dropped: string | undefined): void;
}

/** What it is called in a capture that the interface's queue had no room for a frame. */
export const QUEUE_FULL = "qdisc.full";
/** Its interface has been taken down. */
export const INTERFACE_DOWN = "ethernet.interface-down";

/** Counters that are counted once for each frame that is dropped for it, apart from the malformed ones. */
const DROPS: ReadonlySet<string> = new Set([
  "ethernet.other-host",
  "ethernet.unknown-type",
  "arp.no-source",
  "icmp.echo-not-forwarded",
  "icmp.echo-reply-unexpected",
  "icmp.echo-to-group",
  "icmp.errors-unrelated",
  "icmp.redirect-ignored",
  "ip.martian-source-broadcast",
  "ip.martian-source-own",
  "ip.no-route",
  "ip.not-for-us",
  "ip.reassembly-duplicate",
  "ip.unicast-in-broadcast",
  "ip.unknown-protocol",
  "ndp.no-source",
  "ndp.router-advertisement-ignored",
  "tcp.accept-queue-full",
  "tcp.ack-too-old",
  "tcp.ack-unsent",
  "tcp.connections-full",
  "tcp.cookies-failed",
  "tcp.data-after-close",
  "tcp.handshake-bad-ack",
  "tcp.icmp-out-of-window",
  "tcp.icmp-stray",
  "tcp.listen-overflow",
  "tcp.out-of-order-full",
  "tcp.out-of-window",
  "tcp.out-of-window-reset",
  "tcp.out-of-window-suppressed",
  "tcp.paws",
  "tcp.requests-full",
  "tcp.strays",
  "tcp.to-group",
  "udp.no-endpoint",
  "udp.no-group-endpoint",
]);
const REASONS: ReadonlySet<string> = new Set(MALFORMED);

/** The first of the counters that were bumped for a frame that says why it was dropped. */
export function dropReason(bumped: readonly string[]): string | undefined {
  for (let i = 0; i < bumped.length; i++) {
    const name = bumped[i]!;
    if (DROPS.has(name) || REASONS.has(name.slice(name.lastIndexOf(".") + 1))) return name;
  }
  return undefined;
}
