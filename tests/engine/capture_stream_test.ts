import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { newRing, RingWriter } from "../../lib/engine/capture_ring.ts";
import { CaptureStream } from "../../lib/engine/capture_stream.ts";

function capture(heartbeat?: number) {
  const ring = newRing(64);
  let closed = 0;
  const stream = new CaptureStream({ ring, close: () => void closed++ }, heartbeat);
  const writer = new RingWriter(ring, () => stream.wake());
  return { stream, writer, reader: stream.stream.getReader(), closed: () => closed };
}

test("CaptureStream hands on what is in the ring, and waits for more", async () => {
  const { writer, reader } = capture();
  writer.write(new Uint8Array([1, 2]));
  deepStrictEqual((await reader.read()).value, new Uint8Array([1, 2]));
  const next = reader.read();
  await Promise.resolve();
  writer.write(new Uint8Array([3]));
  deepStrictEqual((await next).value, new Uint8Array([3]));
});

test("CaptureStream ends after what is left", async () => {
  const { stream, writer, reader, closed } = capture();
  writer.write(new Uint8Array([1]));
  stream.end();
  strictEqual((await reader.read()).done, false);
  strictEqual((await reader.read()).done, true);
  await stream.done;
  strictEqual(closed(), 0);
});

test("CaptureStream ends for a reader that waits", async () => {
  const { stream, reader } = capture();
  const next = reader.read();
  stream.end();
  strictEqual((await next).done, true);
});

test("CaptureStream closes the capture when its reader goes", async () => {
  const { stream, reader, closed } = capture();
  await reader.cancel();
  await stream.done;
  strictEqual(closed(), 1);
});

test("CaptureStream says something when there is nothing to say", async () => {
  const { stream, reader } = capture(1);
  const { value } = await reader.read();
  const block = new DataView(value!.buffer);
  deepStrictEqual([0, 4, 8, 20].map((at) => block.getUint32(at, true)), [5, 24, 0, 24]);
  const micros = block.getUint32(12, true) * 2 ** 32 + block.getUint32(16, true);
  ok(Math.abs(micros / 1000 - Date.now()) < 60_000);
  stream.end();
});
