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
import { onesComplementSum } from "../wire/checksum.ts";
import { ETHERNET_HEADER, EtherType, type MacAddress } from "../wire/ethernet.ts";
import { IpProtocol } from "../wire/ip.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import { TCP_HEADER, TcpFlag } from "../wire/tcp.ts";

/** Connections of which frames are held at one time; Linux holds eight per bucket. */
export const MAX_HELD = 8;
/** Largest IP packet, headers included. */
const MAX_PACKET = 65_535;
const IPV4_HEADER = 20;

/** Who gets what came of the frames. */
export interface CoalescerSink {
  /** Cursor at the Ethernet header. Takes ownership. */
  coalesced(packet: PacketBuffer, now: Instant): void;
}

/** A super-packet in the making. For reuse. */
class Held {
  packet: PacketBuffer | undefined = undefined;
  family: 4 | 6 = 4;
  /** Both, as one word. */
  ports = 0;
  /** Index of the TCP header, and its length. */
  tcp = 0;
  headerLength = 0;
  /** The sequence number that continues it. */
  next = 0;
  /** Payload of the first frame. */
  segment = 0;
  /** Bytes of the IP packet. */
  length = 0;
  /** Frames that were added. */
  added = 0;
  pushed = false;
}

/** Merges frames. One per interface. */
export class Coalescer {
  readonly #mac: MacAddress;
  readonly #sink: CoalescerSink;
  readonly #merged: Counter;
  /** The first `#count` are in use. */
  readonly #held: Held[] = Array.from({ length: MAX_HELD }, () => new Held());
  #count = 0;
  /** Where in the frame at hand the TCP header begins; 0 if it is not plain TCP. */
  #tcp = 0;
  #family: 4 | 6 = 4;

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
    if (!this.#isPlainTcp(frame)) {
      this.flush(now);
      return this.#sink.coalesced(frame, now);
    }
    const { view, end } = frame;
    const tcp = this.#tcp;
    const ports = view.getInt32(tcp);
    const headerLength = (view.getUint8(tcp + 12) >>> 4) << 2;
    const flags = view.getUint8(tcp + 13);
    const payload = end - tcp - headerLength;
    const bulk = (flags & ~TcpFlag.psh) === TcpFlag.ack && headerLength >= TCP_HEADER && payload > 0;
    const at = this.#find(frame, ports);
    if (at >= 0) {
      const held = this.#held[at]!;
      if (bulk && this.#continues(held, frame, headerLength, payload) && this.#isSound(held, frame)) {
        this.#append(held, frame, headerLength, payload, flags);
        if (payload < held.segment || held.pushed) this.#release(at, now);
        return;
      }
      this.#release(at, now);
    }
    if (!bulk || (flags & TcpFlag.psh) !== 0) return this.#sink.coalesced(frame, now);
    if (this.#count === MAX_HELD) this.#release(0, now);
    const held = this.#held[this.#count++]!;
    held.packet = frame;
    held.family = this.#family;
    held.ports = ports;
    held.tcp = tcp;
    held.headerLength = headerLength;
    held.next = (view.getInt32(tcp + 4) + payload) | 0;
    held.segment = payload;
    held.length = end - frame.start - ETHERNET_HEADER;
    held.added = 0;
    held.pushed = false;
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
    const ip = start + ETHERNET_HEADER;
    if (end - ip < IPV4_HEADER + TCP_HEADER || fragments.length > 0 || gso !== Gso.none) return false;
    if (view.getInt32(start + 2) !== this.#mac.low || view.getUint16(start) !== this.#mac.high) return false;
    const type = view.getUint16(start + 12);
    if (type === EtherType.ipv4) {
      this.#family = 4;
      this.#tcp = ip + IPV4_HEADER;
      return view.getUint8(ip) === 0x45 && view.getUint8(ip + 9) === IpProtocol.tcp &&
        (view.getUint16(ip + 6) & 0xbfff) === 0 && view.getUint16(ip + 2) === end - ip;
    }
    if (type !== EtherType.ipv6 || end - ip < IPV6_HEADER + TCP_HEADER) return false;
    this.#family = 6;
    this.#tcp = ip + IPV6_HEADER;
    return view.getUint8(ip) >>> 4 === 6 && view.getUint8(ip + 6) === IpProtocol.tcp &&
      view.getUint16(ip + 4) === end - ip - IPV6_HEADER;
  }

  /** Where what is held of the frame's connection is, or −1. */
  #find({ view, start }: PacketBuffer, ports: number): number {
    for (let i = 0; i < this.#count; i++) {
      const held = this.#held[i]!;
      if (held.ports !== ports || held.family !== this.#family) continue;
      const first = held.packet!;
      const addresses = ETHERNET_HEADER + (held.family === 4 ? 12 : 8);
      const length = held.family === 4 ? 8 : 32;
      if (sameWords(view, start + addresses, first.view, first.start + addresses, length)) return i;
    }
    return -1;
  }

  #continues(held: Held, { view, start }: PacketBuffer, headerLength: number, payload: number): boolean {
    const { packet, tcp } = held;
    const mine = this.#tcp;
    const first = packet!.view;
    if (view.getInt32(mine + 4) !== held.next || payload > held.segment) return false;
    if (headerLength !== held.headerLength || held.length + payload > MAX_PACKET) return false;
    if (view.getInt32(mine + 8) !== first.getInt32(tcp + 8)) return false;
    if (view.getUint8(mine + 12) !== first.getUint8(tcp + 12)) return false;
    if (view.getUint16(mine + 14) !== first.getUint16(tcp + 14)) return false;
    if (!sameWords(view, mine + 20, first, tcp + 20, headerLength - 20)) return false;
    const from = packet!.start;
    if (view.getInt32(start + 6) !== first.getInt32(from + 6)) return false;
    if (view.getUint16(start + 10) !== first.getUint16(from + 10)) return false;
    const ip = start + ETHERNET_HEADER, ours = from + ETHERNET_HEADER;
    if (held.family === 6) {
      return view.getInt32(ip) === first.getInt32(ours) && view.getUint8(ip + 7) === first.getUint8(ours + 7);
    }
    return view.getUint16(ip) === first.getUint16(ours) &&
      view.getUint16(ip + 6) === first.getUint16(ours + 6) &&
      view.getUint8(ip + 8) === first.getUint8(ours + 8);
  }

  /** Whether the checksums of the frame are right, and those of the first, if it is the only one so far. */
  #isSound(held: Held, frame: PacketBuffer): boolean {
    return isIntact(frame, this.#tcp, held.family) &&
      (held.added > 0 || isIntact(held.packet!, held.tcp, held.family));
  }

  #append(held: Held, frame: PacketBuffer, headerLength: number, payload: number, flags: number): void {
    held.packet!.attach(frame, this.#tcp + headerLength, frame.end);
    frame.release();
    held.next = (held.next + payload) | 0;
    held.length += payload;
    held.added++;
    held.pushed = (flags & TcpFlag.psh) !== 0;
    this.#merged.value++;
  }

  /** Hands over one super-packet, whose headers then speak of all of it. */
  #release(at: number, now: Instant): void {
    const held = this.#held[at]!;
    const packet = held.packet!;
    held.packet = undefined;
    // The last one takes its place.
    const last = --this.#count;
    this.#held[at] = this.#held[last]!;
    this.#held[last] = held;
    if (held.added > 0) complete(held, packet);
    this.#sink.coalesced(packet, now);
  }
}

function complete(held: Held, packet: PacketBuffer): void {
  const { view } = packet;
  const ip = packet.start + ETHERNET_HEADER;
  if (held.family === 4) {
    view.setUint16(ip + 2, held.length);
    view.setUint16(ip + 10, 0);
    view.setUint16(ip + 10, ~onesComplementSum(view, ip, ip + IPV4_HEADER, 0));
  } else view.setUint16(ip + 4, held.length - IPV6_HEADER);
  if (held.pushed) view.setUint8(held.tcp + 13, TcpFlag.ack | TcpFlag.psh);
  packet.checksum = Checksum.valid;
  packet.gso = held.family === 4 ? Gso.tcp4 : Gso.tcp6;
  packet.gsoSize = held.segment;
}

/** Whether a frame's checksums are right, or need not be looked at. */
function isIntact({ view, start, end, checksum }: PacketBuffer, tcp: number, family: 4 | 6): boolean {
  if (checksum !== Checksum.unknown) return true;
  const ip = start + ETHERNET_HEADER;
  if (family === 4 && onesComplementSum(view, ip, tcp, 0) !== 0xffff) return false;
  const pseudo = onesComplementSum(view, ip + (family === 4 ? 12 : 8), tcp, IpProtocol.tcp + end - tcp);
  return onesComplementSum(view, tcp, end, pseudo) === 0xffff;
}

/** `length` is a multiple of 4. */
function sameWords(a: DataView, aAt: number, b: DataView, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i += 4) if (a.getInt32(aAt + i) !== b.getInt32(bAt + i)) return false;
  return true;
}
