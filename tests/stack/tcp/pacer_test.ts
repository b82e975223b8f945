import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Pacer } from "../../../lib/stack/tcp/pacer.ts";
import { type Instant, MILLISECOND, NEVER, SECOND } from "../../../lib/stack/time.ts";
import { PLAIN, TcpBench } from "../../support/tcp.ts";

const MSS = 1_448;
const RTT = 100 * MILLISECOND;

/** Sends full segments for `duration`, whenever it is allowed to; returns how many. */
function drive(pacer: Pacer, from: number, duration: number): number {
  let sent = 0;
  let now = from as Instant;
  while (now < from + duration) {
    if (pacer.allows(now)) {
      pacer.sent(MSS, now);
      sent++;
    } else now = pacer.wakeAt;
  }
  return sent;
}

function paced(segments: number, ssthresh: number, rtt = RTT): Pacer {
  const pacer = new Pacer();
  pacer.update(segments * MSS, ssthresh, rtt, rtt, MSS);
  return pacer;
}

test("Pacer spreads a window over five sixths of the round trip", () => {
  const pacer = paced(1_000, 1);
  drive(pacer, SECOND, RTT); // what was saved up
  const sent = drive(pacer, SECOND + RTT, RTT);
  ok(Math.abs(sent - 1_200) <= 1, `${sent}`);
});

test("Pacer lets slow start run at 1.3 windows per round trip", () => {
  const pacer = paced(1_000, Infinity);
  drive(pacer, SECOND, RTT);
  const sent = drive(pacer, SECOND + RTT, RTT);
  ok(Math.abs(sent - 1_300) <= 1, `${sent}`);
});

test("Pacer lets a burst pass after a pause: 32 segments in slow start, 10 afterwards", () => {
  for (const [ssthresh, burst] of [[Infinity, 32], [1, 10]] as const) {
    const pacer = paced(100, ssthresh);
    let sent = 0;
    for (const now = SECOND as Instant; pacer.allows(now); sent++) pacer.sent(MSS, now);
    ok(sent === burst || sent === burst + 1, `${sent}`);
    ok(pacer.wakeAt > SECOND);
  }
});

test("Pacer leaves short round trips and small windows alone", () => {
  for (const pacer of [paced(1_000, 1, 1_999), paced(10, 1), new Pacer()]) {
    for (let i = 0; i < 10_000; i++) {
      ok(pacer.allows(SECOND as Instant));
      pacer.sent(MSS, SECOND as Instant);
    }
    strictEqual(pacer.piece(MSS), Infinity);
  }
});

test("Pacer cuts super-packets to what passes in a millisecond, and to two segments at least", () => {
  strictEqual(paced(20, 1).piece(MSS), 2 * MSS);
  strictEqual(Math.round(paced(1_000, 1).piece(MSS)), 12 * MSS);
});

test("Pacer never waits longer than a second", () => {
  const pacer = paced(11, 1, 3_600 * SECOND);
  drive(pacer, SECOND, 1);
  for (let i = 0; i < 100; i++) pacer.sent(MSS, SECOND as Instant);
  strictEqual(pacer.allows(SECOND as Instant), false);
  strictEqual(pacer.wakeAt, 2 * SECOND);
});

test("Pacer forgets an appointment that has passed", () => {
  const pacer = paced(100, 1);
  while (pacer.allows(SECOND as Instant)) pacer.sent(MSS, SECOND as Instant);
  const { wakeAt } = pacer;
  pacer.onTimer((wakeAt - 1) as Instant);
  strictEqual(pacer.wakeAt, wakeAt);
  pacer.onTimer(wakeAt);
  strictEqual(pacer.wakeAt, NEVER);
});

test("TcpConnection sends a large window in pieces, each by a timer", () => {
  const t = new TcpBench({ ...PLAIN, windowScale: true, sendBuffer: 1_000_000 }, {}, {
    mtu: 1_500,
    gsoMaxSize: 65_536,
  });
  t.open();
  t.advance(RTT);
  t.inject({ flags: "SA", seq: 0, ack: 1, mss: 1_460, windowScale: 7 });
  t.write(800_000);
  let end = 1;
  // Slow start up to more than two hundred segments, acknowledged once per round trip.
  for (let round = 0; round < 5; round++) {
    for (let waited = 0; waited < RTT;) {
      for (const s of t.all()) end = Math.max(end, s.seq + s.length);
      const next = Math.min(t.host.environment.timers.next() - t.now, RTT - waited);
      t.advance(next);
      waited += next;
    }
    t.inject({ flags: "A", seq: 1, ack: end, window: 65_535 });
  }
  const first = t.all();
  const burst = first.reduce((sum, s) => sum + s.length, 0);
  const { cwnd } = t.connection.sender.congestion;
  ok(burst < cwnd / 3, `${burst} of ${cwnd} at once`);
  ok(t.connection.sender.pacer.wakeAt < t.now + MILLISECOND, "goes on by itself");
  t.advanceToTimer();
  const [piece] = t.all();
  ok(piece !== undefined && piece.length <= 6 * 1_460, `${piece?.length}`);
});
