import { test } from "node:test";
import { deepStrictEqual, notStrictEqual, strictEqual } from "node:assert/strict";
import { type Fragment, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";

/** A packet with nothing of its own. */
const empty = () => new PacketBuffer(new Uint8Array(0));
const chunk = new PacketBuffer(Uint8Array.from({ length: 100 }, (_, i) => i));

test("attach uses the fragments of packets that are gone, each for one packet", () => {
  const first = empty();
  for (let i = 0; i < 3; i++) first.attach(chunk, i, i + 1);
  const before: readonly Fragment[] = [...first.fragments];
  first.release();
  strictEqual(first.fragments.length, 0);
  strictEqual(chunk.references, 1);

  const packets = [empty(), empty()];
  for (let i = 0; i < 8; i++) packets[i % 2]!.attach(chunk, 10 * i, 10 * i + 10);
  const after = packets.flatMap(({ fragments }) => fragments);
  strictEqual(new Set(after).size, 8);
  strictEqual(after.filter((fragment) => before.includes(fragment)).length, 3);
  for (const [i, packet] of packets.entries()) {
    const want = [0, 20, 40, 60].flatMap((at) => [...chunk.bytes.subarray(at + 10 * i, at + 10 * i + 10)]);
    deepStrictEqual([...packet.toBytes()], want);
  }
  strictEqual(chunk.references, 9);
  for (const packet of packets) packet.release();
  strictEqual(chunk.references, 1);
});

test("release leaves nothing held by fragments that wait for another packet", () => {
  const packet = empty();
  packet.attach(chunk, 0, 1);
  const [fragment] = packet.fragments;
  packet.release();
  notStrictEqual(fragment!.buffer, chunk);
  strictEqual(fragment!.buffer.bytes.length, 0);
});
