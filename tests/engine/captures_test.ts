import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Captures, MAX_CAPTURES } from "../../lib/engine/captures.ts";
import { HEADROOM, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import { Fifo } from "../../lib/stack/qdisc/fifo.ts";
import { Stack } from "../../lib/stack/stack.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/ethernet.ts";

const NOW = 0 as Instant;
const OURS = "020000000001", THEIRS = "020000000002";

/** Blocks of a capture as far as the tests look at them. */
class Blocks {
  readonly all: string[] = [];
  room = true;
  readonly sink = (bytes: Uint8Array): boolean => {
    if (!this.room) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const text = new TextDecoder("latin1").decode(bytes);
    const type = view.getUint32(0, true);
    if (type === 1) this.all.push(`interface ${/[a-z]+[0-9]*/.exec(text.slice(18))?.[0]}`);
    if (type === 6) {
      const [number, length] = [view.getUint32(8, true), view.getUint32(24, true)];
      const way = ["?", "in", "out"][view.getUint8(28 + ((length + 3) & ~3) + 4)];
      const comment = /dropped: [a-z0-9.-]+/.exec(text)?.[0] ?? "passed";
      // After the flags, of eight bytes with their header.
      const after = 28 + ((length + 3) & ~3) + 8;
      const gap = view.getUint16(after, true) === 4 ? ` after ${view.getUint32(after + 4, true)} lost` : "";
      this.all.push(`${number} ${way} ${comment}${gap}`);
    }
    return true;
  };
}

function frame(hex: string): PacketBuffer {
  const bytes = hex.match(/../g)!.map((pair) => parseInt(pair, 16));
  const packet = new PacketBuffer(new Uint8Array(HEADROOM + bytes.length), HEADROOM);
  packet.bytes.set(bytes, HEADROOM);
  return packet;
}
/** Who has 10.0.0.1? Tell 10.0.0.2. */
const arp = (destination = "ffffffffffff") =>
  frame(`${destination}${THEIRS}08060001080006040001${THEIRS}0a0000020000000000000a000001`);

function world() {
  const stack = new Stack({ random: () => 1, pool: new BufferPool() });
  const add = (name: string, mac = OURS, limit = 1000) =>
    stack.addNic({
      name,
      mac: MacAddress.parse(mac.match(/../g)!.join(":"))!,
      mtu: 1500,
      capabilities: NO_OFFLOAD,
      qdisc: new Fifo(limit),
    });
  const nic = add("eth0");
  nic.addAddress(IpAddress.parse("10.0.0.1")!, 24);
  return { stack, nic, add, captures: new Captures(stack, 0) };
}

test("a capture names the interfaces and shows both directions, and what was dropped", () => {
  const { nic, captures } = world();
  const blocks = new Blocks();
  captures.open(blocks.sink);
  nic.ingress(arp(), NOW);
  ok(nic.egress(NOW));
  nic.ingress(arp("0200000000ff"), NOW);
  nic.ingress(frame("020000000001"), NOW);
  nic.ingress(frame(`${OURS}${THEIRS}88cc0000`), NOW);
  nic.ingress(frame(`${OURS}${THEIRS}08004500`), NOW);
  deepStrictEqual(blocks.all, [
    "interface lo",
    "interface eth0",
    "1 in passed",
    "1 out passed",
    "1 in dropped: ethernet.other-host",
    "1 in dropped: ethernet.truncated",
    "1 in dropped: ethernet.unknown-type",
    "1 in dropped: ipv4.truncated",
  ]);
});

test("a capture shows what the queue had no room for", () => {
  const { stack, add, captures } = world();
  const tiny = add("eth1", "020000000011", 1);
  tiny.addAddress(IpAddress.parse("10.0.0.1")!, 24, { alone: true });
  const blocks = new Blocks();
  captures.open(blocks.sink, { device: "eth1" });
  tiny.ingress(arp(), NOW);
  tiny.ingress(arp(), NOW);
  deepStrictEqual(blocks.all, ["interface eth1", "0 in passed", "0 in passed", "0 out dropped: qdisc.full"]);
  strictEqual(stack.nics.length, 3);
});

test("a capture of one interface shows no other, and one of all shows those that come later", () => {
  const { nic, add, captures } = world();
  const [one, all] = [new Blocks(), new Blocks()];
  captures.open(one.sink, { device: "eth0" });
  captures.open(all.sink);
  nic.ingress(arp(), NOW);
  add("eth1", "020000000011").ingress(arp(), NOW);
  deepStrictEqual(one.all, ["interface eth0", "0 in passed"]);
  deepStrictEqual(all.all, [
    "interface lo",
    "interface eth0",
    "1 in passed",
    "interface eth1",
    "2 in passed",
  ]);
});

test("a capture counts what its reader had no room for, and says how much that was", () => {
  const { nic, captures } = world();
  deepStrictEqual(captures.counters(), {});
  const blocks = new Blocks();
  const number = captures.open(blocks.sink, { device: "eth0" });
  blocks.room = false;
  for (let i = 0; i < 3; i++) nic.ingress(arp("0200000000ff"), NOW);
  blocks.room = true;
  nic.ingress(arp(), NOW);
  nic.ingress(arp(), NOW);
  deepStrictEqual(blocks.all.slice(1), ["0 in passed after 3 lost", "0 in passed"]);
  deepStrictEqual(captures.counters(), { "capture.frames-lost": 3 });
  captures.close(number);
  deepStrictEqual(captures.counters(), { "capture.frames-lost": 3 });
});

test("a closed capture sees nothing more, and makes room for another", () => {
  const { nic, captures } = world();
  const blocks = new Blocks();
  const numbers = Array.from({ length: MAX_CAPTURES }, () => captures.open(blocks.sink));
  ok(captures.full);
  for (const number of numbers) captures.close(number);
  captures.close(numbers[0]!);
  ok(!captures.full);
  const before = blocks.all.length;
  nic.ingress(arp(), NOW);
  strictEqual(blocks.all.length, before);
});

test("the loopback is shown once", () => {
  const { stack, captures } = world();
  const blocks = new Blocks();
  captures.open(blocks.sink, { device: "lo" });
  stack.tcpConnect({ remoteAddress: IpAddress.v4(0x7f000001), remotePort: 9 }, NOW);
  for (let i = 0; i < 8; i++) stack.poll(NOW);
  // The question and the reset.
  deepStrictEqual(blocks.all.slice(0, 3), ["interface lo", "0 in dropped: tcp.strays", "0 in passed"]);
});
