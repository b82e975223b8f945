/**
 * A super-packet in the making: the first frame of a run, with references to the payload of those that continue it. Which do,
 * `coalesce.ts` has in a table.
 *
 * @module
 */

import { Checksum, Gso, type PacketBuffer } from "../buffer/packet.ts";
import { bufferSum, fold, onesComplementSum } from "../wire/checksum.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import { IpProtocol } from "../wire/ip.ts";
import { IPV4_HEADER } from "../wire/ipv4.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import { TCP_CHECKSUM, TcpFlag } from "../wire/tcp.ts";
import type { PlainTcp } from "./plain_tcp.ts";

/** Largest IP packet, headers included. */
const MAX_PACKET = 65_535;

/** A run of frames. For reuse. */
export class SuperPacket {
  packet: PacketBuffer | undefined = undefined;
  family: 4 | 6 = 4;
  /** Frames that were added to the first. */
  added = 0;
  /** Both, as one word. */
  #ports = 0;
  /** Index of the TCP header, and its length. */
  #tcp = 0;
  #headerLength = 0;
  /** The sequence number that continues it. */
  #next = 0;
  /** Payload of the first frame. */
  #segment = 0;
  /** Bytes of the IP packet. */
  #length = 0;
  /** Nothing continues it any more. */
  complete = false;

  /** Begins with `frame`, which is laid out as `layout` says. Takes ownership. */
  begin(frame: PacketBuffer, layout: PlainTcp): void {
    const { tcp, payload } = layout;
    this.packet = frame;
    this.family = layout.family;
    this.#ports = layout.ports;
    this.#tcp = tcp;
    this.#headerLength = layout.headerLength;
    this.#next = (frame.view.getInt32(tcp + 4) + payload) | 0;
    this.#segment = payload;
    this.#length = frame.end - frame.start - ETHERNET_HEADER;
    this.added = 0;
    this.complete = false;
  }

  /** Whether the frame at `start` is of the same connection, one way. */
  isOf(view: DataView, start: number, { family, ports }: PlainTcp): boolean {
    if (this.#ports !== ports || this.family !== family) return false;
    const first = this.packet!;
    const addresses = ETHERNET_HEADER + (family === 4 ? 12 : 8);
    return sameWords(view, start + addresses, first.view, first.start + addresses, family === 4 ? 8 : 32);
  }

  /** Whether the frame at `start`, of the same connection, goes on where this one ends. */
  isContinuedBy(view: DataView, start: number, { tcp: mine, headerLength, payload }: PlainTcp): boolean {
    const { packet } = this;
    const tcp = this.#tcp;
    const first = packet!.view;
    if (view.getInt32(mine + 4) !== this.#next || payload > this.#segment) return false;
    if (headerLength !== this.#headerLength || this.#length + payload > MAX_PACKET) return false;
    if (view.getInt32(mine + 8) !== first.getInt32(tcp + 8)) return false;
    if (view.getUint8(mine + 12) !== first.getUint8(tcp + 12)) return false;
    if (view.getUint16(mine + 14) !== first.getUint16(tcp + 14)) return false;
    if (!sameWords(view, mine + 20, first, tcp + 20, headerLength - 20)) return false;
    const from = packet!.start;
    if (!sameWords(view, start, first, from, 12)) return false;
    const ip = start + ETHERNET_HEADER, ours = from + ETHERNET_HEADER;
    if (this.family === 6) {
      return view.getInt32(ip) === first.getInt32(ours) && view.getUint8(ip + 7) === first.getUint8(ours + 7);
    }
    return view.getUint16(ip) === first.getUint16(ours) &&
      view.getUint16(ip + 6) === first.getUint16(ours + 6) &&
      view.getUint8(ip + 8) === first.getUint8(ours + 8);
  }

  /**
   * Whether the checksums of the frame at `[start, end)` of `buffer` are right, and those of the first, if it is the only one so far.
   *
   * @param vouched the link has seen to it
   */
  isSound(buffer: PacketBuffer, start: number, end: number, { tcp }: PlainTcp, vouched: boolean): boolean {
    if (!vouched && !isIntact(buffer, start, end, tcp, this.family)) return false;
    const { packet } = this;
    return this.added > 0 || packet!.checksum !== Checksum.unknown ||
      isIntact(packet!, packet!.start, packet!.end, this.#tcp, this.family);
  }

  /** Adds the payload of a frame whose bytes are in `buffer`, which is held from now on. */
  add(buffer: PacketBuffer, { tcp, headerLength, payload, flags }: PlainTcp): void {
    const from = tcp + headerLength;
    this.packet!.attach(buffer, from, from + payload);
    this.#next = (this.#next + payload) | 0;
    this.#length += payload;
    this.added++;
    if ((flags & TcpFlag.psh) !== 0) {
      this.packet!.view.setUint8(this.#tcp + 13, TcpFlag.ack | TcpFlag.psh);
      this.complete = true;
    } else if (payload < this.#segment) this.complete = true;
  }

  /** The packet, the caller's from now on; if it was merged, its headers speak of all of it. */
  take(): PacketBuffer {
    const packet = this.packet!;
    this.packet = undefined;
    if (this.added === 0) return packet;
    const { view } = packet;
    const ip = packet.start + ETHERNET_HEADER;
    if (this.family === 4) {
      view.setUint16(ip + 2, this.#length);
      view.setUint16(ip + 10, 0);
      view.setUint16(ip + 10, ~onesComplementSum(view, ip, ip + IPV4_HEADER, 0));
    } else view.setUint16(ip + 4, this.#length - IPV6_HEADER);
    // As a sender that leaves it to its device would have it: good for the stack, and for who passes it on.
    const tcpEnd = ip + this.#length;
    view.setUint16(this.#tcp + TCP_CHECKSUM, pseudoSum(view, ip, tcpEnd, this.#tcp, this.family));
    packet.checksum = Checksum.partial;
    packet.checksumStart = this.#tcp;
    packet.checksumOffset = TCP_CHECKSUM;
    packet.gso = this.family === 4 ? Gso.tcp4 : Gso.tcp6;
    packet.gsoSize = this.#segment;
    return packet;
  }
}

/** Whether the checksums of a frame are right. */
function isIntact(buffer: PacketBuffer, start: number, end: number, tcp: number, family: 4 | 6): boolean {
  const { view } = buffer;
  const ip = start + ETHERNET_HEADER;
  if (family === 4 && onesComplementSum(view, ip, tcp, 0) !== 0xffff) return false;
  return fold(pseudoSum(view, ip, end, tcp, family) + bufferSum(buffer, tcp, end)) === 0xffff;
}

/** Of the pseudo-header of a packet whose IP header is at `ip`. */
function pseudoSum(view: DataView, ip: number, end: number, tcp: number, family: 4 | 6): number {
  return onesComplementSum(view, ip + (family === 4 ? 12 : 8), tcp, IpProtocol.tcp + end - tcp);
}

/** `length` is a multiple of 4. */
function sameWords(a: DataView, aAt: number, b: DataView, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i += 4) if (a.getInt32(aAt + i) !== b.getInt32(bAt + i)) return false;
  return true;
}
