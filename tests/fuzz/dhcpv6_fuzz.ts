/**
 * DHCPv6 out of anybody's hands: no message may make the parser throw, look outside of its packet, or return what could not be
 * written again; no server may make a client throw, flood, or believe in an address that no host can have.
 *
 * @module
 */

import { deepEqual, ok } from "node:assert/strict";
import { Dhcpv6Client } from "../../lib/stack/dhcp/client6.ts";
import { type Dhcpv6Lease, isHostAddress6 } from "../../lib/stack/dhcp/lease6.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { completeChecksum, startChecksum } from "../../lib/stack/wire/checksum.ts";
import { emitDhcpv6, parseDhcpv6 } from "../../lib/stack/wire/dhcpv6.ts";
import { isDomainName } from "../../lib/stack/wire/domain_name.ts";
import { emitEthernet, EtherType } from "../../lib/stack/wire/ethernet.ts";
import { IpProtocol } from "../../lib/stack/wire/ip.ts";
import { emitIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { emitUdp, UDP_CHECKSUM } from "../../lib/stack/wire/udp.ts";
import { roomy, tight } from "../support/bytes.ts";
import { between, pick, randomBytes } from "../support/random.ts";
import { OURS, Segment, THEIRS } from "../support/segment.ts";
import type { FuzzTarget } from "./target.ts";

const SERVER = new IpAddress(6, 0xfe800000 | 0, 0, 0, 2);
const LINK_LOCAL = new IpAddress(6, 0xfe800000 | 0, 0, 0xff, 0xfe000001 | 0);
const HEADERS = 14 + 40 + 8;
const CODES = [1, 2, 3, 5, 6, 7, 8, 13, 14, 23, 24, 32, 82, 0];
const LENGTHS = [0, 1, 2, 4, 10, 12, 16, 24, 28, 40, 44, 130, 131, 900];

/** Options that are in order, as far as their lengths go, most of the time. */
function strangeOptions(random: () => number): Uint8Array {
  const bytes = randomBytes(random, between(random, 0, 600));
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 4 <= bytes.length;) {
    const left = bytes.length - at - 4;
    const length = random() % 8 === 0 ? pick(random, LENGTHS) : Math.min(pick(random, LENGTHS), left);
    const code = pick(random, CODES);
    view.setUint16(at, code);
    view.setUint16(at + 2, length);
    for (let i = at + 4; i < Math.min(bytes.length, at + 4 + length); i++) {
      if (random() % 2 === 0) bytes[i] = pick(random, [0, 0, 1, 3, 5, 24, 97, 255]);
    }
    if (code === 3 && length >= 44 && left >= 44) {
      view.setUint32(at + 4, 1);
      view.setUint32(at + 16, 0x00050018);
      view.setInt32(at + 20, pick(random, [0x20010db8, 0xfe800000, 0xff020000, 0]));
    }
    at += 4 + length;
  }
  return bytes;
}

/** An association of ours as a server might tell of it, with luck a good one. */
function association(random: () => number): Uint8Array {
  const p = roomy("", 0, 256);
  const time = () => pick(random, [0, 1, 19, 30, 60, 3_600, 0xffffffff, random()]);
  const word = pick(random, [0x20010db8, 0x20010db8, 0xfe800000, 0xff020000, 0]) | 0;
  const addresses = [{
    address: new IpAddress(6, word, 0, 0, random() % 3),
    preferred: time(),
    valid: time(),
  }];
  emitDhcpv6(p, {
    type: "reply",
    transaction: 0,
    rapidCommit: random() % 2 === 0,
    association: {
      id: random() % 16 === 0 ? 9 : 1,
      t1: time(),
      t2: time(),
      addresses: random() % 8 === 0 ? [] : addresses,
      ...(random() % 8 === 0 ? { status: random() % 6 } : {}),
    },
    ...(random() % 8 === 0 ? { status: random() % 6 } : {}),
  });
  return p.bytes.slice(p.start + 4, p.end);
}

function message(type: number, transaction: number, options: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + options.length);
  new DataView(bytes.buffer).setUint32(0, type << 24 | transaction);
  bytes.set(options, 4);
  return bytes;
}

function reads(random: () => number): void {
  const bytes = message(random() % 13, random() & 0xffffff, strangeOptions(random));
  const outcomes = [tight(bytes), roomy(bytes, 64, 64, 0), roomy(bytes, 64, 64, 0xff)].map((p) => {
    const { start, end } = p;
    const outcome = parseDhcpv6(p);
    ok(start <= p.start && p.start <= p.end && p.end === end);
    return outcome;
  });
  deepEqual(outcomes[1], outcomes[0]);
  deepEqual(outcomes[2], outcomes[0]);
  const [outcome] = outcomes;
  if (outcome === undefined || typeof outcome === "string") return;
  ok((outcome.searchDomains ?? []).every(isDomainName));
  const again = roomy("", 128, 16_384);
  emitDhcpv6(again, outcome);
  deepEqual(parseDhcpv6(again), outcome);
}

function client(random: () => number): void {
  const segment = new Segment(random());
  segment.nic.addAddress(LINK_LOCAL, 64);
  let lease: Dhcpv6Lease | undefined;
  const dhcp = new Dhcpv6Client(segment.stack, segment.nic, {
    onLease: (one) => lease = one,
    onInformation: () => {},
  });
  segment.drive(dhcp);
  let sent = 0, transaction = 0;
  segment.onFrame = (frame) => {
    sent++;
    if (frame.view.getUint8(frame.start + 20) !== IpProtocol.udp) return;
    transaction = frame.view.getUint32(frame.start + HEADERS) & 0xffffff;
  };
  dhcp.start(random() % 8 === 0 ? "information" : "address", segment.now);
  const seconds = 100;
  // Who we are and who they are comes first, or nothing would get past the first check.
  const names = Uint8Array.of(0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0);
  for (let i = 0; i < seconds; i++) {
    segment.pass(1);
    const more = random() % 4 === 0 ? strangeOptions(random) : association(random);
    names[names.length - 1] = random() % 8 === 0 ? 1 : 0;
    const options = new Uint8Array(names.length + more.length);
    options.set(names);
    options.set(more, names.length);
    const p = roomy(message(pick(random, [2, 7, 7, 7, random() % 14]), transaction, options), 128);
    emitUdp(p, 547, 546);
    startChecksum(p, SERVER, LINK_LOCAL, IpProtocol.udp, UDP_CHECKSUM);
    completeChecksum(p);
    const header = { source: SERVER, destination: LINK_LOCAL, protocol: IpProtocol.udp };
    emitIpv6(p, { ...header, hopLimit: 64, trafficClass: 0 });
    emitEthernet(p, OURS, THEIRS, EtherType.ipv6);
    segment.inject(p);
    if (random() % 32 === 0) dhcp.reboot(segment.now);
    if (lease !== undefined && random() % 16 === 0) dhcp.onClaim(lease.address, segment.now);
  }
  ok(sent < 6 * seconds, `${sent} frames in ${seconds} s`);
  if (lease === undefined) return;
  ok(isHostAddress6(lease.address));
  ok(lease.renewAfter <= lease.rebindAfter && lease.rebindAfter <= lease.expireAfter && lease.renewAfter > 0);
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [
  { name: "dhcpv6/reads", round: reads },
  { name: "dhcpv6/client", round: client },
];
