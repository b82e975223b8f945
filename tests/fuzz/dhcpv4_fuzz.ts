/**
 * DHCP messages out of anybody's hands: none may make the parser throw, look outside of its packet, or return what could not
 * be written again.
 *
 * @module
 */

import { deepEqual, equal, ok } from "node:assert/strict";
import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { emitDhcpv4, parseDhcpv4 } from "../../lib/stack/wire/dhcpv4.ts";
import { isDomainName } from "../../lib/stack/wire/domain_name.ts";
import { roomy, tight } from "../support/bytes.ts";
import { between, pick, randomBytes } from "../support/random.ts";
import type { FuzzTarget } from "./target.ts";

const CODES = [
  1,
  3,
  6,
  12,
  15,
  26,
  42,
  43,
  50,
  51,
  52,
  53,
  54,
  55,
  56,
  57,
  58,
  59,
  60,
  61,
  80,
  81,
  119,
  121,
  255,
  0,
];
const LENGTHS = [0, 1, 1, 2, 4, 4, 4, 5, 8, 9, 16, 64, 255];

/** A message with plausible options, and with luck a few that are not. */
export function strangeMessage(random: () => number): Uint8Array {
  const bytes = randomBytes(random, between(random, 200, 1_200));
  if (random() % 16 === 0) return bytes;
  bytes.set([pick(random, [1, 2]), 1, 6, 0]);
  bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1 + random() % 8], Math.min(236, bytes.length - 7));
  const options = (from: number, to: number) => {
    for (let at = from; at + 2 < to;) {
      const length = pick(random, LENGTHS);
      bytes[at] = pick(random, CODES);
      bytes[at + 1] = length;
      // Names and routes have structure: small numbers, and pointers.
      for (let i = at + 2; i < Math.min(to, at + 2 + length); i++) {
        if (random() % 2 === 0) bytes[i] = pick(random, [0, 1, 3, 8, 24, 32, 97, 192]);
      }
      at += 2 + length;
    }
  };
  options(243, bytes.length);
  options(44, 108);
  options(108, 236);
  return bytes;
}

function reads(random: () => number): void {
  const bytes = strangeMessage(random);
  const outcomes = [tight(bytes), roomy(bytes, 64, 64, 0), roomy(bytes, 64, 64, 0xff)].map(
    (p: PacketBuffer) => {
      const { start, end } = p;
      const message = parseDhcpv4(p);
      ok(start <= p.start && p.start <= p.end && p.end === end);
      return message;
    },
  );
  deepEqual(outcomes[1], outcomes[0]);
  deepEqual(outcomes[2], outcomes[0]);
  const [message] = outcomes;
  if (message === undefined || typeof message === "string") return;
  const { hostName, domainName, searchDomains = [] } = message.options;
  for (const name of [hostName, domainName, ...searchDomains]) ok(name === undefined || isDomainName(name));
  const again = roomy("", 128, 16_384);
  equal(emitDhcpv4(again, message, 16_384), 0);
  deepEqual(parseDhcpv4(again), message);
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [{ name: "dhcpv4/reads", round: reads }];
