/**
 * What was needless is taken back, and what was not is not: D-SACK (RFC 2883, 3708), Eifel (RFC 3522).
 *
 * @module
 */

import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { PLAIN, TcpBench } from "../../support/tcp.ts";

const SACK = { ...PLAIN, sack: true };
const MSS = 1_460;

function sacked(): TcpBench {
  return new TcpBench(SACK).establish({ sackPermitted: true });
}

test("TcpConnection takes a reduction back when D-SACK says that nothing was lost", () => {
  const t = sacked();
  t.write(10 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 5 * MSS]] });
  strictEqual(t.all().length > 0, true);
  t.wait(100);
  t.inject({ flags: "A", seq: 1, ack: 1 + 5 * MSS }); // the original was late
  t.wait(900);
  t.inject({ flags: "A", seq: 1, ack: 1 + 5 * MSS, sack: [[1, 1 + MSS]] });
  t.inject({ flags: "A", seq: 1, ack: 1 + 6 * MSS });
  strictEqual(t.connection.sender.spurious, 1);
  ok(t.connection.sender.congestion.cwnd >= 10 * MSS);
});

test("TcpConnection takes a reduction back when D-SACK comes after recovery is over", () => {
  const t = sacked();
  t.write(20 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 5 * MSS]] });
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS }); // the copy was first
  strictEqual(t.connection.sender.recovery.state, "open");
  ok(t.connection.sender.congestion.cwnd < 10 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS, sack: [[1, 1 + MSS]] });
  strictEqual(t.connection.sender.recovery.undone, 1);
  ok(t.connection.sender.congestion.cwnd >= 10 * MSS);
  ok(t.connection.sender.recovery.rack.reorderingSeen, "and is more patient from now on");
});

test("TcpConnection takes a reduction back when nothing is in flight any more", () => {
  const t = sacked();
  t.write(10 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 5 * MSS]] });
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS });
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS, sack: [[1, 1 + MSS]] });
  strictEqual(t.connection.sender.recovery.undone, 1);
  ok(t.connection.sender.congestion.cwnd >= 10 * MSS);
});

test("TcpConnection does not take a reduction back for what the network made two of", () => {
  const t = sacked();
  t.write(10 * MSS);
  t.all();
  t.wait(1_000);
  // Two segments in two copies each: more than was ever sent again.
  t.inject({ flags: "A", seq: 1, ack: 1 + MSS, sack: [[1, 1 + MSS]] });
  t.inject({ flags: "A", seq: 1, ack: 1 + 2 * MSS, sack: [[1 + MSS, 1 + 2 * MSS]] });
  t.inject({ flags: "A", seq: 1, ack: 1 + 2 * MSS, sack: [[1 + 3 * MSS, 1 + 7 * MSS]] });
  strictEqual(t.all().length > 0, true);
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 7 * MSS, sack: [[1 + 4 * MSS, 1 + 5 * MSS]] });
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS });
  strictEqual(t.connection.sender.recovery.undone, 0);
});

test("TcpConnection does not believe one late original among many holes", () => {
  const t = new TcpBench({ ...SACK, timestamps: true }).establish({ sackPermitted: true, timestamp: 1 });
  const mss = 1_448;
  t.write(10 * mss);
  const first = t.all();
  t.wait(5_000);
  const echo = { timestamp: 2, timestampEcho: first[0]!.timestamp! };
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + 3 * mss, 1 + 9 * mss]], ...echo });
  strictEqual(t.all().filter((s) => s.length > 0).length >= 2, true);
  t.wait(100);
  // The first one was only late; what was sent again of the others is still on its way.
  t.inject({ flags: "A", seq: 1, ack: 1 + mss, sack: [[1 + 3 * mss, 1 + 9 * mss]], ...echo });
  strictEqual(t.connection.sender.recovery.undone, 0);
  strictEqual(t.connection.sender.recovery.state, "recovery");
});

test("TcpConnection takes a time-out back when the peer echoes a time before it (Eifel)", () => {
  const t = new TcpBench({ ...SACK, timestamps: true }).establish({ sackPermitted: true, timestamp: 1 });
  t.write(5 * 1_448);
  const first = t.all();
  t.advance(300_000);
  t.all();
  t.advance(300_000);
  t.all();
  ok(t.count("timeouts") > 0);
  t.inject({ flags: "A", seq: 1, ack: 1 + 5 * 1_448, timestamp: 2, timestampEcho: first[0]!.timestamp! });
  strictEqual(t.connection.sender.spurious, 1);
  strictEqual(t.connection.sender.recovery.state, "open");
});
