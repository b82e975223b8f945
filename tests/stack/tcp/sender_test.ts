/**
 * Sending: windows, Nagle, probes, retransmission, loss recovery. RFC 9293, 1122, 6298, 6675, 8985, 6582, 2883, 3168.
 *
 * @module
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { TcpEvent } from "../../../lib/stack/tcp/events.ts";
import { MAX_RECORDS, Sender } from "../../../lib/stack/tcp/sender.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { pattern, PLAIN, TcpBench } from "../../support/tcp.ts";

const SACK = { ...PLAIN, sack: true };
const MSS = 1_460;

function sacked(): TcpBench {
  return new TcpBench(SACK).establish({ sackPermitted: true });
}

test("TcpConnection sends what was written, in segments, the last one pushed", () => {
  const t = new TcpBench().establish();
  strictEqual(t.write(3_000), 3_000);
  const out = t.all();
  deepStrictEqual(out.map((s) => [s.flags, s.seq, s.length]), [["A", 1, MSS], ["A", 1_461, MSS], [
    "PA",
    2_921,
    80,
  ]]);
  deepStrictEqual(out[2]!.data, pattern(80, 2_920));
});

test("TcpConnection sends super-segments where somebody cuts them", () => {
  const t = new TcpBench(PLAIN, {}, { mtu: 1_500, gsoMaxSize: 65_536 }).establish();
  t.write(14_000);
  const out = t.all();
  deepStrictEqual(out.map((s) => [s.length, s.gsoSize]), [[14_000, MSS]]);
});

test("TcpConnection sends no packet longer than IP can say, though the loopback's MTU is", () => {
  const t = new TcpBench({ ...PLAIN, windowScale: true }, {}, { mtu: 65_536, gsoMaxSize: 65_536 });
  t.establish({ mss: 65_496, windowScale: 7 });
  t.write(200_000);
  const out = t.all();
  strictEqual(out[0]!.length, 65_535 - 40);
  ok(out.every((s) => s.length <= 65_495));
});

test("TcpConnection obeys the initial window (RFC 6928) and doubles it per round trip", () => {
  const t = new TcpBench().establish();
  t.write(100_000);
  strictEqual(t.all().length, 10);
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS });
  strictEqual(t.all().length, 20);
});

test("TcpConnection doubles its window as well when a round trip is acknowledged in one batch", () => {
  const t = sacked();
  t.write(100 * MSS);
  strictEqual(t.all().length, 10);
  for (let i = 1; i <= 10; i++) t.inject({ flags: "A", seq: 1, ack: 1 + i * MSS });
  strictEqual(t.all().length, 20);
  for (let i = 1; i <= 20; i++) t.inject({ flags: "A", seq: 1, ack: 1 + (10 + i) * MSS });
  strictEqual(t.connection.sender.congestion.cwnd, 40 * MSS);
});

test("TcpConnection does not let its window grow for a sender that has little to say", () => {
  const t = sacked();
  for (let i = 0; i < 50; i++) {
    t.write(MSS);
    t.all();
    t.inject({ flags: "A", seq: 1, ack: 1 + (i + 1) * MSS });
  }
  strictEqual(t.connection.sender.congestion.cwnd, 10 * MSS);
});

test("TcpConnection never sends beyond the peer's window", () => {
  const t = new TcpBench().establish({ window: 4_000 });
  t.write(10_000);
  const out = t.all();
  strictEqual(out.at(-1)!.seq + out.at(-1)!.length, 1 + 2 * MSS);
  t.inject({ flags: "A", seq: 1, ack: 1 + 2 * MSS, window: 3_000 });
  strictEqual(t.all().reduce((n, s) => n + s.length, 0), 2 * MSS);
});

test("TcpConnection avoids silly windows: half of the largest, or a full segment", () => {
  const t = new TcpBench().establish({ window: 2_000 });
  t.write(6_000);
  deepStrictEqual(t.brief(), ["A 1:1461 1"]);
  t.inject({ flags: "A", seq: 1, ack: 1_461, window: 500 });
  deepStrictEqual(t.brief(), []);
  strictEqual(t.advanceToTimer(), 200_000);
  deepStrictEqual(t.brief(), ["A 1461:1961 1"], "the override time-out");
});

test("TcpConnection talks to a peer whose windows are tiny for ever", () => {
  const t = new TcpBench().establish({ window: 3 });
  t.write(10);
  let ack = 1;
  for (let i = 0; i < 20 && ack < 11; i++) {
    for (const s of t.all()) if (s.length > 0) ack = s.seq + s.length;
    t.inject({ flags: "A", seq: 1, ack, window: 3 });
  }
  strictEqual(ack, 11);
});

test("TcpConnection holds a small segment while another is in flight (Nagle), unless told not to", () => {
  const t = new TcpBench().establish();
  t.write(10);
  deepStrictEqual(t.brief(), ["PA 1:11 1"]);
  t.write(10, 10);
  deepStrictEqual(t.brief(), []);
  t.inject({ flags: "A", seq: 1, ack: 11 });
  deepStrictEqual(t.brief(), ["PA 11:21 1"]);
  t.connection.setNoDelay(true, t.now);
  t.write(10, 20);
  t.write(10, 30);
  deepStrictEqual(t.brief(), ["PA 21:41 1"]);
});

test("TcpConnection sends the small end of a large write at once (Minshall)", () => {
  const t = new TcpBench().establish();
  t.write(MSS + 10);
  deepStrictEqual(t.brief(), ["A 1:1461 1", "PA 1461:1471 1"]);
});

test("TcpConnection holds partial segments while corked, for 200 ms", () => {
  const t = new TcpBench({ ...PLAIN, cork: true }).establish();
  t.write(100);
  deepStrictEqual(t.brief(), []);
  strictEqual(t.advanceToTimer(), 200_000);
  deepStrictEqual(t.brief(), ["PA 1:101 1"]);
  t.inject({ flags: "A", seq: 1, ack: 101 });
  t.write(100, 100);
  deepStrictEqual(t.brief(), []);
  t.connection.setCork(false, t.now);
  deepStrictEqual(t.brief(), ["PA 101:201 1"]);
});

test("TcpConnection probes a closed window for ever, with back-off, and goes on when it opens", () => {
  const t = new TcpBench().establish({ window: 0 });
  t.write(1_000);
  deepStrictEqual(t.brief(), []);
  const waits: number[] = [];
  for (let i = 0; i < 20; i++) {
    waits.push(Math.round(t.advanceToTimer() / 1e5) / 10);
    deepStrictEqual(t.brief(), ["A 0:0 1"]);
    t.inject({ flags: "A", seq: 1, ack: 1, window: 0 });
  }
  deepStrictEqual(waits.slice(0, 4), [0.2, 0.4, 0.8, 1.6]);
  strictEqual(Math.max(...waits), 120);
  strictEqual(t.connection.state, "established");
  t.inject({ flags: "A", seq: 1, ack: 1, window: 8_000 });
  deepStrictEqual(t.brief(), ["PA 1:1001 1"]);
});

test("TcpConnection repeats after its time-out, doubles it, and ends after the last retry", () => {
  const t = new TcpBench({ ...PLAIN, retries: 4 }).establish();
  t.write(100);
  t.all();
  const waits: number[] = [];
  for (let i = 0; i < 4; i++) {
    waits.push(t.advanceToTimer());
    deepStrictEqual(t.brief(), ["PA 1:101 1"]);
  }
  deepStrictEqual(waits.slice(1).map((w, i) => w / waits[i]!), [2, 2, 2]);
  ok(waits[0]! >= 200_000 && waits[0]! < 210_000);
  t.advanceToTimer();
  strictEqual(t.connection.error, "timed-out");
});

test("TcpConnection takes no sample from what left twice (Karn)", () => {
  const t = new TcpBench().establish();
  const before = t.connection.sender.rtt.srtt;
  t.write(100);
  t.all();
  t.advanceToTimer();
  t.all();
  t.wait(5_000_000);
  t.inject({ flags: "A", seq: 1, ack: 101 });
  strictEqual(t.connection.sender.rtt.srtt, before);
});

test("TcpConnection ends when data is not acknowledged within the user time-out (RFC 5482)", () => {
  const t = new TcpBench({ ...PLAIN, userTimeout: 3e6 }).establish();
  t.write(100);
  t.all();
  for (let i = 0; i < 20 && t.connection.state === "established"; i++) {
    t.advanceToTimer();
    t.all();
  }
  strictEqual(t.connection.error, "timed-out");
  strictEqual(t.now - 1_001_000, 3e6);
});

test("TcpConnection sends keep-alive probes, and ends when none is answered", () => {
  const t = new TcpBench().establish();
  t.connection.setKeepAlive(true, t.now, 10e6, 1e6, 3);
  t.advance(9_999_999);
  deepStrictEqual(t.brief(), []);
  t.advance(1);
  deepStrictEqual(t.brief(), ["A 0:0 1"]);
  t.inject({ flags: "A", seq: 1, ack: 1 });
  t.advance(9e6);
  deepStrictEqual(t.brief(), []);
  for (let i = 0; i < 3; i++) {
    t.advance(1e6);
    deepStrictEqual(t.brief(), ["A 0:0 1"]);
  }
  t.advance(1e6);
  strictEqual(t.connection.error, "timed-out");
  strictEqual(t.count("keep-alive-timeout"), 1);
});

test("TcpConnection answers an acknowledgement of what was never sent, and believes nothing of it", () => {
  const t = new TcpBench().establish();
  t.write(1_000);
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 5_000 });
  deepStrictEqual(t.brief(), ["A 1001:1001 1"]);
  strictEqual(t.count("ack-unsent"), 1);
  strictEqual(t.connection.sendQueued, 1_000);
  t.inject({ flags: "PA", seq: 1, ack: 5_000, data: 10 });
  strictEqual(t.connection.receiveQueue.length, 0);
});

test("TcpConnection challenges acknowledgements older than any window (RFC 5961)", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "PA", seq: 1, ack: -100_000, data: 10 });
  strictEqual(t.count("ack-too-old"), 1);
  strictEqual(t.connection.receiveQueue.length, 0);
});

test("TcpConnection does not grow its window for acknowledgements cut in pieces", () => {
  const t = new TcpBench().establish();
  t.write(100_000);
  t.all();
  const before = t.connection.sender.congestion.cwnd;
  for (let i = 1; i <= MSS; i += 10) t.inject({ flags: "A", seq: 1, ack: 1 + i });
  ok(t.connection.sender.congestion.cwnd - before <= MSS, "byte counting: RFC 3465");
});

test("TcpConnection repeats the first segment after three duplicates, and the next one per partial acknowledgement", () => {
  const t = new TcpBench().establish();
  t.write(10 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 });
  t.inject({ flags: "A", seq: 1, ack: 1 });
  deepStrictEqual(t.brief(), []);
  t.inject({ flags: "A", seq: 1, ack: 1 });
  deepStrictEqual(t.brief(), [`A 1:${1 + MSS} 1`]);
  t.inject({ flags: "A", seq: 1, ack: 1 + 4 * MSS });
  strictEqual(t.next()!.seq, 1 + 4 * MSS);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS });
  strictEqual(t.connection.sender.recovery.state, "open");
  strictEqual(t.connection.sender.congestion.cwnd, 5 * MSS);
});

test("TcpConnection repeats exactly the hole that SACK shows", () => {
  const t = sacked();
  t.write(10 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 2 * MSS, sack: [[1 + 3 * MSS, 1 + 6 * MSS]] });
  deepStrictEqual(t.brief(), [`A ${1 + 2 * MSS}:${1 + 3 * MSS} 1`]);
  strictEqual(t.connection.sender.recovery.state, "recovery");
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS });
  strictEqual(t.connection.sender.recovery.state, "open");
  strictEqual(t.connection.sender.retransmits, 1);
});

test("TcpConnection cuts super-segments at segment boundaries where SACK shows holes", () => {
  const t = new TcpBench(SACK, {}, { mtu: 1_500, gsoMaxSize: 65_536 }).establish({ sackPermitted: true });
  t.write(10 * MSS);
  strictEqual(t.all().length, 1);
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 4 * MSS], [1 + 5 * MSS, 1 + 8 * MSS]] });
  const again = t.all().filter((s) => s.seq < 1 + 8 * MSS).map((s) => [s.seq, s.length]);
  deepStrictEqual(again, [[1, MSS], [1 + 4 * MSS, MSS]]);
});

test("RACK waits a quarter of a round trip before it blames a loss", () => {
  const t = sacked();
  t.write(2 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 2 * MSS]] });
  deepStrictEqual(t.brief(), []);
  strictEqual(t.advanceToTimer(), 250);
  deepStrictEqual(t.brief(), [`A 1:${1 + MSS} 1`]);
});

test("RACK finds that a retransmission was lost", () => {
  const t = sacked();
  t.write(8 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 4 * MSS]] });
  strictEqual(t.all()[0]!.seq, 1);
  t.wait(500);
  t.write(4 * MSS, 8 * MSS);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 8 * MSS]] });
  const fresh = t.all();
  ok(fresh.length > 0 && fresh.every((s) => s.seq > 8 * MSS));
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 8 * MSS + fresh[0]!.length]] });
  strictEqual(t.all()[0]!.seq, 1, "something sent after it has arrived");
});

test("a tail loss probe repeats the last segment after two round trips, and the loss is paid for", () => {
  const t = sacked();
  t.write(3 * MSS);
  t.all();
  const wait = t.advanceToTimer();
  ok(wait < 10_000, `${wait} µs`);
  deepStrictEqual(t.brief(), [`PA ${1 + 2 * MSS}:${1 + 3 * MSS} 1`]);
  t.wait(1_000);
  const before = t.connection.sender.congestion.cwnd;
  t.inject({ flags: "A", seq: 1, ack: 1 + 3 * MSS });
  ok(t.connection.sender.congestion.cwnd < before);
  strictEqual(t.count("timeouts"), 0);
});

test("a tail loss probe that was not needed costs nothing", () => {
  const t = sacked();
  t.write(3 * MSS);
  t.all();
  t.advanceToTimer();
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 1 + 3 * MSS, sack: [[1 + 2 * MSS, 1 + 3 * MSS]] });
  ok(t.connection.sender.congestion.cwnd >= 10 * MSS);
});

test("TcpConnection sends everything again when a peer throws SACKed data away", () => {
  const t = sacked();
  t.write(5 * MSS);
  t.all();
  t.wait(1_000);
  t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + MSS, 1 + 5 * MSS]] });
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 1 + MSS, sack: [[1 + MSS, 1 + 2 * MSS]] }); // reneged: ack stands at a "held" byte
  let again = 0;
  for (let i = 0; i < 12 && again < 1 + 5 * MSS; i++) {
    t.advanceToTimer();
    for (const s of t.all()) if (s.length > 0) again = s.seq + s.length;
    if (again > 0) t.inject({ flags: "A", seq: 1, ack: again });
  }
  strictEqual(t.connection.sendQueued, 0);
});

test("TcpConnection ignores forged SACK blocks", () => {
  const t = sacked();
  t.write(5 * MSS);
  t.all();
  const { sender } = t.connection;
  for (
    const sack of [
      [[1 + 5 * MSS, 1 + 6 * MSS]], // never sent
      [[1 + 2 * MSS, 1 + MSS]], // inside out
      [[1 + MSS, 1 + MSS]], // empty
      [[-2_000_000_000, 1 + 2 * MSS]],
    ] as [number, number][][]
  ) t.inject({ flags: "A", seq: 1, ack: 1, sack });
  strictEqual(sender.recovery.board.sacked, 0);
  for (let i = 0; i < 2_000; i++) {
    t.inject({ flags: "A", seq: 1, ack: 1, sack: [[1 + i, 2 + i], [3 + i, 4 + i]] });
  }
  ok(sender.recovery.board.records.count <= 5, "bytes that are not segments make no records");
  t.inject({ flags: "A", seq: 1, ack: 1 + 5 * MSS });
  strictEqual(sender.recovery.board.records.count, 0);
  strictEqual(sender.flight, 0);
});

test("TcpConnection halves its window for ECN-Echo once per round trip, and says so", () => {
  const t = new TcpBench({ ...PLAIN, ecn: "request" }).establish({ flags: "SAE" });
  t.write(100_000);
  t.all();
  for (let i = 1; i <= 5; i++) t.inject({ flags: "AE", seq: 1, ack: 1 + i * MSS });
  const { cwnd } = t.connection.sender.congestion;
  ok(cwnd >= 5 * MSS && cwnd < 7 * MSS, `${cwnd}`);
  t.inject({ flags: "A", seq: 1, ack: 1 + 10 * MSS });
  ok(t.all().filter((s) => s.flags.includes("C")).length === 1);
});

test("TcpConnection makes its segments smaller when ICMP says so, and sends them again", () => {
  const t = new TcpBench().establish();
  t.write(3 * MSS);
  t.all();
  const at = t.iss + 1;
  t.connection.onIcmpError("packet-too-big", 1_000, at + 1_000_000, t.now);
  strictEqual(t.connection.sender.mss, MSS, "not in flight: forged");
  t.connection.onIcmpError("packet-too-big", 1_000, at, t.now);
  strictEqual(t.connection.sender.mss, 960);
  const again = t.all();
  deepStrictEqual([again[0]!.seq, again[0]!.length], [1, 960]);
  t.connection.onIcmpError("packet-too-big", 68, at, t.now);
  strictEqual(t.connection.sender.mss, 512, "not below what IPv4 must carry");
});

test("TcpConnection finds a black hole for large segments by itself", () => {
  const t = new TcpBench(PLAIN, {}, { mtu: 9_000, gsoMaxSize: 0 }).establish({ mss: 8_960 });
  t.write(20_000);
  strictEqual(t.all()[0]!.length, 8_960);
  let length = 0;
  for (let i = 0; i < 3; i++) {
    t.advanceToTimer();
    length = t.next()!.length;
  }
  strictEqual(length, 1_220);
  strictEqual(t.count("black-hole"), 1);
});

test("TcpConnection keeps its segments where there can be no black hole", () => {
  const t = new TcpBench({ ...PLAIN, blackHoles: false }, {}, { mtu: 9_000, gsoMaxSize: 0 }).establish({
    mss: 8_960,
  });
  t.write(20_000);
  strictEqual(t.all()[0]!.length, 8_960);
  for (let i = 0; i < 4; i++) {
    t.advanceToTimer();
    strictEqual(t.next()!.length, 8_960);
  }
  strictEqual(t.count("black-hole"), 0);
});

test("TcpConnection does not blame an outage on the size of its segments", () => {
  const t = new TcpBench(PLAIN).establish({ mss: 1_460 });
  t.write(5_000);
  t.all();
  while (t.connection.sender.timeouts < 6) {
    t.advanceToTimer();
    t.all();
  }
  t.inject({ flags: "A", seq: 1, ack: 5_001 });
  t.write(5_000, 5_000);
  strictEqual(t.next()!.length, 1_460);
});

test("TcpConnection tries large segments again ten minutes after it found a black hole", () => {
  const t = new TcpBench(PLAIN).establish({ mss: 1_460 });
  t.write(5_000);
  t.all();
  while (t.connection.sender.timeouts < 3) {
    t.advanceToTimer();
    t.all();
  }
  t.inject({ flags: "A", seq: 1, ack: 5_001 });
  t.write(1_460, 5_000);
  strictEqual(t.next()!.length, 1_220);
  t.inject({ flags: "A", seq: 1, ack: 6_461 });
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 6_461 });
  t.wait(601e6);
  t.write(1_460, 6_460);
  strictEqual(t.next()!.length, 1_460);
});

test("TcpConnection ends for an ICMP error in the handshake, and not after it", () => {
  const t = new TcpBench();
  t.open();
  t.connection.onIcmpError("host-unreachable", 0, t.iss + 5, t.now);
  strictEqual(t.connection.state, "syn-sent");
  deepStrictEqual([t.count("icmp-out-of-window"), t.count("icmp-refused")], [1, 0]);
  t.connection.onIcmpError("host-unreachable", 0, t.iss, t.now);
  strictEqual(t.connection.error, "host-unreachable");
  strictEqual(t.count("icmp-refused"), 1);
  const u = new TcpBench().establish();
  u.write(10);
  u.all();
  u.connection.onIcmpError("port-unreachable", 0, u.iss + 1, u.now);
  strictEqual(u.connection.state, "established");
  strictEqual(u.count("icmp-refused"), 0);
});

test("TcpConnection tells when there is room again, after it was full", () => {
  const t = new TcpBench({ ...PLAIN, sendBuffer: 10_000, sendBufferMax: 10_000 }).establish();
  strictEqual(t.write(30_000), 10_000);
  strictEqual(t.write(1), 0);
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 1 + MSS });
  t.poll();
  deepStrictEqual(t.events, []);
  t.inject({ flags: "A", seq: 1, ack: 1 + 4 * MSS });
  t.poll();
  deepStrictEqual(t.events, [4]);
});

test("TcpConnection keeps the room that it told of, though the window collapses in between", () => {
  const options = { ...SACK, windowScale: true, sendBuffer: 20_000, sendBufferMax: 1_000_000 };
  const t = new TcpBench(options).establish({ sackPermitted: true, windowScale: 7 });
  let written = 0;
  let end = 1;
  const fill = () => {
    for (let n = 1; n > 0;) written += n = t.write(t.connection.sendSpace, written);
    for (const s of t.all()) end = Math.max(end, s.seq + s.length);
  };
  for (let round = 0; round < 5; round++) {
    fill();
    t.wait(1_000);
    t.inject({ flags: "A", seq: 1, ack: end });
  }
  fill();
  t.poll();
  t.events.length = 0;
  t.inject({ flags: "A", seq: 1, ack: end - 10 * MSS });
  t.poll();
  ok(t.events.some((events) => (events & TcpEvent.writable) !== 0));
  // Before the user has got round to writing, the rest is lost.
  while (t.connection.sender.timeouts === 0) t.advanceToTimer();
  strictEqual(t.connection.sender.congestion.cwnd, MSS);
  ok(t.connection.sendSpace > 0, "nobody would tell again");
});

test("TcpConnection refuses a write far beyond its room, and drops one after the end", () => {
  const t = new TcpBench({ ...PLAIN, sendBuffer: 1_000, sendBufferMax: 1_000 }).establish();
  const large = () => {
    const chunk = t.host.environment.pool.take(65_000);
    chunk.end += 65_000;
    return chunk;
  };
  t.connection.write(large(), t.now);
  let threw = false;
  const second = large();
  second.end += 900;
  try {
    t.connection.write(second, t.now);
    t.connection.write(large(), t.now);
  } catch (error) {
    threw = error instanceof RangeError;
  }
  ok(threw);
  t.connection.abort(t.now);
  t.connection.write(large(), t.now);
  strictEqual(t.count("write-after-end"), 1);
});

test("Sender remembers no more segments than its limit, however small the peer's are", () => {
  const sender = new Sender("reno", 1, 48);
  sender.establish(1 << 30, 0, 48, true, false);
  sender.congestion.cwnd = 1 << 30;
  const size = 48 * (MAX_RECORDS + 100);
  sender.queue.push(new PacketBuffer(new Uint8Array(size)));
  let sent = 0;
  while (sender.next(48, 0, 1 as Instant)) sent++;
  deepStrictEqual([sent, sender.recovery.board.records.count, sender.recordsFull], [
    MAX_RECORDS,
    MAX_RECORDS,
    true,
  ]);
  sender.clear();
  strictEqual(sender.recovery.board.records.count, 0);
});

test("TcpConnection counts what it sends again", () => {
  const t = new TcpBench().establish();
  t.write(100);
  t.all();
  t.advanceToTimer();
  t.all();
  strictEqual(t.count("retransmits"), 1);
});

test("TcpConnection remembers so many segments in flight and no more, however small the peer wants them", () => {
  const small = 88;
  const options = { ...SACK, windowScale: true, sendBuffer: 4_000_000, sendBufferMax: 4_000_000 };
  const t = new TcpBench(options).establish({ sackPermitted: true, windowScale: 14, mss: small });
  let written = 0;
  let end = 1;
  for (let round = 0; t.count("records-full") === 0 && round < 40; round++) {
    written += t.write(t.connection.sendSpace, written);
    for (const s of t.all()) end = Math.max(end, s.seq + s.length);
    ok(t.connection.sender.recovery.board.records.count <= MAX_RECORDS);
    t.wait(1_000);
    if (t.count("records-full") === 0) t.inject({ flags: "A", seq: 1, ack: end });
  }
  strictEqual(t.count("records-full"), 1);
  strictEqual(t.connection.sender.recovery.board.records.count, MAX_RECORDS);
  t.inject({ flags: "A", seq: 1, ack: end });
  ok(t.all().length > 0, "it goes on");
});
