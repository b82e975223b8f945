/**
 * Receive coalescing: what a link with large receive offload does, for links without. The inverse of `segment.ts`.
 *
 * Theory of operation. Frames that arrive together and carry consecutive payload of one TCP connection become one
 * super-packet: the first frame, with references to the payload of the others. So IP, the search for the connection, TCP's
 * input and its acknowledgement are paid once. Nothing is held longer than the turn in which it came: who receives calls
 * `flush` at its end.
 *
 * A frame continues its connection's super-packet only if the two differ in nothing but what a sender that cuts changes from
 * segment to segment; the rules are those of Linux' GRO, and stricter where they have a choice:
 *
 * | field | rule |
 * |---|---|
 * | Ethernet addresses, IP addresses, ports | same, and the frame is for us |
 * | IPv4: header length, fragment | no options, no fragment; the same DF |
 * | IPv6: next header | TCP, without extension headers |
 * | traffic class with ECN, flow label, hop limit | same |
 * | IPv4 identification | ignored: it has no meaning in what is whole (RFC 6864) |
 * | sequence number | exactly where the last one ended |
 * | acknowledgment, window, options with timestamps, reserved bits | same |
 * | flags | ACK, and PSH, which completes the super-packet; anything else passes alone |
 * | payload | at least a byte; not longer than the first one's, and a shorter one completes the super-packet |
 * | checksums | verified first, unless the link vouches; one that is wrong passes alone, to be counted |
 *
 * A frame that does not continue lets what is held of its connection go first, and one that is not plain TCP all that is held:
 * only frames of different connections may overtake each other. Connections held at one time are bounded.
 *
 * @module
 */

import { Checksum, Gso, type PacketBuffer } from "../buffer/packet.ts";
import type { Counter } from "../counters.ts";
import type { Instant } from "../time.ts";
import { ETHERNET_HEADER, type MacAddress } from "../wire/ethernet.ts";
import { PlainTcp } from "./plain_tcp.ts";
import { SuperPacket } from "./super_packet.ts";

/** Connections of which frames are held at one time; Linux holds eight per bucket. */
export const MAX_HELD = 8;

/** Who gets what came of the frames. */
export interface CoalescerSink {
  /** Cursor at the Ethernet header. Takes ownership. */
  coalesced(packet: PacketBuffer, now: Instant): void;
}

/** Merges frames. One per interface. */
export class Coalescer {
  readonly #mac: MacAddress;
  readonly #sink: CoalescerSink;
  readonly #merged: Counter;
  /** The first `#count` are in use. */
  readonly #held: SuperPacket[] = Array.from({ length: MAX_HELD }, () => new SuperPacket());
  #count = 0;
  /** Of the frame at hand. */
  readonly #layout = new PlainTcp();

  /**
   * @param mac whose frames these are; others pass
   * @param merged counts the frames that were added to another
   */
  constructor(mac: MacAddress, sink: CoalescerSink, merged: Counter) {
    this.#mac = mac;
    this.#sink = sink;
    this.#merged = merged;
  }

  /** Whether {@linkcode flush} has work. */
  get pending(): boolean {
    return this.#count > 0;
  }

  /** A frame from the wire, cursor at its Ethernet header. Takes ownership; never throws for bad bytes. */
  take(frame: PacketBuffer, now: Instant): void {
    const layout = this.#layout;
    if (!this.#isPlainTcp(frame)) {
      this.flush(now);
      return this.#sink.coalesced(frame, now);
    }
    const at = this.#find(frame);
    if (at >= 0) {
      const held = this.#held[at]!;
      if (layout.isBulk && this.#isContinued(held, frame)) {
        held.add(frame, layout);
        frame.release();
        this.#merged.value++;
        if (held.complete) this.#release(at, now);
        return;
      }
      this.#release(at, now);
    }
    if (!layout.isBulk || !layout.goesOn) return this.#sink.coalesced(frame, now);
    if (this.#count === MAX_HELD) this.#release(0, now);
    this.#held[this.#count++]!.begin(frame, layout);
  }

  /** Hands over all that is held. */
  flush(now: Instant): void {
    while (this.#count > 0) this.#release(0, now);
  }

  /** Lets go of all that is held. */
  reset(): void {
    for (; this.#count > 0; this.#count--) {
      const held = this.#held[this.#count - 1]!;
      held.packet!.release();
      held.packet = undefined;
    }
  }

  #isPlainTcp({ view, start, end, fragments, gso }: PacketBuffer): boolean {
    if (end - start < ETHERNET_HEADER || fragments.length > 0 || gso !== Gso.none) return false;
    if (view.getInt32(start + 2) !== this.#mac.low || view.getUint16(start) !== this.#mac.high) return false;
    return this.#layout.read(view, start, end);
  }

  /** Where what is held of the frame's connection is, or −1. */
  #find({ view, start }: PacketBuffer): number {
    for (let i = 0; i < this.#count; i++) if (this.#held[i]!.isOf(view, start, this.#layout)) return i;
    return -1;
  }

  #isContinued(held: SuperPacket, frame: PacketBuffer): boolean {
    const layout = this.#layout;
    const { view, start, end, checksum } = frame;
    if (!held.isContinuedBy(view, start, layout)) return false;
    return held.isSound(frame, start, end, layout, checksum !== Checksum.unknown);
  }

  /** Hands over one super-packet. */
  #release(at: number, now: Instant): void {
    const held = this.#held[at]!;
    // The last one takes its place.
    const last = --this.#count;
    this.#held[at] = this.#held[last]!;
    this.#held[last] = held;
    this.#sink.coalesced(held.take(), now);
  }
}
