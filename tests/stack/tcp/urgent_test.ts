/** The urgent pointer: RFC 9293 section 3.8.5, and what Linux makes of it. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { pattern, PLAIN, type Segment, TcpBench } from "../../support/tcp.ts";

/** Flags, bytes and pointer of a segment. */
function brief(segments: readonly Segment[]): string[] {
  return segments.map((s) => `${s.flags} ${s.seq}:${s.seq + s.length} urg ${s.urgentPointer}`);
}

test("TcpConnection points behind the urgent octet until it is acknowledged", () => {
  const t = new TcpBench().establish();
  t.write(10);
  t.connection.markUrgent(t.now);
  t.write(5);
  deepStrictEqual(brief(t.all()), ["PAU 1:16 urg 10"]);
  t.inject({ flags: "A", seq: 1, ack: 1 + 9 });
  t.write(1);
  deepStrictEqual(brief(t.all()), ["PA 16:17 urg 0"], "behind the mark");
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 });
  t.write(1);
  deepStrictEqual(t.all(), [], "Nagle's algorithm is back");
});

test("TcpConnection repeats the pointer with a segment that is sent again", () => {
  const t = new TcpBench().establish();
  t.write(3);
  t.connection.markUrgent(t.now);
  t.all();
  t.advanceToTimer();
  deepStrictEqual(brief(t.all())[0], "PAU 1:4 urg 3");
});

test("TcpConnection sends segments of their size before the mark, and no super-segments", () => {
  const t = new TcpBench(PLAIN, {}, { mtu: 1_500, gsoMaxSize: 65_535 }).establish();
  t.write(4_000);
  t.connection.markUrgent(t.now);
  const segments = t.all();
  deepStrictEqual(brief(segments), ["AU 1:1461 urg 4000", "AU 1461:2921 urg 2540", "PAU 2921:4001 urg 1080"]);
  deepStrictEqual(segments.map((s) => s.gsoSize), [0, 0, 0]);
});

test("TcpConnection does not hold urgent data back for Nagle's sake, nor for a cork's", () => {
  const t = new TcpBench({ ...PLAIN, cork: true }).establish();
  t.write(1);
  deepStrictEqual(t.all(), []);
  t.connection.markUrgent(t.now);
  deepStrictEqual(brief(t.all()), ["PAU 1:2 urg 1"]);
});

test("TcpConnection announces a mark with window probes, and none that is too far to be said", () => {
  const t = new TcpBench().establish({ window: 0 });
  t.inject({ flags: "A", seq: 1, ack: 1, window: 0 });
  t.write(7);
  t.connection.markUrgent(t.now);
  deepStrictEqual(t.all(), []);
  t.advanceToTimer();
  deepStrictEqual(brief(t.all()), ["AU 0:0 urg 8"]);

  const far = new TcpBench({ ...PLAIN, sendBuffer: 200_000, sendBufferMax: 200_000 }).establish();
  far.write(100_000);
  far.connection.markUrgent(far.now);
  // Linux: 0xFFFF, as long as that is beyond what has been sent.
  deepStrictEqual(brief(far.all())[0], "AU 1:1461 urg 65535");
});

test("TcpConnection without anything written has nothing to mark", () => {
  const t = new TcpBench().establish();
  t.connection.markUrgent(t.now);
  deepStrictEqual(t.all(), []);
});

test("TcpConnection tells where the peer's urgent octet is", () => {
  const t = new TcpBench().establish();
  strictEqual(t.connection.urgentMark, -1);
  t.inject({ flags: "PAU", seq: 1, ack: 1, data: 10, urgentPointer: 4 });
  strictEqual(t.connection.urgentMark, 3);
  t.connection.consume(2, t.now);
  strictEqual(t.connection.urgentMark, 1);
  t.connection.consume(1, t.now);
  strictEqual(t.connection.urgentMark, 0);
  t.connection.consume(1, t.now);
  strictEqual(t.connection.urgentMark, -1);
  deepStrictEqual(t.read(), pattern(10).slice(4));
});

test("TcpConnection waits for an urgent octet that was announced", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "AU", seq: 1, ack: 1, data: 5, urgentPointer: 9 });
  strictEqual(t.connection.urgentMark, -1);
  t.connection.consume(5, t.now);
  t.inject({ flags: "A", seq: 6, ack: 1, data: 10 });
  strictEqual(t.connection.urgentMark, 3);
  // A FIN counts as an octet of the stream, but is none.
  t.inject({ flags: "FA", seq: 16, ack: 1 });
  strictEqual(t.connection.urgentMark, 3);
});

test("TcpConnection has one mark, the one furthest ahead", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "AU", seq: 1, ack: 1, data: 5, urgentPointer: 5 });
  t.inject({ flags: "AU", seq: 6, ack: 1, data: 5, urgentPointer: 5 });
  strictEqual(t.connection.urgentMark, 9);
  t.inject({ flags: "AU", seq: 11, ack: 1, data: 5, urgentPointer: 0 });
  strictEqual(t.connection.urgentMark, 10, "a pointer of 0 is one of 1, to Linux");
  t.read();
  // An old segment once more.
  t.inject({ flags: "AU", seq: 6, ack: 1, data: 15, urgentPointer: 5 });
  strictEqual(t.connection.urgentMark, -1);
  deepStrictEqual(t.read().length, 5);
});

test("TcpConnection puts the mark where it belongs when segments come out of order", () => {
  const t = new TcpBench({ ...PLAIN, sack: true }).establish({ sackPermitted: true });
  t.inject({ flags: "AU", seq: 11, ack: 1, data: 10, urgentPointer: 2 });
  strictEqual(t.connection.urgentMark, -1);
  t.inject({ flags: "A", seq: 1, ack: 1, data: 10 });
  strictEqual(t.connection.urgentMark, 11);
});
