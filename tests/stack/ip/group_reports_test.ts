import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { HEADROOM, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { NO_OFFLOAD } from "../../../lib/stack/link/link.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import { type Instant, later, SECOND } from "../../../lib/stack/time.ts";
import { hex } from "../../support/bytes.ts";
import { ip, mac } from "../../support/two_stacks.ts";

/** A host at 10.0.0.2 and fd00::2 with link-local address fe80::ff:fe00:2. */
class Host {
  now = 1_000_000 as Instant;
  readonly stack = new Stack({ random: () => 7 });
  readonly nic;

  constructor(reportGroups = true) {
    const options = { name: "eth0", mac: mac("02:00:00:00:00:02"), mtu: 1_500, capabilities: NO_OFFLOAD };
    this.nic = this.stack.addNic({ ...options, reportGroups });
    this.nic.addAddress(ip("10.0.0.2"), 24);
    this.nic.addAddress(ip("fd00::2"), 64);
  }

  hear(frame: Uint8Array): void {
    const packet = new PacketBuffer(new Uint8Array(HEADROOM + frame.length), HEADROOM);
    packet.bytes.set(frame, HEADROOM);
    this.nic.ingress(packet, this.now);
  }

  sent(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let frame = this.nic.egress(this.now); frame !== undefined; frame = this.nic.egress(this.now)) {
      frames.push(frame.toBytes());
      frame.release();
    }
    return frames;
  }
}

/** An IGMPv3 report that 239.1.2.3 is heard from now on, by the figures of RFC 3376; checksums are looked at apart. */
const JOIN4 = hex(`01005e000016 020000000002 0800 46c0 0028 0000 0000 0102 80 4b 0a000002 e0000016 94040000
  2200 e9 f8 0000 0001 0400 0000 ef010203`);

test("GroupReports tells of a group when the first socket joins and when the last leaves", () => {
  const host = new Host();
  const group = ip("239.1.2.3");
  host.stack.groups.join(group);
  host.stack.groups.join(group);
  const [joined, ...more] = host.sent();
  deepEqual(more, []);
  equal(joined!.length, JOIN4.length);
  deepEqual(withoutChecksums(joined!), withoutChecksums(JOIN4));
  ok(sums(joined!, 14, 38) && sums(joined!, 38, joined!.length));
  host.stack.groups.leave(group);
  deepEqual(host.sent(), []);
  host.stack.groups.leave(group);
  const [left] = host.sent();
  equal(left![46], 3);
  host.stack.groups.leave(group);
  deepEqual(host.sent(), [], "one leave too many");
});

test("GroupReports answers a query with all groups, neighbour discovery's included, and not too often", () => {
  const host = new Host();
  host.stack.groups.join(ip("ff05::77"));
  host.sent();
  // A general query of fe80::1 to ff02::1, with the router alert.
  const query = hex(`333300000001 020000000001 86dd 6000 0000 0024 0001 fe800000000000000000000000000001
    ff020000000000000000000000000001 3a00 0502 0000 0100 8200 0000 2710 0000
    00000000000000000000000000000000 027d 0000`);
  for (let i = 0; i < 10; i++) host.hear(query);
  const reports = host.sent();
  equal(reports.length, 4);
  const report = reports[0]!;
  equal(report[54 + 8], 143);
  const count = new DataView(report.buffer).getUint16(54 + 14);
  const records = Array.from({ length: count }, (_, i) => [...report.subarray(70 + 20 * i, 90 + 20 * i)]);
  deepEqual(
    records.map(([type, , , , ...group]) => `${type} ${group.slice(-4).join(".")}`).sort(),
    ["2 0.0.0.119", "2 255.0.0.2"],
  );
  equal(host.stack.counters.get("groups.queries-rate-limited"), 6);
  host.now = later(host.now, SECOND);
  host.hear(query);
  equal(host.sent().length, 1);
});

test("GroupReports believes no query that has crossed a router, and is silent where nobody asked for reports", () => {
  const query = (ttl: string, sum: string) =>
    hex(`01005e000001 020000000001 0800 4600 0020 0000 0000 ${ttl}02 ${sum} 0a000001 e0000001 94040000
      1164 ee9b 00000000`);
  const host = new Host();
  host.stack.groups.join(ip("239.1.2.3"));
  host.sent();
  host.hear(query("02", "39d6"));
  deepEqual(host.sent(), []);
  host.hear(query("01", "3ad6"));
  equal(host.sent().length, 1);
  const quiet = new Host(false);
  quiet.stack.groups.join(ip("239.1.2.3"));
  quiet.stack.groups.announce(quiet.nic);
  deepEqual(quiet.sent(), []);
});

test("GroupReports spreads many groups over reports that fit the link", () => {
  const host = new Host();
  for (let i = 0; i < 100; i++) host.stack.groups.join(ip(`ff05::${(i + 1).toString(16)}`));
  host.sent();
  host.stack.groups.announce(host.nic);
  const frames = host.sent();
  equal(frames.length, 3);
  ok(frames.every(({ length }) => length <= 1_280 + 14));
});

function withoutChecksums(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  for (const at of [24, 25, 40, 41]) copy[at] = 0;
  return copy;
}

/** Whether the one's complement sum of these bytes is all ones. */
function sums(frame: Uint8Array, from: number, to: number): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset);
  let sum = 0;
  for (let at = from; at < to; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum === 0xffff;
}

test("GroupReports never tells of all systems, of all nodes, or of what stays in the host", () => {
  const host = new Host();
  for (const group of ["224.0.0.1", "ff02::1", "ff01::5", "ff00::5"]) host.stack.groups.join(ip(group));
  deepEqual(host.sent(), []);
  host.stack.groups.join(ip("224.0.0.251"));
  host.stack.groups.join(ip("ff02::fb"));
  equal(host.sent().length, 2);
});
