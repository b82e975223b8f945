/**
 * A peer that lies: about what it has, what it can take, and what time it is. It may slow its own connection down; it must not
 * get more than was sent, stop the clock, or make us send without end.
 *
 * @module
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { SECOND } from "../../../lib/stack/time.ts";
import { pattern, PLAIN, TcpBench } from "../../support/tcp.ts";

const MSS = 1_460;
const SACK = { ...PLAIN, sack: true };
const STAMPED = { ...SACK, timestamps: true };

test("A window that shrinks over what is in flight stops new data, and loses none", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  t.write(20 * MSS);
  strictEqual(t.all().length, 10);
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + MSS, window: MSS });
  deepStrictEqual(t.all(), []);
  const seen = new Set<number>();
  for (let i = 0; i < 8; i++) {
    t.advanceToTimer();
    for (const s of t.all()) if (s.length > 0) seen.add(s.seq);
  }
  ok(seen.size > 0);
  for (const seq of seen) ok(seq >= 1 + MSS && seq < 1 + 2 * MSS, `${seq} is outside of the window`);
  t.inject({ flags: "A", seq: 1, ack: 1 + 2 * MSS, window: 60_000 });
  const received = new Uint8Array(20 * MSS);
  let end = 2 * MSS;
  for (let i = 0; i < 100 && end < 20 * MSS; i++) {
    const out = t.all();
    if (out.length === 0) t.advanceToTimer();
    for (const s of out) {
      received.set(s.data, s.seq - 1);
      if (s.seq - 1 <= end) end = Math.max(end, s.seq - 1 + s.length);
    }
    t.wait(1_000);
    t.inject({ flags: "A", seq: 1, ack: 1 + end, window: 60_000 });
  }
  strictEqual(end, 20 * MSS);
  deepStrictEqual(received.subarray(2 * MSS), pattern(18 * MSS, 2 * MSS));
});

test("A window that closes and opens by a byte a thousand times makes no small segments", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  t.write(20 * MSS);
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS, window: 0 });
  let sent = 0;
  for (let i = 0; i < 1_000; i++) {
    t.wait(10);
    t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS, window: i % 2 });
    sent += t.all().filter((s) => s.length > 0).length;
  }
  strictEqual(sent, 0);
});

test("Acknowledgements before anything could arrive earn a window, but no byte beyond the offered one", () => {
  const t = new TcpBench({ ...SACK, sendBuffer: 4_000_000 }).establish({ sackPermitted: true });
  let acked = 1;
  let furthest = 0;
  for (let i = 0; i < 200; i++) {
    t.write(200_000, 0);
    for (const s of t.all()) acked = Math.max(acked, s.seq + s.length);
    furthest = Math.max(furthest, t.connection.sender.outstanding);
    t.inject({ flags: "A", seq: 1, ack: acked });
  }
  ok(furthest <= 65_535, `${furthest} bytes in flight`);
  ok(t.connection.sender.congestion.cwnd <= 10 * MSS + acked);
});

for (const [what, echo] of [["24 days ago", -0x7fff_0000], ["an hour ago", -3_600_000]] as const) {
  test(`A peer that echoes a timestamp of ${what} slows nobody but itself, and not for ever`, () => {
    const t = new TcpBench(STAMPED).establish({ sackPermitted: true, timestamp: 1 });
    t.write(60 * 1_448);
    let acked = 1;
    let last = 0;
    for (let i = 0; i < 60 && acked < 1 + 60 * 1_448; i++) {
      const out = t.all();
      for (const s of out) {
        acked = Math.max(acked, s.seq + s.length);
        last = s.timestamp ?? last;
      }
      const began = t.now;
      if (out.length === 0) t.advanceToTimer();
      ok(t.now - began <= 121 * SECOND, "a timer beyond all bounds");
      t.inject({ flags: "A", seq: 1, ack: acked, timestamp: 2 + i, timestampEcho: last + echo });
    }
    strictEqual(acked, 1 + 60 * 1_448);
    ok(t.connection.sender.rtt.rto <= 120 * SECOND);
  });
}

test("A peer that echoes the future, or nothing, is measured by our own records", () => {
  const t = new TcpBench(STAMPED).establish({ sackPermitted: true, timestamp: 1 });
  for (const offset of [1_000, 1 << 30, NaN]) {
    t.write(1_448);
    const [s] = t.all();
    const before = t.connection.sender.una;
    t.wait(3_000);
    const timestampEcho = Number.isNaN(offset) ? 0 : s!.timestamp! + offset;
    t.inject({ flags: "A", seq: 1, ack: s!.seq + s!.length, timestamp: 5, timestampEcho });
    ok(t.connection.sender.una !== before);
    strictEqual(t.connection.sender.rtt.latest, 3_000);
  }
});

test("D-SACKs of more than was sent again take nothing back", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  t.write(30 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 5 * MSS]] });
  t.all();
  const { ssthresh } = t.connection.sender.congestion;
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 5 * MSS, sack: [[1, 1 + 5 * MSS]] });
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS, sack: [[1, 1 + 9 * MSS]] });
  strictEqual(t.connection.sender.recovery.undone, 0);
  ok(t.connection.sender.congestion.ssthresh <= ssthresh);
});

test("A thousand SACKs that take turns in two halves of the flight cost no retransmission beyond the flight", () => {
  const t = new TcpBench(SACK).establish({ sackPermitted: true });
  t.write(10 * MSS);
  t.all();
  t.wait(1_000);
  let again = 0;
  for (let i = 0; i < 1_000; i++) {
    const left = 1 + (i % 2 === 0 ? 1 : 6) * MSS;
    t.inject({ flags: "A", seq: 1, ack: 1, sack: [[left, left + 3 * MSS]] });
    again += t.all().filter((s) => s.length > 0).length;
  }
  ok(again <= 10, `${again} segments`);
  ok(t.connection.sender.recovery.board.records.count <= 20);
});
