import { test } from "node:test";
import { deepStrictEqual } from "node:assert/strict";
import { PacketLog } from "../../lib/engine/packet_log.ts";
import { HEADROOM, PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import { Stack } from "../../lib/stack/stack.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { IpAddress } from "../../lib/stack/wire/address.ts";
import { MacAddress } from "../../lib/stack/wire/ethernet.ts";

const NOW = 0 as Instant;

function frame(hex: string): PacketBuffer {
  const bytes = hex.match(/../g)!.map((pair) => parseInt(pair, 16));
  const packet = new PacketBuffer(new Uint8Array(HEADROOM + bytes.length), HEADROOM);
  packet.bytes.set(bytes, HEADROOM);
  return packet;
}

test("PacketLog writes one line per frame, with its direction and why it was dropped", () => {
  const stack = new Stack({ random: () => 1, pool: new BufferPool() });
  const mac = MacAddress.parse("02:00:00:00:00:01")!;
  const nic = stack.addNic({ name: "eth0", mac, mtu: 1500, capabilities: NO_OFFLOAD });
  nic.addAddress(IpAddress.parse("10.0.0.1")!, 24);
  const lines: string[] = [];
  const end = stack.observeFrames(new PacketLog((line) => lines.push(line)));
  const question = "02000000000208060001080006040001" + "0200000000020a000002" + "0000000000000a000001";
  nic.ingress(frame(`ffffffffffff${question}`), NOW);
  nic.egress(NOW);
  nic.ingress(frame(`0200000000ff${question}`), NOW);
  nic.passed(frame(`0200000000ff${question}`), NOW);
  end();
  nic.ingress(frame(`ffffffffffff${question}`), NOW);
  const asked = "ARP, Request who-has 10.0.0.1 tell 10.0.0.2, length 28";
  deepStrictEqual(lines, [
    `eth0 < ${asked}`,
    "eth0 > ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28",
    `eth0 < ${asked} [dropped: ethernet.other-host]`,
    `eth0 < ${asked}`,
  ]);
});
