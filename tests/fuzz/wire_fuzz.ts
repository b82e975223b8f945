/**
 * The parsers against damaged frames: none may throw, none may look outside of its packet, and what was read can be written
 * and read again.
 *
 * @module
 */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { emitArp, parseArp } from "../../lib/stack/wire/arp.ts";
import { verifyTransport } from "../../lib/stack/wire/checksum.ts";
import { EthernetHeader, parseEthernet } from "../../lib/stack/wire/ethernet.ts";
import { formatFrame } from "../../lib/stack/wire/format.ts";
import { emitIcmpv4, parseIcmpv4 } from "../../lib/stack/wire/icmpv4.ts";
import { emitIcmpv6, parseIcmpv6 } from "../../lib/stack/wire/icmpv6.ts";
import { IpHeader } from "../../lib/stack/wire/ip.ts";
import { parseIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { parseIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { emitNdp, parseNdp } from "../../lib/stack/wire/ndp.ts";
import { parseQuote, Quote } from "../../lib/stack/wire/quote.ts";
import { emitTcp, parseTcp, TcpHeader } from "../../lib/stack/wire/tcp.ts";
import { parseUdp, UdpHeader } from "../../lib/stack/wire/udp.ts";
import { roomy, tight } from "../support/bytes.ts";
import { pick } from "../support/random.ts";
import { damagedFrame, repair } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

/** An IP header that says what was parsed before, for parsers that look at it. */
function headerOf(random: () => number): IpHeader {
  const ip = new IpHeader();
  ip.family = pick(random, [4, 6]);
  ip.source.family = ip.destination.family = ip.family;
  ip.source.a = pick(random, [0, 0xfe800000 | 0, 0xfd000000 | 0]);
  ip.destination.a = pick(random, [0xff020000 | 0, 0xfd000000 | 0]);
  ip.hopLimit = pick(random, [255, 255, 255, 64]);
  ip.protocol = pick(random, [1, 6, 17, 58]);
  return ip;
}

type Parser = (p: PacketBuffer, ip: IpHeader) => unknown;
const into =
  <T>(header: T, parse: (p: PacketBuffer, into: T) => unknown): Parser => (p) => [parse(p, header), header];

const PARSERS: Readonly<Record<string, () => Parser>> = {
  ethernet: () => into(new EthernetHeader(), parseEthernet),
  arp: () => parseArp,
  ipv4: () => into(new IpHeader(), parseIpv4),
  ipv4_unchecked: () => into(new IpHeader(), (p, ip) => parseIpv4(p, ip, false)),
  ipv6: () => into(new IpHeader(), (p, ip) => parseIpv6(p, ip)),
  udp: () => into(new UdpHeader(), parseUdp),
  tcp: () => into(new TcpHeader(), parseTcp),
  icmpv4: () => (p) => parseIcmpv4(p, false),
  icmpv6: () => parseIcmpv6,
  ndp: () => parseNdp,
  quote: () => into(new Quote(), parseQuote),
  checksum: () => verifyTransport,
};
const NAMES = Object.keys(PARSERS);

/** Where headers begin in most frames. */
const OFFSETS = [0, 14, 34, 42, 54, 62];

function neverReadsOutside(random: () => number): void {
  const frame = damagedFrame(random);
  if (random() % 2 === 0) repair(frame);
  const bytes = frame.subarray(Math.min(frame.length, pick(random, OFFSETS)));
  const name = pick(random, NAMES);
  const ip = headerOf(random);
  // A tight packet throws if it is read beyond its ends; what surrounds a roomy one must make no difference.
  const packets = [tight(bytes), roomy(bytes, 64, 64, 0), roomy(bytes, 64, 64, 0xff)];
  const outcomes = packets.map((p) => {
    const { start, end } = p;
    const outcome = JSON.stringify(PARSERS[name]!()(p, ip));
    ok(
      start <= p.start && p.start <= p.end && p.end <= end,
      `${name}: cursors [${p.start}, ${p.end}) of [${start}, ${end})`,
    );
    return {
      cursors: [p.start - start, p.end - start],
      outcome: outcome.replace(/"headerStart":64/, '"headerStart":0'),
    };
  });
  deepEqual(outcomes[1], outcomes[0], name);
  deepEqual(outcomes[2], outcomes[0], name);
}

function formatsAnything(random: () => number): void {
  const frame = damagedFrame(random);
  if (random() % 2 === 0) repair(frame);
  match(formatFrame(frame), /^[\x20-\x7e]+$/);
}

/** parse(emit(parse(x))) ≡ parse(x). */
function readsWhatItWrote(random: () => number): void {
  const frame = damagedFrame(random);
  const bytes = frame.subarray(Math.min(frame.length, pick(random, OFFSETS)));
  const ip = headerOf(random);
  const p = tight(bytes);
  const again = roomy("", 2_048);
  switch (random() % 5) {
    case 0: {
      const [first, second] = [new TcpHeader(), new TcpHeader()];
      if (parseTcp(p, first) !== undefined) return;
      emitTcp(again, first);
      equal(parseTcp(again, second), undefined);
      // Options beyond what we write (all of them at once) may cost SACK blocks, and what they said stays in the arrays.
      if (second.sackCount === first.sackCount) {
        first.sackLeft.fill(0, first.sackCount);
        first.sackRight.fill(0, first.sackCount);
        deepEqual(second, first);
      }
      return;
    }
    case 1:
      return same(parseArp(p), (repr) => emitArp(again, repr), () => parseArp(again));
    case 2:
      return same(parseIcmpv4(p, false), (repr) => emitIcmpv4(again, repr), () => parseIcmpv4(again));
    case 3:
      return same(
        parseIcmpv6(p),
        (repr) => emitIcmpv6(again, repr, ip.source, ip.destination),
        () => parseIcmpv6(again),
      );
    case 4:
      return same(
        parseNdp(p, ip),
        (repr) => emitNdp(again, repr, ip.source, ip.destination),
        () => parseNdp(again, ip),
      );
  }
}

function same<T extends object>(first: T | string, emit: (repr: T) => void, parse: () => T | string): void {
  if (typeof first === "string") return;
  emit(first);
  deepEqual(parse(), first);
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [
  { name: "wire/bounds", round: neverReadsOutside },
  { name: "wire/format", round: formatsAnything },
  { name: "wire/round-trip", round: readsWhatItWrote },
];
