/** The wire in memory: with a copy, and by reference. */

import { test } from "node:test";
import { deepStrictEqual, notStrictEqual, strictEqual } from "node:assert/strict";
import { Checksum, HEADROOM, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { memoryWire } from "../../../lib/stack/link/memory.ts";

const OFFLOAD = { txChecksum: true, rxChecksum: true, gsoMaxSize: 65_536 };

/** A frame of a header of its own and a payload by reference. */
function frameOf(payload: PacketBuffer): PacketBuffer {
  const frame = new PacketBuffer(new Uint8Array(256), HEADROOM, HEADROOM + 54);
  frame.attach(payload, payload.start, payload.end);
  return frame;
}

test("transmit() copies unless it is told to share", () => {
  const [a, b] = memoryWire({ mtu: 1_500 }, new BufferPool());
  const payload = new PacketBuffer(new Uint8Array(1_000).fill(7));
  const frame = frameOf(payload);
  strictEqual(a.transmit(frame), true);
  strictEqual(payload.references, 1);
  const arrived = b.receive()!;
  notStrictEqual(arrived, frame);
  strictEqual(arrived.fragments.length, 0);
  strictEqual(arrived.length, 1_054);
});

test("transmit() shares: the frame itself arrives, payload by reference, and is released by who receives it", () => {
  const [a, b] = memoryWire({ mtu: 1_500, capabilities: OFFLOAD, share: true }, new BufferPool());
  const payload = new PacketBuffer(new Uint8Array(1_000).fill(7));
  const frame = frameOf(payload);
  frame.checksum = Checksum.partial;
  strictEqual(a.transmit(frame), true);
  strictEqual(b.receive(), frame);
  strictEqual(frame.fragments[0]!.buffer, payload);
  strictEqual(frame.checksum, Checksum.partial);
  strictEqual(payload.references, 2);
  frame.release();
  strictEqual(payload.references, 1);
});

test("transmit() says that a shared frame's complete checksum need not be verified", () => {
  const [a, b] = memoryWire({ mtu: 1_500, capabilities: OFFLOAD, share: true }, new BufferPool());
  a.transmit(new PacketBuffer(new Uint8Array(60)));
  strictEqual(b.receive()!.checksum, Checksum.valid);
});

test("transmit() refuses what does not fit and leaves it its owner's", () => {
  const [a, b] = memoryWire({ mtu: 1_500, share: true, limit: 1 }, new BufferPool());
  const second = new PacketBuffer(new Uint8Array(60));
  strictEqual(a.transmit(new PacketBuffer(new Uint8Array(60))), true);
  strictEqual(a.transmit(second), false);
  strictEqual(second.references, 1);
  deepStrictEqual([a.waiting, b.waiting], [0, 1]);
});
