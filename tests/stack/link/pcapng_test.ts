import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { HEADROOM, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { Direction, PcapngWriter } from "../../../lib/stack/link/pcapng.ts";
import type { Instant } from "../../../lib/stack/time.ts";

const at = (microseconds: number): Instant => microseconds as Instant;

function frame(length: number, fill = 0xab): PacketBuffer {
  return new PacketBuffer(new Uint8Array(HEADROOM + length).fill(fill), HEADROOM);
}

interface Block {
  readonly type: number;
  readonly body: DataView;
}

/** Collects what a writer writes, and takes it apart again. */
class Capture {
  readonly #chunks: Uint8Array[] = [];
  readonly sink = (bytes: Uint8Array): boolean => {
    this.#chunks.push(bytes.slice());
    return true;
  };

  blocks(): Block[] {
    const bytes = new Uint8Array(this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of this.#chunks) bytes.set(chunk, at), at += chunk.length;
    const view = new DataView(bytes.buffer);
    const blocks: Block[] = [];
    for (at = 0; at < bytes.length;) {
      const length = view.getUint32(at + 4, true);
      strictEqual(length % 4, 0, "aligned");
      strictEqual(view.getUint32(at + length - 4, true), length, "length is repeated at the end");
      blocks.push({ type: view.getUint32(at, true), body: new DataView(bytes.buffer, at + 8, length - 12) });
      at += length;
    }
    return blocks;
  }
}

/** The options from `at` on, as code → bytes. */
function options(body: DataView, at: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (;;) {
    const code = body.getUint16(at, true);
    const length = body.getUint16(at + 2, true);
    if (code === 0) {
      strictEqual(length, 0);
      strictEqual(at + 4, body.byteLength, "the end of options is the end of the block");
      return found;
    }
    found.set(code, new Uint8Array(body.buffer, body.byteOffset + at + 4, length));
    at += 4 + (length + 3 & ~3);
  }
}

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

test("PcapngWriter starts with a section header", () => {
  const capture = new Capture();
  new PcapngWriter(capture.sink, { application: "sluice 0.1.0" });
  const [header, ...rest] = capture.blocks();
  strictEqual(rest.length, 0);
  strictEqual(header!.type, 0x0a0d0d0a);
  strictEqual(header!.body.getUint32(0, true), 0x1a2b3c4d);
  strictEqual(header!.body.getUint16(4, true), 1);
  strictEqual(header!.body.getBigInt64(8, true), -1n);
  strictEqual(text(options(header!.body, 16).get(4)), "sluice 0.1.0");
});

test("PcapngWriter describes interfaces by name", () => {
  const capture = new Capture();
  const writer = new PcapngWriter(capture.sink, { snapLength: 96 });
  strictEqual(writer.addInterface("lo"), 0);
  strictEqual(writer.addInterface("eth0"), 1);
  const [, lo, eth0] = capture.blocks();
  for (const [block, name] of [[lo, "lo"], [eth0, "eth0"]] as const) {
    strictEqual(block!.type, 1);
    strictEqual(block!.body.getUint16(0, true), 1);
    strictEqual(block!.body.getUint32(4, true), 96);
    strictEqual(text(options(block!.body, 8).get(2)), name);
    deepStrictEqual([...options(block!.body, 8).get(9)!], [6]);
  }
});

const LENGTHS = [0, 1, 2, 3, 4, 60, 1514, 65_550];
for (const length of LENGTHS) {
  test(`PcapngWriter.packet() writes a frame of ${length} bytes`, () => {
    const capture = new Capture();
    const writer = new PcapngWriter(capture.sink, { epoch: 1_790_000_000_000_000 });
    writer.addInterface("eth0");
    const header = frame(Math.min(length, 54), 0x11);
    const payload = frame(length);
    if (length > 54) header.attach(payload, HEADROOM, HEADROOM + length - 54);
    writer.packet(0, Direction.outbound, header, at(123_456));
    const { type, body } = capture.blocks()[2]!;
    strictEqual(type, 6);
    strictEqual(body.getUint32(4, true) * 2 ** 32 + body.getUint32(8, true), 1_790_000_000_123_456);
    strictEqual(body.getUint32(12, true), length);
    strictEqual(body.getUint32(16, true), length);
    deepStrictEqual(new Uint8Array(body.buffer, body.byteOffset + 20, length), header.toBytes());
    const found = options(body, 20 + (length + 3 & ~3));
    deepStrictEqual([...found.get(2)!], [Direction.outbound, 0, 0, 0]);
    strictEqual(found.has(1), false);
  });
}

test("PcapngWriter.packet() cuts to the snap length and comments on what was dropped", () => {
  const capture = new Capture();
  const writer = new PcapngWriter(capture.sink, { snapLength: 10 });
  writer.addInterface("eth0");
  writer.packet(0, Direction.inbound, frame(100), at(5.75), "dropped: no-such-port");
  writer.packet(0, Direction.inbound, frame(9), at(6));
  const [, , first, second] = capture.blocks();
  strictEqual(first!.body.getUint32(8, true), 5);
  strictEqual(first!.body.getUint32(12, true), 10);
  strictEqual(first!.body.getUint32(16, true), 100);
  strictEqual(first!.body.getUint16(30, true), 0, "padding is zero though the scratch buffer is not");
  strictEqual(text(options(first!.body, 32).get(1)), "dropped: no-such-port");
  strictEqual(second!.body.getUint32(12, true), 9);
});

for (const snapLength of [1, 53, 54, 55, 60, 200]) {
  test(`PcapngWriter.packet() keeps the first ${snapLength} bytes of a frame with payload by reference`, () => {
    const capture = new Capture();
    const writer = new PcapngWriter(capture.sink, { snapLength });
    writer.addInterface("eth0");
    const header = frame(54);
    header.attach(frame(6, 1), HEADROOM, HEADROOM + 6);
    header.attach(frame(100, 2), HEADROOM, HEADROOM + 100);
    writer.packet(0, Direction.outbound, header, at(0));
    const { body } = capture.blocks()[2]!;
    const kept = Math.min(snapLength, 160);
    deepStrictEqual([body.getUint32(12, true), body.getUint32(16, true)], [kept, 160]);
    deepStrictEqual(
      new Uint8Array(body.buffer, body.byteOffset + 20, kept),
      header.toBytes().subarray(0, kept),
    );
  });
}

test("PcapngWriter.packet() cuts a comment that is too long", () => {
  const capture = new Capture();
  const writer = new PcapngWriter(capture.sink);
  writer.addInterface("eth0");
  writer.packet(0, Direction.unknown, frame(1), at(0), "x".repeat(100_000));
  strictEqual(options(capture.blocks()[2]!.body, 24).get(1)!.length, 1000);
});
