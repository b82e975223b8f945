/**
 * Software segmentation: what a link with TSO does, for links without.
 *
 * Theory of operation. TCP hands out super-packets of up to 64 KiB: one header, `gsoSize` bytes of payload per segment.
 * The interface cuts them just before its queueing discipline, one segment per call, so that the discipline shapes what
 * the wire will carry, and a full queue stops the cut in the middle without loss. Each segment is a small buffer with a
 * copy of the headers, and a reference to its part of the payload.
 *
 * What changes from segment to segment, and nothing else:
 *
 * | field | first | middle | last |
 * |---|---|---|---|
 * | sequence number | as is | + payload so far | + payload so far |
 * | CWR (RFC 3168 section 6.1.2: the first packet after the reduction) | kept | clear | clear |
 * | PSH, FIN | clear | clear | kept |
 * | IPv4 identification (RFC 6864: unique where DF is clear) | as is | + index | + index |
 * | IP length, IPv4 header checksum, TCP checksum | own | own | own |
 *
 * @module
 */

import { Checksum, Gso, PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import { Slicer } from "../buffer/slicer.ts";
import { completeChecksum, fold, onesComplementSum } from "../wire/checksum.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";
import { TCP_CHECKSUM, TcpFlag } from "../wire/tcp.ts";

/** Cuts one super-packet at a time. */
export class Segmenter {
  readonly #pool: BufferPool;
  readonly #slicer = new Slicer();
  #packet: PacketBuffer | undefined = undefined;
  #headers = 0;
  #index = 0;
  #sequence = 0;
  #flags = 0;
  #identification = 0;
  /** The pseudo-header's sum without its length. */
  #pseudo = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Whether a packet is being cut. */
  get busy(): boolean {
    return this.#packet !== undefined;
  }

  /**
   * Begins to cut a frame: Ethernet header at `start`, all headers in its own bytes, `gso`, `gsoSize` and a partial
   * checksum. Takes ownership. The previous one must be finished.
   */
  begin(packet: PacketBuffer): void {
    const { view } = packet;
    const tcp = packet.checksumStart;
    const headerEnd = tcp + ((view.getUint8(tcp + 12) >>> 4) << 2);
    this.#packet = packet;
    this.#headers = headerEnd - packet.start;
    this.#index = 0;
    this.#sequence = view.getInt32(tcp + 4);
    this.#flags = view.getUint8(tcp + 13);
    this.#slicer.begin(packet, headerEnd);
    this.#identification = view.getUint16(packet.start + ETHERNET_HEADER + 4);
    const length = packet.totalLength - (tcp - packet.start);
    // One's complement has no subtraction: add the complement.
    this.#pseudo = fold(view.getUint16(tcp + TCP_CHECKSUM) + (~fold(length) & 0xffff));
  }

  /** The next segment with a partial checksum, the caller's to release; undefined when the packet is used up. */
  next(): PacketBuffer | undefined {
    const packet = this.#packet;
    if (packet === undefined) return undefined;
    const slicer = this.#slicer;
    const payload = Math.min(packet.gsoSize, slicer.remaining);
    const last = payload === slicer.remaining;

    const segment = this.#pool.take(this.#headers);
    const { view } = segment;
    const start = segment.start;
    copyWords(packet, packet.start, segment, start, this.#headers);
    segment.end = start + this.#headers;
    slicer.take(payload, segment);

    const ip = start + ETHERNET_HEADER;
    const tcp = start + (packet.checksumStart - packet.start);
    const tcpLength = this.#headers - (tcp - start) + payload;
    if (packet.gso === Gso.tcp4) {
      view.setUint16(ip + 2, tcp - ip + tcpLength);
      view.setUint16(ip + 4, this.#identification + this.#index);
      view.setUint16(ip + 10, 0);
      view.setUint16(ip + 10, ~onesComplementSum(view, ip, tcp, 0));
    } else {
      view.setUint16(ip + 4, tcp - ip - IPV6_HEADER + tcpLength);
    }
    let flags = this.#flags;
    if (this.#index > 0) flags &= ~TcpFlag.cwr;
    if (!last) flags &= ~(TcpFlag.psh | TcpFlag.fin);
    view.setInt32(tcp + 4, this.#sequence);
    view.setUint8(tcp + 13, flags);
    view.setUint16(tcp + TCP_CHECKSUM, fold(this.#pseudo + fold(tcpLength)));
    segment.checksum = Checksum.partial;
    segment.checksumStart = tcp;
    segment.checksumOffset = TCP_CHECKSUM;

    this.#sequence = (this.#sequence + payload) | 0;
    this.#index++;
    if (last) this.reset();
    return segment;
  }

  /** Lets go of what is left of the packet. */
  reset(): void {
    this.#packet?.release();
    this.#packet = undefined;
  }
}

/** Headers are short and of a length that varies: a loop beats `set(subarray)`, which makes an object. */
function copyWords(from: PacketBuffer, fromAt: number, to: PacketBuffer, toAt: number, length: number): void {
  const a = from.view;
  const b = to.view;
  let i = 0;
  for (; i + 4 <= length; i += 4) b.setInt32(toAt + i, a.getInt32(fromAt + i));
  for (; i < length; i++) b.setUint8(toAt + i, a.getUint8(fromAt + i));
}

/**
 * All segments of one super-packet with complete checksums, for tests and for links that must cut late. Takes
 * ownership of `packet`. Not for the fast path: it makes an array.
 */
export function segmentAll(packet: PacketBuffer, pool: BufferPool): PacketBuffer[] {
  const segmenter = new Segmenter(pool);
  segmenter.begin(packet);
  const segments: PacketBuffer[] = [];
  for (let segment = segmenter.next(); segment !== undefined; segment = segmenter.next()) {
    completeChecksum(segment);
    segments.push(segment);
  }
  return segments;
}
