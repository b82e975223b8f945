/**
 * Clients of DHCP and of router advertisements on a wire whose other end has lost its mind: whatever it says, they neither
 * throw nor flood, and what they come to believe is bounded and sound.
 *
 * @module
 */

import { ok } from "node:assert/strict";
import { Dhcpv4Client } from "../../lib/stack/dhcp/client.ts";
import { type Dhcpv4Lease, isHostAddress } from "../../lib/stack/dhcp/lease.ts";
import { MAX_SLAAC_ADDRESSES, Slaac } from "../../lib/stack/ip/slaac.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { completeChecksum, startChecksum } from "../../lib/stack/wire/checksum.ts";
import { emitEthernet, EtherType, MAC_BROADCAST } from "../../lib/stack/wire/ethernet.ts";
import { IpProtocol } from "../../lib/stack/wire/ip.ts";
import { emitIpv4 } from "../../lib/stack/wire/ipv4.ts";
import { emitIpv6 } from "../../lib/stack/wire/ipv6.ts";
import { ALL_NODES, emitNdp, type NdpOptions } from "../../lib/stack/wire/ndp.ts";
import { emitUdp, UDP_CHECKSUM } from "../../lib/stack/wire/udp.ts";
import { roomy } from "../support/bytes.ts";
import { between, pick } from "../support/random.ts";
import { OURS, Segment, THEIRS } from "../support/segment.ts";
import { strangeMessage } from "./dhcpv4_fuzz.ts";
import type { FuzzTarget } from "./target.ts";

const SERVER = IpAddress.v4(0x0a000001);
const EVERYBODY = IpAddress.v4(-1);
const HEADERS = 14 + 20 + 8;

function dhcp(random: () => number): void {
  const segment = new Segment(random());
  let lease: Dhcpv4Lease | undefined;
  const client = new Dhcpv4Client(segment.stack, segment.nic, { onLease: (one) => lease = one });
  segment.drive(client);
  let sent = 0;
  let transaction = 0;
  segment.onFrame = (frame) => {
    sent++;
    if (frame.view.getUint16(frame.start + 12) !== EtherType.ipv4) return;
    transaction = frame.view.getUint32(frame.start + HEADERS + 4);
  };
  client.start(segment.now);
  const seconds = 200;
  for (let i = 0; i < seconds; i++) {
    segment.pass(1);
    const bytes = strangeMessage(random);
    const view = new DataView(bytes.buffer);
    // Most are answers to the question, or nothing of it would get past the first check.
    if (random() % 8 !== 0) {
      bytes[0] = 2;
      view.setUint32(4, transaction);
      OURS.write(view, 28);
      if (random() % 2 === 0) view.setInt32(16, pick(random, [0x0a000032, 0x0a0000ff, 0, -1, 0x7f000001]));
    }
    const p = roomy(bytes, 128);
    emitUdp(p, 67, 68);
    startChecksum(p, SERVER, EVERYBODY, IpProtocol.udp, UDP_CHECKSUM);
    completeChecksum(p);
    const fields = { source: SERVER, destination: EVERYBODY, protocol: IpProtocol.udp };
    emitIpv4(p, { ...fields, hopLimit: 64, trafficClass: 0 });
    emitEthernet(p, MAC_BROADCAST, THEIRS, EtherType.ipv4);
    segment.inject(p);
    if (random() % 32 === 0) client.reboot(segment.now);
  }
  ok(sent < 6 * seconds, `${sent} frames in ${seconds} s`);
  if (lease === undefined) return;
  ok(isHostAddress(lease.address) && lease.prefixLength >= 1 && lease.prefixLength <= 32);
  ok(lease.renewAfter <= lease.rebindAfter && lease.rebindAfter <= lease.expireAfter);
  ok(lease.routers.every(isHostAddress) && lease.dns.every(isHostAddress));
}

function slaac(random: () => number): void {
  const segment = new Segment(random());
  const follower = new Slaac(segment.stack, segment.nic, { onChange: () => {} });
  segment.drive(follower);
  let sent = 0;
  segment.onFrame = () => sent++;
  follower.start(segment.now);
  const seconds = 100;
  const word = () => pick(random, [0, 1, 0x20010db8, 0xfe800000, 0xff020000, random()]) | 0;
  const address = () => new IpAddress(6, word(), word(), word(), word());
  const lifetime = () => pick(random, [0, 1, 30, 7_200, 0xffffffff, random()]);
  for (let i = 0; i < seconds; i++) {
    const options: NdpOptions = {
      mtu: pick(random, [0, 68, 1_280, 9_000, 0xffffffff]),
      prefixes: Array.from({ length: random() % 4 }, () => ({
        prefix: address(),
        prefixLength: pick(random, [64, 64, 64, 0, 128]),
        onLink: true,
        autonomous: random() % 4 > 0,
        validLifetime: lifetime(),
        preferredLifetime: lifetime(),
      })),
      dns: [{ lifetime: lifetime(), servers: [address()] }],
    };
    const source = new IpAddress(6, 0xfe800000 | 0, 0, 0, between(random, 1, 40));
    const p = roomy("", 1_024);
    emitNdp(
      p,
      {
        kind: "router-advertisement",
        hopLimit: 64,
        managed: false,
        otherConfig: false,
        preference: pick(random, ["low", "medium", "high"]),
        lifetime: lifetime() & 0xffff,
        reachableTime: 0,
        retransTimer: 0,
        options,
      },
      source,
      ALL_NODES,
    );
    emitIpv6(p, {
      source,
      destination: ALL_NODES,
      protocol: IpProtocol.icmpv6,
      hopLimit: 255,
      trafficClass: 0,
    });
    emitEthernet(p, MAC_BROADCAST, THEIRS, EtherType.ipv6);
    segment.inject(p);
    segment.pass(random() % 3);
    ok(segment.nic.addresses.length <= MAX_SLAAC_ADDRESSES + 1);
    ok(follower.mtu === undefined || (follower.mtu >= 1_280 && follower.mtu <= 65_535));
    ok(!follower.dns.some((one) => one.isMulticast() || one.isUnspecified() || one.isLoopback()));
  }
  ok(sent < 5 * seconds, `${sent} frames`);
}

/** For `scripts/fuzz.ts`. */
export const targets: readonly FuzzTarget[] = [
  { name: "autoconfiguration/dhcp", round: dhcp },
  { name: "autoconfiguration/slaac", round: slaac },
];
