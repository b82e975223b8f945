/**
 * What the in-memory pair must do, as every link.
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Checksum, Gso, HEADROOM, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import type { Link } from "../../../lib/stack/link/link.ts";
import { memoryWire, type MemoryWireOptions } from "../../../lib/stack/link/memory.ts";

function frame(...bytes: number[]): PacketBuffer {
  const packet = new PacketBuffer(new Uint8Array(HEADROOM + bytes.length), HEADROOM);
  packet.bytes.set(bytes, HEADROOM);
  return packet;
}

const pair = (options: MemoryWireOptions = { mtu: 1500 }): readonly [Link, Link] =>
  memoryWire(options, new BufferPool());

test(`memoryWire() tells the MTU and the capabilities of the wire`, () => {
  const capabilities = { txChecksum: true, rxChecksum: true, gsoMaxSize: 65_536 };
  const [near] = pair({ mtu: 9000, capabilities });
  strictEqual(near.mtu, 9000);
  deepStrictEqual(near.capabilities, capabilities);
});

test(`memoryWire() carries frames both ways, in order`, () => {
  const [near, far] = pair();
  strictEqual(near.receive(), undefined);
  for (let i = 0; i < 10; i++) {
    ok(near.transmit(frame(1, i)));
    ok(far.transmit(frame(2, i)));
  }
  for (let i = 0; i < 10; i++) {
    deepStrictEqual([...far.receive()!.toBytes()], [1, i]);
    deepStrictEqual([...near.receive()!.toBytes()], [2, i]);
  }
  strictEqual(near.receive(), undefined);
  strictEqual(far.receive(), undefined);
});

test(`memoryWire() refuses a frame when the wire is full and leaves it to the caller`, () => {
  const [near, far] = pair({ mtu: 1500, limit: 2 });
  ok(near.transmit(frame(1)) && near.transmit(frame(2)));
  const third = frame(3);
  strictEqual(near.transmit(third), false);
  strictEqual(third.references, 1);
  far.receive();
  strictEqual(near.transmit(third), true);
});

test(`memoryWire() gathers payload held by reference and keeps the state of the checksum`, () => {
  const [near, far] = pair();
  const payload = frame(7, 8, 9);
  const packet = frame(1, 2, 3, 4);
  packet.attach(payload, payload.start + 1, payload.end);
  packet.checksum = Checksum.partial;
  packet.checksumStart = packet.start + 2;
  packet.checksumOffset = 1;
  packet.gso = Gso.tcp4;
  packet.gsoSize = 1;
  strictEqual(payload.references, 2);
  ok(near.transmit(packet));
  const got = far.receive()!;
  deepStrictEqual([...got.bytes.subarray(got.start, got.end)], [1, 2, 3, 4, 8, 9]);
  strictEqual(got.checksum, Checksum.partial);
  strictEqual(got.checksumStart - got.start, 2);
  strictEqual(got.checksumOffset, 1);
  strictEqual(got.gso, Gso.tcp4);
  strictEqual(got.gsoSize, 1);
  strictEqual(payload.references, 1, "the reference is let go");
});
