/**
 * Others on the link who claim addresses: ours, that of our router, all of them.
 */

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { test } from "node:test";
import { HEADROOM, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { NO_OFFLOAD } from "../../../lib/stack/link/link.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import { type Instant, later, SECOND } from "../../../lib/stack/time.ts";
import { ArpOperation, emitArp } from "../../../lib/stack/wire/arp.ts";
import { emitEthernet, EtherType, MAC_BROADCAST, MAC_ZERO } from "../../../lib/stack/wire/ethernet.ts";
import { formatFrame } from "../../../lib/stack/wire/format.ts";
import { IpProtocol } from "../../../lib/stack/wire/ip.ts";
import { emitIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { ALL_NODES, emitNdp, solicitedNode } from "../../../lib/stack/wire/ndp.ts";
import { ip, mac } from "../../support/two_stacks.ts";

const OURS = mac("02:00:00:00:00:01"), THEIRS = mac("02:00:00:00:00:66"), ROUTER = mac("02:00:00:00:00:02");

/** A host at 10.0.0.1/24 and fd00::1/64 whose wire we hold. */
class Host {
  now = 1_000_000 as Instant;
  readonly stack = new Stack({ random: () => 7 });
  readonly nic;

  constructor(defendAddresses = true) {
    this.nic = this.stack.addNic({
      name: "eth0",
      mac: OURS,
      mtu: 1_500,
      capabilities: NO_OFFLOAD,
      defendAddresses,
    });
    this.nic.addAddress(ip("10.0.0.1"), 24);
    this.nic.addAddress(ip("fd00::1"), 64);
  }

  arp(operation: number, sender: string, from = THEIRS, target = sender): void {
    const packet = new PacketBuffer(new Uint8Array(HEADROOM + 64), HEADROOM + 64, HEADROOM + 64);
    emitArp(packet, {
      operation,
      senderMac: from,
      senderIp: ip(sender),
      targetMac: MAC_ZERO,
      targetIp: ip(target),
    });
    emitEthernet(packet, MAC_BROADCAST, from, EtherType.arp);
    this.nic.ingress(packet, this.now);
  }

  advertise(target: string): void {
    const packet = new PacketBuffer(new Uint8Array(512), 512, 512);
    emitNdp(
      packet,
      {
        kind: "neighbour-advertisement",
        target: ip(target),
        router: false,
        solicited: false,
        override: true,
        options: { targetLinkLayer: THEIRS },
      },
      ip("fe80::66"),
      ALL_NODES,
    );
    emitIpv6(packet, {
      source: ip("fe80::66"),
      destination: ALL_NODES,
      protocol: IpProtocol.icmpv6,
      hopLimit: 255,
      trafficClass: 0,
      flowLabel: 0,
    });
    emitEthernet(packet, MAC_BROADCAST, THEIRS, EtherType.ipv6);
    this.nic.ingress(packet, this.now);
  }

  solicit(target: string, source: string, link = THEIRS): void {
    const packet = new PacketBuffer(new Uint8Array(512), 512, 512);
    const [asker, group] = [ip(source), solicitedNode(ip(target))];
    const options = { sourceLinkLayer: link };
    emitNdp(packet, { kind: "neighbour-solicitation", target: ip(target), options }, asker, group);
    const header = { protocol: IpProtocol.icmpv6, hopLimit: 255, trafficClass: 0, flowLabel: 0 };
    emitIpv6(packet, { source: asker, destination: group, ...header });
    emitEthernet(packet, MAC_BROADCAST, THEIRS, EtherType.ipv6);
    this.nic.ingress(packet, this.now);
  }

  /** What the host has sent since the last call. */
  sent(): string[] {
    const lines: string[] = [];
    for (let frame = this.nic.egress(this.now); frame !== undefined; frame = this.nic.egress(this.now)) {
      lines.push(formatFrame(frame.toBytes()));
      frame.release();
    }
    return lines;
  }
}

test("Arp defends an address of ours once in ten seconds, however often it is claimed", () => {
  const host = new Host();
  for (let i = 0; i < 1_000; i++) host.arp(ArpOperation.reply, "10.0.0.1");
  const [only, ...more] = host.sent();
  ok(/10\.0\.0\.1/.test(only!));
  deepEqual(more, []);
  equal(host.stack.counters.get("arp.conflict"), 1_000);
  host.now = later(host.now, 10 * SECOND);
  host.arp(ArpOperation.request, "10.0.0.1");
  equal(host.sent().length, 1);
  equal(host.stack.counters.get("arp.announcements-sent"), 2);
  equal(host.nic.neighbours.size, 0);
});

test("Arp leaves an address to whoever claims it where nobody asked for defence", () => {
  const host = new Host(false);
  host.arp(ArpOperation.reply, "10.0.0.1");
  deepEqual(host.sent(), []);
  equal(host.stack.counters.get("arp.conflict"), 1);
});

test("Ndp defends an address of ours once in ten seconds", () => {
  const host = new Host();
  for (let i = 0; i < 100; i++) host.advertise("fd00::1");
  equal(host.sent().length, 1);
  equal(host.stack.counters.get("ndp.conflict"), 100);
  equal(host.nic.neighbours.size, 0);
});

test("Arp takes the answer of a router outside of all our prefixes, and adds nobody there unasked", () => {
  const host = new Host();
  host.arp(ArpOperation.request, "169.254.1.1", ROUTER, "10.0.0.1");
  equal(host.nic.neighbours.size, 0);
  host.sent();
  const entry = host.nic.neighbours.entry(ip("169.254.1.1"));
  host.nic.neighbours.use(entry, host.now);
  equal(host.sent().length, 1);
  host.arp(ArpOperation.reply, "169.254.1.1", ROUTER, "10.0.0.1");
  equal(entry.state, "reachable");
  ok(entry.mac.equals(ROUTER));
});

test("Arp keeps a bounded number of neighbours, and the permanent ones, through a flood", () => {
  const host = new Host();
  host.nic.neighbours.setPermanent(ip("10.0.0.254"), ROUTER, host.now);
  host.nic.addAddress(ip("10.64.0.1"), 10);
  for (let i = 0; i < 20_000; i++) {
    host.arp(ArpOperation.request, `10.64.${i >>> 8 & 255}.${i & 255}`, THEIRS, "10.0.0.1");
    host.arp(ArpOperation.reply, "10.0.0.254");
    if (i % 100 === 0) host.sent();
  }
  ok(host.nic.neighbours.size <= host.stack.limits.neighbours);
  ok(host.stack.counters.get("neighbour.evicted") > 10_000);
  const router = host.nic.neighbours.peek(ip("10.0.0.254"))!;
  equal(router.state, "permanent");
  ok(router.mac.equals(ROUTER));
});

test("whoever asks on the link is answered on the link, though no route leads there", () => {
  const host = new Host();
  host.solicit("fd00::1", "2001:db8:5::66");
  const sent = host.sent();
  equal(sent.length, 1);
  match(sent[0]!, /fd00::1 > 2001:db8:5::66/);
  equal(host.stack.counters.get("ip.no-route"), 0);
  // Nobody is answered at a group's hardware address.
  host.solicit("fd00::1", "2001:db8:5::67", MAC_BROADCAST);
  deepEqual(host.sent(), []);
  equal(host.stack.counters.get("ip.no-route"), 1);
});
