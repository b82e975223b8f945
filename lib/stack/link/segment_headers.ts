/**
 * The headers of the segments that a super-packet is cut into, one after the other. What is cut where, `segment.ts` has in a
 * table.
 *
 * @module
 */

import { Checksum, Gso, type PacketBuffer } from "../buffer/packet.ts";
import { fold, onesComplementSum } from "../wire/checksum.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import { IPV4_HEADER } from "../wire/ipv4.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import { TCP_CHECKSUM, TCP_HEADER, TcpFlag } from "../wire/tcp.ts";

/** Longest headers that are cut: Ethernet, IPv6 or IPv4 with options, TCP with options. */
export const SEGMENT_HEADERS_MAX = ETHERNET_HEADER + 60 + 60;

/** Headers of one super-packet at a time. */
export class SegmentHeaders {
  /** Bytes of all headers, from the Ethernet header on. */
  length = 0;
  /** Where the TCP header is among them. */
  tcp = 0;
  /** Of the segment written last: what its pseudo-header and its TCP header sum up to, without the checksum. */
  sum = 0;
  /** Of the segment written last: what its pseudo-header sums up to. */
  pseudoSum = 0;
  #template: DataView | undefined;
  #templateAt = 0;
  #v4 = false;
  #index = 0;
  #sequence = 0;
  #flags = 0;
  #identification = 0;
  /** The pseudo-header's sum without its length. */
  #pseudo = 0;
  /** Sums of headers without what changes. */
  #ipSum = 0;
  #tcpSum = 0;

  /** Begins with a frame: Ethernet header at `start`, all headers in its own bytes, `gso`, `gsoSize` and a partial checksum. */
  begin(packet: PacketBuffer): void {
    const { view, start } = packet;
    const tcp = packet.checksumStart;
    const headerEnd = tcp + ((view.getUint8(tcp + 12) >>> 4) << 2);
    const ip = start + ETHERNET_HEADER;
    this.#template = view;
    this.#templateAt = start;
    this.length = headerEnd - start;
    this.tcp = tcp - start;
    this.#v4 = packet.gso === Gso.tcp4;
    this.#index = 0;
    this.#sequence = view.getInt32(tcp + 4);
    this.#flags = view.getUint8(tcp + 13);
    this.#identification = view.getUint16(ip + 4);
    // One's complement has no subtraction: add the complement.
    this.#pseudo = without(view.getUint16(tcp + TCP_CHECKSUM), packet.totalLength - (tcp - start));
    if (this.#v4) {
      const sum = onesComplementSum(view, ip, tcp, 0);
      const total = without(sum, view.getUint16(ip + 2));
      this.#ipSum = without(without(total, this.#identification), view.getUint16(ip + 10));
    }
    const sum = onesComplementSum(view, tcp, headerEnd, 0);
    const unnumbered = without(without(sum, this.#sequence >>> 16), this.#sequence & 0xffff);
    this.#tcpSum = without(without(unnumbered, this.#flags), view.getUint16(tcp + TCP_CHECKSUM));
  }

  /** Passes over the next `count` segments, of `size` bytes of payload each. */
  skip(count: number, size: number): void {
    this.#index += count;
    this.#sequence = (this.#sequence + count * size) | 0;
  }

  /** Writes the headers of the next segment, with `payload` bytes, to `at`; its checksum is partial. */
  write(view: DataView, at: number, payload: number, last: boolean): void {
    const template = this.#template!;
    const { length } = this;
    copyWords(template, this.#templateAt, view, at, length);
    const ip = at + ETHERNET_HEADER;
    const tcp = at + this.tcp;
    const tcpLength = length - this.tcp + payload;
    if (this.#v4) {
      const total = tcp - ip + tcpLength;
      const identification = (this.#identification + this.#index) & 0xffff;
      view.setUint16(ip + 2, total);
      view.setUint16(ip + 4, identification);
      view.setUint16(ip + 10, ~fold(this.#ipSum + total + identification));
    } else {
      view.setUint16(ip + 4, tcp - ip - IPV6_HEADER + tcpLength);
    }
    let flags = this.#flags;
    if (this.#index > 0) flags &= ~TcpFlag.cwr;
    if (!last) flags &= ~(TcpFlag.psh | TcpFlag.fin);
    const sequence = this.#sequence;
    const pseudo = fold(this.#pseudo + fold(tcpLength));
    view.setInt32(tcp + 4, sequence);
    view.setUint8(tcp + 13, flags);
    view.setUint16(tcp + TCP_CHECKSUM, pseudo);
    this.pseudoSum = pseudo;
    this.sum = fold(pseudo + this.#tcpSum + (sequence >>> 16) + (sequence & 0xffff) + flags);
    this.#sequence = (sequence + payload) | 0;
    this.#index++;
  }
}

/** Whether what somebody else says of a packet lets it be cut: all headers where they may be, and payload behind them. */
export function isCuttable({ view, start, end, gso, checksum, checksumStart }: PacketBuffer): boolean {
  const ip = start + ETHERNET_HEADER;
  if (checksum !== Checksum.partial || (gso !== Gso.tcp4 && gso !== Gso.tcp6)) return false;
  if (checksumStart < ip + (gso === Gso.tcp4 ? IPV4_HEADER : IPV6_HEADER)) return false;
  if (checksumStart + TCP_HEADER > end) return false;
  const tcpHeader = (view.getUint8(checksumStart + 12) >>> 4) << 2;
  const headers = checksumStart + tcpHeader - start;
  return tcpHeader >= TCP_HEADER && headers <= SEGMENT_HEADERS_MAX && start + headers < end;
}

/** A sum without one of its terms, which is below 2³². */
function without(sum: number, term: number): number {
  return fold(sum + (~fold(term) & 0xffff));
}

/** Headers are short and of a length that varies: a loop beats `set(subarray)`, which makes an object. */
function copyWords(from: DataView, fromAt: number, to: DataView, toAt: number, length: number): void {
  let i = 0;
  for (; i + 4 <= length; i += 4) to.setInt32(toAt + i, from.getInt32(fromAt + i));
  for (; i < length; i++) to.setUint8(toAt + i, from.getUint8(fromAt + i));
}
