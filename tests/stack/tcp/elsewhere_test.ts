/** Payload whose bytes are elsewhere: TCP carries it without a look, and whoever does look gets the bytes. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type ByteSource, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import type { TcpConnection } from "../../../lib/stack/tcp/connection.ts";
import type { TcpListener } from "../../../lib/stack/tcp/listener.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { payload } from "../../support/payload.ts";
import { seeded } from "../../support/random.ts";

const LOCAL = IpAddress.parse("127.0.0.1")!;

/** Knows all bytes of a stream, and counts who asks. */
class Store implements ByteSource {
  loads = 0;
  constructor(readonly bytes: Uint8Array) {}

  /** A buffer that stands for `length` bytes at `at`. */
  buffer(at: number, length: number): PacketBuffer {
    const buffer = new PacketBuffer(new Uint8Array(0), 0, length);
    buffer.source = this;
    buffer.sourceAt = at;
    return buffer;
  }

  load(buffer: PacketBuffer): void {
    this.loads++;
    buffer.source = undefined;
    buffer.own(this.bytes.subarray(buffer.sourceAt, buffer.sourceAt + buffer.end), 0);
  }
}

test("TCP carries bytes that are elsewhere, among others, and looks at none", () => {
  const seed = 8;
  const random = seeded(seed);
  const pool = new BufferPool();
  const stack = new Stack({ random, pool });
  const data = payload(2_000_000);
  const store = new Store(data);
  let now = 1_000 as Instant;
  const accepted: TcpConnection[] = [];
  const observer = { onTcpAccept: (listener: TcpListener) => void accepted.push(listener.accept(now)!) };
  stack.tcpListen({ address: LOCAL, port: 80, observer }, now);
  const sender = stack.tcpConnect({ remoteAddress: LOCAL, remotePort: 80 }, now) as TcpConnection;
  const turn = () => stack.poll(now = now + 1_000 as Instant);
  for (let i = 0; i < 5; i++) turn();
  const [receiver] = accepted;
  sender.setNoDelay(true, now);

  const received = new Uint8Array(data.length);
  let at = 0, got = 0, unseen = 0;
  const sizes = [1, 15, 544, 1_999, 2_048, 30_000, 65_468];
  for (let round = 0; got < data.length; round++) {
    strictEqual(round < 5_000, true, `the stream ends (seed ${seed})`);
    for (let writes = 0; writes < 8 && at < data.length && sender.sendSpace > 0; writes++) {
      const length = Math.min(sizes[(random() >>> 8) % sizes.length]!, data.length - at);
      if ((random() & 0x100) !== 0) sender.write(store.buffer(at, length), now);
      else {
        const buffer = pool.take(length);
        buffer.bytes.set(data.subarray(at, at + length), buffer.start);
        buffer.end += length;
        sender.write(buffer, now);
      }
      at += length;
      // Segments of a few small pieces leave, and none is lost for want of room.
      if ((random() & 0x600) === 0) break;
    }
    for (let i = 0; i < 3; i++) turn();
    unseen = store.loads;
    const { receiveQueue } = receiver!;
    // Nobody looked until now; what is read here is looked at.
    for (let i = 0; i < receiveQueue.count; i++) {
      const { buffer, start, end } = receiveQueue.at(i);
      if (buffer.source === undefined) received.set(buffer.bytes.subarray(start, end), got);
      else received.set(data.subarray(buffer.sourceAt + start, buffer.sourceAt + end), got);
      got += end - start;
    }
    receiver!.consume(receiveQueue.length, now);
  }
  strictEqual(unseen, 0, `bytes were looked at (seed ${seed})`);
  deepStrictEqual(received, data);
  // A full segment of the loopback is as long as IPv4 can say, and not a byte longer.
  strictEqual(stack.snapshot().counters["ipv4.bad-length"] ?? 0, 0);
  strictEqual(stack.snapshot().counters["tcp.retransmits"] ?? 0, 0);
});

test("a copy of a packet has the bytes that were elsewhere", () => {
  const store = new Store(payload(1_000));
  const packet = new PacketBuffer(new Uint8Array([1, 2]));
  packet.attach(store.buffer(0, 1_000), 10, 20);
  deepStrictEqual(packet.toBytes(), new Uint8Array([1, 2, ...store.bytes.subarray(10, 20)]));
  strictEqual(store.loads, 1);
});
