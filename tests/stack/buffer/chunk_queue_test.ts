import { test } from "node:test";
import { equal, throws } from "node:assert/strict";
import { ChunkQueue } from "../../../lib/stack/buffer/chunk_queue.ts";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { hex, roomy, toHex } from "../../support/bytes.ts";
import { between, randomBytes, seeded } from "../../support/random.ts";

function contents(queue: ChunkQueue): string {
  const bytes = new Uint8Array(queue.length);
  equal(queue.copyTo(bytes), queue.length);
  return toHex(bytes);
}

test("ChunkQueue.push() takes over the hold on a buffer, consume() lets it go when it is empty", () => {
  const queue = new ChunkQueue();
  const a = roomy("0102");
  queue.push(a);
  equal(queue.length, 2);
  queue.consume(1);
  equal(a.references, 1);
  equal(queue.at(0).start, a.start + 1);
  equal(a.start, 128, "the buffer's own cursors stay");
  queue.consume(1);
  equal(a.references, 0);
  equal(queue.count, 0);
});

test("ChunkQueue.push() releases an empty chunk at once", () => {
  const queue = new ChunkQueue();
  const a = roomy("");
  queue.push(a);
  equal(a.references, 0);
  equal(queue.count, 0);
});

test("ChunkQueue holds a part of a buffer that others hold too", () => {
  const queue = new ChunkQueue();
  const a = roomy("01020304", 0);
  queue.push(a.retain(), 1, 3);
  equal(contents(queue), "0203");
  queue.clear();
  equal(a.references, 1);
});

test("ChunkQueue.extendLast() counts what was written behind the youngest chunk", () => {
  const queue = new ChunkQueue();
  const a = roomy("01", 0, 3, 7);
  queue.push(a);
  queue.push(roomy("02", 0, 3, 9));
  queue.extendLast(2);
  equal(contents(queue), "01020909");
  equal(queue.last()?.end, 3);
});

test("ChunkQueue.consume() refuses more than there is", () => {
  const queue = new ChunkQueue();
  queue.push(roomy("0102"));
  throws(() => queue.consume(3), RangeError);
  equal(queue.length, 2);
});

test("ChunkQueue.attachTo() refuses more than there is", () => {
  const queue = new ChunkQueue();
  queue.push(roomy("0102"));
  throws(() => queue.attachTo(roomy(""), 1, 2), RangeError);
});

test("ChunkQueue agrees with a plain array of bytes on any sequence of calls", () => {
  const seed = 23;
  const random = seeded(seed);
  const queue = new ChunkQueue();
  const held = new Set<PacketBuffer>();
  let model = "";
  for (let step = 0; step < 6_000; step++) {
    const why = `seed ${seed} step ${step}`;
    if (random() % 3 !== 0) {
      const bytes = randomBytes(random, between(random, 0, 12));
      const buffer = roomy(bytes, between(random, 0, 3));
      held.add(buffer);
      queue.push(buffer);
      model += toHex(bytes);
    } else {
      const n = between(random, 0, Math.min(queue.length, 40));
      queue.consume(n);
      model = model.slice(2 * n);
    }
    equal(queue.length, model.length / 2, why);
    const offset = between(random, 0, queue.length);
    const length = between(random, 0, queue.length - offset);
    const packet = new PacketBuffer(hex("aabb"));
    queue.attachTo(packet, offset, length);
    equal(toHex(packet.toBytes()), "aabb" + model.slice(2 * offset, 2 * (offset + length)), why);
    packet.release();
    const copy = new Uint8Array(length);
    equal(queue.copyTo(copy, offset), length, why);
    equal(toHex(copy), model.slice(2 * offset, 2 * (offset + length)), why);
  }
  queue.clear();
  for (const buffer of held) equal(buffer.references, 0);
});

test("ChunkQueue.memory counts each buffer once, as long as a chunk of it is there", () => {
  const queue = new ChunkQueue();
  const block = new PacketBuffer(new Uint8Array(1_000));
  for (const [start, end] of [[0, 100], [200, 300], [300, 400]] as const) {
    queue.push(block.retain(), start, end);
  }
  queue.push(new PacketBuffer(new Uint8Array(64)), 0, 10);
  equal(queue.memory, 1_064);
  queue.consume(150);
  equal(queue.memory, 1_064);
  queue.consume(149);
  equal(queue.memory, 1_064, "one byte of the block is left");
  queue.consume(1);
  equal(queue.memory, 64);
  queue.clear();
  equal(queue.memory, 0);
});
