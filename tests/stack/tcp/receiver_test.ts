/**
 * Receiving: windows, acknowledgements, reassembly, what must be dropped. RFC 9293, 1122, 2018, 2883, 5961, 7323.
 *
 * @module
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { TcpEvent } from "../../../lib/stack/tcp/events.ts";
import { piecesWithin } from "../../../lib/stack/tcp/reassembly.ts";
import { pattern, PLAIN, seeded, TcpBench } from "../../support/tcp.ts";

const SACK = { ...PLAIN, sack: true };

/** Past the quick acknowledgements of a young connection. */
function mature(t: TcpBench): number {
  let seq = 1;
  for (let i = 0; i < 20; i++) {
    t.inject({ flags: "A", seq, ack: 1, data: 1_000 });
    seq += 1_000;
    t.all();
    t.advance(50_000);
    t.all();
  }
  t.read();
  t.all();
  return seq;
}

test("TcpConnection acknowledges at once while it is young", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "PA", seq: 1, ack: 1, data: 10 });
  deepStrictEqual(t.brief(), ["A 1:1 11"]);
  t.poll();
  deepStrictEqual(t.events, [TcpEvent.readable]);
  deepStrictEqual(t.read(), pattern(10));
});

test("TcpConnection delays an acknowledgement by 40 ms, for one segment", () => {
  const t = new TcpBench().establish();
  const seq = mature(t);
  t.inject({ flags: "PA", seq, ack: 1, data: 10 });
  deepStrictEqual(t.brief(), []);
  strictEqual(t.advanceToTimer(), 40_000);
  deepStrictEqual(t.brief(), [`A 1:1 ${seq + 10}`]);
});

test("TcpConnection acknowledges the second full-sized segment at once", () => {
  const t = new TcpBench().establish();
  const seq = mature(t);
  t.inject({ flags: "A", seq, ack: 1, data: 1_460 });
  deepStrictEqual(t.brief(), []);
  t.inject({ flags: "A", seq: seq + 1_460, ack: 1, data: 1_460 });
  deepStrictEqual(t.brief(), [`A 1:1 ${seq + 2_920}`]);
});

test("TcpConnection puts an acknowledgement on data that leaves", () => {
  const t = new TcpBench().establish();
  const seq = mature(t);
  t.inject({ flags: "PA", seq, ack: 1, data: 10 });
  t.write(5);
  deepStrictEqual(t.brief(), [`PA 1:6 ${seq + 10}`]);
  t.advance(50_000);
  deepStrictEqual(t.brief(), []);
});

test("TcpConnection never moves the right edge of its window to the left", () => {
  const t = new TcpBench({ ...PLAIN, receiveBuffer: 20_000, receiveBufferMax: 20_000 }).establish();
  let seq = 1;
  let edge = 0;
  const random = seeded(5);
  for (let i = 0; i < 400; i++) {
    const size = 1 + random() % 1_460;
    if (seq + size <= edge || edge === 0) {
      t.inject({ flags: "A", seq, ack: 1, data: size });
      seq += size;
    } else t.connection.consume(Math.min(t.connection.receiveQueue.length, random() % 6_000), t.now);
    for (const s of t.all()) {
      ok(s.ack + s.window >= edge, `the edge moved from ${edge} to ${s.ack + s.window}`);
      edge = s.ack + s.window;
    }
    t.advance(1_000);
  }
  ok(seq > 20_000);
});

test("TcpConnection closes its window, and opens it by a full segment or not at all", () => {
  const t = new TcpBench({ ...PLAIN, receiveBuffer: 10_000, receiveBufferMax: 10_000 }).establish();
  let seq = 1;
  while (seq < 10_001) {
    const size = Math.min(1_000, 10_001 - seq);
    t.inject({ flags: "A", seq, ack: 1, data: size });
    seq += size;
  }
  strictEqual(t.all().at(-1)!.window, 0);
  t.connection.consume(100, t.now);
  deepStrictEqual(t.brief(), [], "a silly window");
  t.inject({ flags: "A", seq, ack: 1, data: 1 });
  const probe = t.next()!;
  deepStrictEqual([probe.ack, probe.window], [10_001, 0], "a probe is answered, its byte is not taken");
  t.connection.consume(4_900, t.now);
  strictEqual(t.next()!.window, 5_000);
});

test("TcpConnection grows its receive buffer with the rate of its reader", () => {
  const t = new TcpBench({ ...PLAIN, windowScale: true, receiveBuffer: 65_536, receiveBufferMax: 1_000_000 })
    .establish({ windowScale: 7 });
  let seq = 1;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 40; i++) {
      t.inject({ flags: "A", seq, ack: 1, data: 1_460 });
      seq += 1_460;
      t.read();
    }
    t.all();
    t.wait(2_000);
  }
  ok(t.connection.receiver.buffer.capacity > 100_000);
  ok(t.connection.receiver.buffer.capacity <= 1_000_000);
});

test("TcpConnection puts segments in order, whatever overlaps", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seeded(seed);
    const t = new TcpBench(seed % 2 === 0 ? SACK : PLAIN).establish({ sackPermitted: true });
    const total = 20_000;
    for (let i = 0; i < 300; i++) {
      const from = random() % total;
      const size = Math.min(1 + random() % 1_400, total - from);
      t.inject({ flags: "A", seq: 1 + from, ack: 1, data: size });
    }
    for (let from = 0; from < total; from += 1_000) {
      t.inject({ flags: "A", seq: 1 + from, ack: 1, data: 1_000 });
    }
    deepStrictEqual(t.read(), pattern(total), `seed ${seed}`);
    strictEqual(t.connection.receiver.outOfOrder, 0, `seed ${seed}`);
    t.all();
  }
});

test("TcpConnection reports what is out of order, the newest block first", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  t.inject({ flags: "A", seq: 101, ack: 1, data: 100 });
  deepStrictEqual(t.next()!.sack, [[101, 201]]);
  t.inject({ flags: "A", seq: 301, ack: 1, data: 100 });
  deepStrictEqual(t.next()!.sack, [[301, 401], [101, 201]]);
  t.inject({ flags: "A", seq: 201, ack: 1, data: 100 });
  deepStrictEqual(t.next()!.sack, [[101, 401]]);
  t.inject({ flags: "A", seq: 1, ack: 1, data: 100 });
  const last = t.next()!;
  deepStrictEqual([last.ack, last.sack], [401, []]);
});

test("TcpConnection reports duplicates by D-SACK, once", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  t.inject({ flags: "A", seq: 1, ack: 1, data: 100 });
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 1, data: 100 });
  deepStrictEqual(t.next()!.sack, [[1, 101]]);
  t.inject({ flags: "A", seq: 201, ack: 1, data: 100 });
  deepStrictEqual(t.next()!.sack, [[201, 301]]);
  t.inject({ flags: "A", seq: 201, ack: 1, data: 100 });
  deepStrictEqual(t.next()!.sack, [[201, 301], [201, 301]]);
});

test("TcpConnection reports every duplicate of old payload, however many come", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  for (let i = 0; i < 9; i++) t.inject({ flags: "A", seq: 1 + i * 100, ack: 1, data: 100 });
  t.all();
  for (let i = 0; i < 9; i++) {
    t.inject({ flags: "A", seq: 1 + i * 100, ack: 1, data: 100 });
    deepStrictEqual(t.next()!.sack, [[1 + i * 100, 101 + i * 100]]);
  }
});

test("TcpConnection owes one duplicate acknowledgement per early segment to a peer without SACK", () => {
  const t = new TcpBench().establish();
  for (let i = 1; i <= 3; i++) t.inject({ flags: "A", seq: 1 + i * 100, ack: 1, data: 100 });
  deepStrictEqual(t.brief(), ["A 1:1 1", "A 1:1 1", "A 1:1 1"]);
});

test("TcpConnection bounds what a flood of one-byte segments costs, in order", () => {
  const t = new TcpBench().establish();
  for (let i = 0; i < 30_000; i++) {
    t.inject({ flags: "A", seq: 1 + i, ack: 1, data: 1 });
    t.all();
  }
  strictEqual(t.connection.receiveQueue.length, 30_000);
  ok(t.connection.receiveQueue.count < 30, `${t.connection.receiveQueue.count} chunks`);
  deepStrictEqual(t.read(), pattern(30_000));
});

test("TcpConnection bounds what a flood of one-byte segments costs, every second one missing", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  const limit = piecesWithin(t.connection.receiver.buffer.capacity);
  const pieces = limit + 500;
  for (let i = 0; i < pieces; i++) {
    t.inject({ flags: "A", seq: 2 + 2 * i, ack: 1, data: 1 });
    t.all();
  }
  strictEqual(limit, 256);
  strictEqual(t.connection.receiver.outOfOrder, limit);
  strictEqual(t.count("out-of-order-full"), 500);
  // The lowest go on being taken: the one furthest ahead makes room.
  for (let i = 0; i < 2 * pieces; i++) t.inject({ flags: "A", seq: 1 + i, ack: 1, data: 1 });
  ok(t.connection.receiveQueue.count < 10, `${t.connection.receiveQueue.count} chunks`);
  deepStrictEqual(t.read(), pattern(2 * pieces));
});

test("TcpConnection answers segments out of its window twice a second, not more", () => {
  const t = new TcpBench().establish();
  for (let i = 0; i < 50; i++) t.inject({ flags: "A", seq: 1_000_000, ack: 1, data: 1 });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
  t.wait(500_000);
  t.inject({ flags: "A", seq: -5_000, ack: 1, data: 1 });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
  strictEqual(t.connection.receiveQueue.length, 0);
});

test("TcpConnection answers a keep-alive probe", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "A", seq: 0, ack: 1 });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
});

test("TcpConnection drops what has no ACK, and takes urgent data as data", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "P", seq: 1, data: 10 });
  strictEqual(t.connection.receiveQueue.length, 0);
  t.inject({ flags: "PAU", seq: 1, ack: 1, data: 10 });
  deepStrictEqual(t.read(), pattern(10));
});

test("TcpConnection drops segments with old timestamps, but not a RST (PAWS)", () => {
  const t = new TcpBench({ ...PLAIN, timestamps: true }).establish({ timestamp: 1_000 });
  t.inject({ flags: "A", seq: 1, ack: 1, data: 10, timestamp: 1_010 });
  t.all();
  t.inject({ flags: "A", seq: 11, ack: 1, data: 10, timestamp: 500 });
  strictEqual(t.count("paws"), 1);
  strictEqual(t.connection.receiveQueue.length, 10);
  deepStrictEqual(t.brief(), ["A 1:1 11"]);
  t.inject({ flags: "R", seq: 11, timestamp: 500 });
  strictEqual(t.connection.error, "reset");
});

test("TcpConnection forgets the peer's timestamp after 24 days", () => {
  const t = new TcpBench({ ...PLAIN, timestamps: true }).establish({ timestamp: 1_000 });
  t.advance(25 * 24 * 3_600 * 1e6);
  t.inject({ flags: "A", seq: 1, ack: 1, data: 10, timestamp: 500 });
  strictEqual(t.connection.receiveQueue.length, 10);
});

test("TcpConnection echoes the timestamp of the segment that it acknowledges", () => {
  const t = new TcpBench({ ...PLAIN, timestamps: true }).establish({ timestamp: 1_000 });
  t.inject({ flags: "A", seq: 11, ack: 1, data: 10, timestamp: 1_020 });
  strictEqual(
    t.next()!.timestampEcho,
    1_000,
    "RFC 7323 section 4.3 (A): the one that advanced the left edge",
  );
  t.inject({ flags: "A", seq: 1, ack: 1, data: 10, timestamp: 1_030 });
  strictEqual(t.next()!.timestampEcho, 1_030);
});

test("TcpConnection echoes congestion until the peer has reduced its window", () => {
  const t = new TcpBench({ ...PLAIN, ecn: "request" }).establish({ flags: "SAE" });
  t.inject({ flags: "A", seq: 1, ack: 1, data: 10, ce: true });
  strictEqual(t.next()!.flags, "AE");
  t.inject({ flags: "A", seq: 11, ack: 1, data: 10 });
  strictEqual(t.next()!.flags, "AE");
  t.inject({ flags: "AC", seq: 21, ack: 1, data: 10 });
  strictEqual(t.next()!.flags, "A");
});

test("TcpConnection holds large segments by reference, and copies small ones", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "A", seq: 1, ack: 1, data: 1_400 });
  const large = t.connection.receiveQueue.at(0).buffer;
  ok(large.bytes.length < 2_000);
  t.inject({ flags: "A", seq: 1_401, ack: 1, data: 10 });
  t.inject({ flags: "A", seq: 1_411, ack: 1, data: 10 });
  strictEqual(t.connection.receiveQueue.count, 2);
  deepStrictEqual(t.read(), pattern(1_420));
});
