/**
 * Several UDP datagrams in one frame (`Gso.datagrams`, Linux' UDP_SEGMENT), cut into one frame each: for what arrives so,
 * as the stack takes datagrams one by one.
 *
 * One is made per call, so that a frame that asks for thousands costs no more at once than one that asks for two. The
 * headers are copied; IP and UDP lengths, the IPv4 identification and its checksum are each datagram's own; the UDP
 * checksum stays partial: nobody needs it.
 *
 * @module
 */

import { Checksum, Gso, type PacketBuffer } from "../buffer/packet.ts";
import type { BufferPool } from "../buffer/pool.ts";
import { onesComplementSum } from "../wire/checksum.ts";
import { ETHERNET_HEADER } from "../wire/ethernet.ts";
import { IPV6_HEADER } from "../wire/ipv6.ts";

const UDP_HEADER = 8, UDP_CHECKSUM = 6;
const IPV4_HEADER = 20;

/** Cuts one frame at a time. */
export class DatagramCutter {
  readonly #pool: BufferPool;
  #packet: PacketBuffer | undefined = undefined;
  /** Where the next datagram's payload begins. */
  #at = 0;
  #index = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Begins to cut a frame whose bytes are all its own, and takes it over. False: it is no such frame, still yours. */
  begin(packet: PacketBuffer): boolean {
    const { view, start, end, checksumStart: udp } = packet;
    const ip = start + ETHERNET_HEADER;
    if (packet.gso !== Gso.datagrams || packet.checksum !== Checksum.partial || udp + UDP_HEADER > end) {
      return false;
    }
    if (udp < ip + IPV4_HEADER) return false;
    const version = view.getUint8(ip) >>> 4;
    // What is changed must be there: a header of IPv6 is longer.
    if (version !== 4 && (version !== 6 || udp < ip + IPV6_HEADER)) return false;
    this.reset();
    this.#packet = packet;
    this.#at = udp + UDP_HEADER;
    this.#index = 0;
    return true;
  }

  /** The next datagram, the caller's to release; undefined when there are no more. */
  next(): PacketBuffer | undefined {
    const packet = this.#packet;
    if (packet === undefined) return undefined;
    const { start, end, checksumStart, gsoSize } = packet;
    const headers = checksumStart + UDP_HEADER - start;
    const payload = Math.min(gsoSize, end - this.#at);
    const part = this.#pool.take(headers + payload);
    const { view } = part;
    const at = part.start;
    part.bytes.set(packet.bytes.subarray(start, start + headers), at);
    part.bytes.set(packet.bytes.subarray(this.#at, this.#at + payload), at + headers);
    part.end = at + headers + payload;
    const ip = at + ETHERNET_HEADER, udp = at + checksumStart - start;
    const length = UDP_HEADER + payload;
    if (view.getUint8(ip) >>> 4 === 4) {
      view.setUint16(ip + 2, udp - ip + length);
      view.setUint16(ip + 4, view.getUint16(ip + 4) + this.#index);
      view.setUint16(ip + 10, 0);
      view.setUint16(ip + 10, ~onesComplementSum(view, ip, udp, 0));
    } else {
      view.setUint16(ip + 4, udp - ip - IPV6_HEADER + length);
    }
    view.setUint16(udp + 4, length);
    part.checksum = Checksum.partial;
    part.checksumStart = udp;
    part.checksumOffset = UDP_CHECKSUM;
    this.#at += payload;
    this.#index++;
    if (this.#at >= end) this.reset();
    return part;
  }

  /** Lets go of what is left. */
  reset(): void {
    this.#packet?.release();
    this.#packet = undefined;
  }
}
