/**
 * Bytes that are almost right.
 *
 * @module
 */

import { Checksum, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { completeChecksum, onesComplementSum, startChecksum } from "../../lib/stack/wire/checksum.ts";
import { IpHeader, IpProtocol } from "../../lib/stack/wire/ip.ts";
import { parseIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { parseIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { FRAMES } from "../support/frames.ts";
import { between, pick, randomBytes } from "../support/random.ts";

const CORPUS: readonly Uint8Array[] = Object.values(FRAMES);

/** Values at which parsers change their mind. */
const EDGES = [
  0,
  1,
  2,
  3,
  4,
  5,
  6,
  7,
  8,
  9,
  15,
  16,
  20,
  40,
  43,
  44,
  58,
  59,
  60,
  63,
  64,
  127,
  128,
  131,
  137,
  253,
  254,
  255,
];

/** A frame from the corpus with some damage, or (one in 16) plain noise. */
export function damagedFrame(random: () => number): Uint8Array<ArrayBuffer> {
  if (random() % 16 === 0) return randomBytes(random, between(random, 0, 120));
  return mutate(pick(random, CORPUS), random);
}

/** `bytes` with up to eight small changes. */
export function mutate(bytes: Uint8Array, random: () => number): Uint8Array<ArrayBuffer> {
  let mutant = new Uint8Array(bytes);
  for (let changes = between(random, 0, 8); changes > 0 && mutant.length > 0; changes--) {
    const at = random() % mutant.length;
    switch (random() % 8) {
      case 0:
        mutant[at]! ^= 1 << (random() & 7);
        break;
      case 1:
      case 2:
        mutant[at] = pick(random, EDGES);
        break;
      case 3:
        mutant[at] = random();
        break;
      case 4:
        mutant = mutant.slice(0, at);
        break;
      case 5:
        mutant = joined(mutant, randomBytes(random, between(random, 1, 40)));
        break;
      case 6: {
        // A piece of it once more: chains of headers and lists of options.
        const piece = mutant.slice(at, at + between(random, 1, 24));
        mutant = joined(mutant.slice(0, at), piece, mutant.slice(at));
        break;
      }
      case 7:
        mutant = joined(mutant.slice(0, at), pick(random, CORPUS).slice(random() % 60));
        break;
    }
  }
  return mutant;
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const TRANSPORT_CHECKSUM: Readonly<Record<number, number>> = {
  [IpProtocol.tcp]: 16,
  [IpProtocol.udp]: 6,
  [IpProtocol.icmp]: 2,
  [IpProtocol.icmpv6]: 2,
};

/** Gives an Ethernet frame the lengths and checksums that let its damage pass the first gates, as far as that is possible. */
export function repair(frame: Uint8Array<ArrayBuffer>): void {
  if (frame.length < 14 + 20) return;
  const view = new DataView(frame.buffer);
  const p = new PacketBuffer(frame, 14);
  const ip = new IpHeader();
  if (view.getUint16(12) === 0x0800) {
    const headerLength = (frame[14]! & 15) << 2;
    if (headerLength < 20 || 14 + headerLength > frame.length) return;
    view.setUint16(16, frame.length - 14);
    view.setUint16(24, 0);
    view.setUint16(24, ~onesComplementSum(view, 14, 14 + headerLength, 0));
    if (parseIpv4(p, ip) !== undefined) return;
  } else if (view.getUint16(12) === 0x86dd && frame.length >= 14 + 40) {
    view.setUint16(18, frame.length - 54);
    if (parseIpv6(p, ip) !== undefined) return;
  }
  const offset = TRANSPORT_CHECKSUM[ip.protocol];
  if (offset === undefined || p.length < offset + 2 || ip.isFragment) return;
  if (ip.protocol === IpProtocol.udp) view.setUint16(p.start + 4, p.length);
  startChecksum(p, ip.source, ip.destination, ip.protocol, offset);
  // ICMP for IPv4 has no pseudo-header.
  if (ip.protocol === IpProtocol.icmp) view.setUint16(p.start + offset, 0);
  completeChecksum(p);
  p.checksum = Checksum.unknown;
}
