/**
 * The Internet checksum (RFC 1071, RFC 1624), over packets that may hold their payload by reference.
 *
 * A *sum* here is the one's-complement sum of big-endian 16-bit words, folded to 16 bits and not yet complemented: what
 * a partial checksum holds. Its complement is the *checksum*. Bytes that begin at an odd offset of the packet count
 * with their halves swapped (RFC 1071 section 2 (B)), which is how fragments of odd length are strung together.
 *
 * @module
 */

import { Checksum, type PacketBuffer } from "../buffer/packet.ts";
import type { IpAddress } from "./address.ts";
import { type IpHeader, IpProtocol } from "./ip.ts";

/** Folds a non-negative integer below 2³² to a 16-bit sum. */
export function fold(sum: number): number {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/**
 * Bytes summed before a fold: the sum of their upper halves, and that of their lower halves, grows by less than 2¹⁶ per
 * word of 4 bytes and so stays below 2³⁰.
 */
const BLOCK = 1 << 16;

/** The sum of bytes `[start, end)` as if `start` were even, on top of `initial` (a 16-bit sum). */
export function onesComplementSum(view: DataView, start: number, end: number, initial: number): number {
  // A length that came from arithmetic on stream positions is a double to JavaScriptCore, even if it is integral; one of
  // those, and the loop below falls out of its optimised code for good: measured, eight times slower.
  start |= 0;
  end |= 0;
  let sum = initial | 0;
  while (end - start > BLOCK) {
    sum = sumBlock(view, start, start + BLOCK, sum);
    start += BLOCK;
  }
  return sumBlock(view, start, end, sum);
}

/**
 * The inner loop has the form that both engines make the best of (`scripts/bench/checksum.ts`; 8.4 GB/s on V8 and JSC,
 * against 1.2 and 2.4 word by word):
 *
 * - it reads little-endian words, which both machines are, and swaps the halves of the result: RFC 1071 section 2 (B);
 * - it masks nothing: besides the upper halves it sums whole words, overflowing, and takes the one from the other to get
 *   the lower halves, which is exact because they stay below 2³¹;
 * - every addition ends in `| 0`, so that no engine considers a double, and they form a tree, so that none waits.
 */
function sumBlock(view: DataView, at: number, end: number, initial: number): number {
  let total = 0;
  let high = 0;
  for (const end16 = end - 15; at < end16; at += 16) {
    const w0 = view.getInt32(at, true);
    const w1 = view.getInt32(at + 4, true);
    const w2 = view.getInt32(at + 8, true);
    const w3 = view.getInt32(at + 12, true);
    total = (total + ((((w0 + w1) | 0) + ((w2 + w3) | 0)) | 0)) | 0;
    high = (high + ((((w0 >>> 16) + (w1 >>> 16)) | 0) + (((w2 >>> 16) + (w3 >>> 16)) | 0)) | 0) | 0;
  }
  const low = (total - (high << 16)) | 0;
  let rest = initial;
  for (; at + 1 < end; at += 2) rest += view.getUint16(at);
  if (at < end) rest += view.getUint8(at) << 8;
  return fold(swap(fold(fold(high) + fold(low))) + rest);
}

function swap(sum: number): number {
  return ((sum & 0xff) << 8) | (sum >>> 8);
}

/** With fewer bytes a call into WebAssembly gains nothing (`scripts/bench/checksum.ts`). */
const VECTOR_LEAST = 64;

/** The sum of bytes `[start, end)` of a buffer's own, as if `start` were even; by vectors where the buffer allows. */
export function bufferSum(p: PacketBuffer, start: number, end: number): number {
  const { memory } = p;
  if (memory === undefined || end - start < VECTOR_LEAST) return onesComplementSum(p.view, start, end, 0);
  const at = p.memoryAt;
  return memory.sum((at + start) | 0, (at + end) | 0);
}

/** A sum, and that of the bytes behind what it covers: an even number of them, or an odd one. */
export function appendSum(sum: number, part: number, odd: boolean): number {
  return fold(sum + (odd ? swap(part) : part));
}

/** The sum of everything in the packet from index `start` of its bytes on, fragments included, on top of `initial`. */
export function packetSum(p: PacketBuffer, start: number, initial: number): number {
  let sum = fold(initial + bufferSum(p, start, p.end));
  const { fragments } = p;
  if (fragments.length === 0) return sum;
  let odd = ((p.end - start) & 1) !== 0;
  for (let i = 0; i < fragments.length; i++) {
    const fragment = fragments[i]!;
    const part = bufferSum(fragment.buffer.load(), fragment.start, fragment.end);
    sum = appendSum(sum, part, odd);
    if (((fragment.end - fragment.start) & 1) !== 0) odd = !odd;
  }
  return sum;
}

/** The sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1). `length`: transport header and payload. */
export function pseudoHeaderSum(
  source: IpAddress,
  destination: IpAddress,
  protocol: number,
  length: number,
): number {
  // Ten terms at most, each of 16 bits (`length` is below 2¹⁷): no overflow.
  let sum = protocol + length + halves(source.d) + halves(destination.d);
  // The words of a v4-mapped address stand for nothing on the wire.
  if (source.family === 6) {
    sum += halves(source.a) + halves(source.b) + halves(source.c);
    sum += halves(destination.a) + halves(destination.b) + halves(destination.c);
  }
  return fold(sum);
}

function halves(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/**
 * Makes the transport checksum of an outgoing packet partial: the pseudo-header sum goes in the field, and the rest is
 * left to {@linkcode completeChecksum} or to the link. The packet's cursor must be at the transport header.
 *
 * @param offset of the checksum field in the transport header: `TCP_CHECKSUM`, `UDP_CHECKSUM`
 */
export function startChecksum(
  p: PacketBuffer,
  source: IpAddress,
  destination: IpAddress,
  protocol: number,
  offset: number,
): void {
  p.checksum = Checksum.partial;
  p.checksumStart = p.start;
  p.checksumOffset = offset;
  p.view.setUint16(p.start + offset, pseudoHeaderSum(source, destination, protocol, p.totalLength));
}

/** Completes a partial checksum in the bytes; a packet whose checksum is not partial is left alone. */
export function completeChecksum(p: PacketBuffer): void {
  if (p.checksum !== Checksum.partial) return;
  const sum = packetSum(p, p.checksumStart, 0);
  // RFC 768: "If the computed checksum is zero, it is transmitted as all ones". The two are the same number in one's
  // complement, so that it does no harm to other protocols (Linux does the same for all).
  p.view.setUint16(p.checksumStart + p.checksumOffset, (~sum & 0xffff) || 0xffff);
  p.checksum = Checksum.unknown;
}

/**
 * Whether the transport checksum of a received packet is right. The packet's cursor must be at the transport header, that
 * is before `parseTcp` or `parseUdp`. True for packets whose link vouches for them, and for protocols without checksum.
 */
export function verifyTransport(p: PacketBuffer, ip: IpHeader): boolean {
  if (p.checksum !== Checksum.unknown) return true;
  const { protocol, source, destination } = ip;
  if (protocol === IpProtocol.tcp || protocol === IpProtocol.icmpv6) {
    return packetSum(p, p.start, pseudoHeaderSum(source, destination, protocol, p.totalLength)) === 0xffff;
  }
  if (protocol === IpProtocol.icmp) return packetSum(p, p.start, 0) === 0xffff;
  if (protocol === IpProtocol.udp) return verifyUdp(p, ip);
  return true;
}

function verifyUdp(p: PacketBuffer, ip: IpHeader): boolean {
  // Too short to hold a checksum: let parseUdp give the true reason.
  if (p.length < 8) return true;
  // RFC 768: "An all zero transmitted checksum value means that the transmitter generated no checksum"; RFC 8200 section
  // 8.1: over IPv6 "a receiver must discard" such datagrams.
  if (p.view.getUint16(p.start + 6) === 0) return ip.family === 4;
  // The checksum covers what the UDP length says, which may be less than what IP carried.
  const length = p.view.getUint16(p.start + 4);
  const surplus = p.totalLength - length;
  if (length < 8 || surplus < 0) return true;
  const initial = pseudoHeaderSum(ip.source, ip.destination, ip.protocol, length);
  if (surplus === 0) return packetSum(p, p.start, initial) === 0xffff;
  // A surplus is so rare that only packets in one piece are worth checking; no attachment makes others.
  if (p.fragments.length > 0) return false;
  return onesComplementSum(p.view, p.start, p.start + length, initial) === 0xffff;
}
