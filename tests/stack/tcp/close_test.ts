/**
 * Ending a connection: RFC 9293 section 3.6, RFC 1122 section 4.2.2.13, TIME-WAIT, RST (RFC 5961).
 *
 * @module
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { TcpEvent } from "../../../lib/stack/tcp/events.ts";
import { PLAIN, TcpBench } from "../../support/tcp.ts";

test("TcpConnection.shutdown() ends our half, and the peer may go on sending", () => {
  const t = new TcpBench().establish();
  t.write(10);
  t.connection.shutdown(t.now);
  t.connection.shutdown(t.now);
  deepStrictEqual(t.brief(), ["FPA 1:11 1"]);
  strictEqual(t.connection.state, "fin-wait-1");
  t.inject({ flags: "A", seq: 1, ack: 12 });
  strictEqual(t.connection.state, "fin-wait-2");
  t.inject({ flags: "PA", seq: 1, ack: 12, data: 100 });
  strictEqual(t.read().length, 100);
  t.inject({ flags: "FA", seq: 101, ack: 12 });
  strictEqual(t.connection.state, "time-wait");
  strictEqual(t.all().at(-1)!.ack, 102);
  t.poll();
  const events = t.events.reduce((a, b) => a | b, 0);
  ok((events & TcpEvent.peerClosed) !== 0 && (events & TcpEvent.closed) !== 0);
  strictEqual(t.connection.error, undefined);
});

test("TcpConnection in CLOSE-WAIT still sends, and ends through LAST-ACK", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "FA", seq: 1, ack: 1 });
  strictEqual(t.connection.state, "close-wait");
  ok(t.connection.peerClosed);
  deepStrictEqual(t.brief(), ["A 1:1 2"]);
  t.write(100);
  deepStrictEqual(t.brief(), ["PA 1:101 2"]);
  t.inject({ flags: "A", seq: 2, ack: 101 });
  t.connection.shutdown(t.now);
  deepStrictEqual(t.brief(), ["FA 101:101 2"]);
  strictEqual(t.connection.state, "last-ack");
  t.inject({ flags: "A", seq: 2, ack: 102 });
  strictEqual(t.connection.state, "closed");
  strictEqual(t.host.environment.gone.length, 1);
});

test("TcpConnection survives a simultaneous close", () => {
  const t = new TcpBench().establish();
  t.connection.shutdown(t.now);
  t.all();
  t.inject({ flags: "FA", seq: 1, ack: 1 });
  strictEqual(t.connection.state, "closing");
  deepStrictEqual(t.brief(), ["A 2:2 2"]);
  t.inject({ flags: "A", seq: 2, ack: 2 });
  strictEqual(t.connection.state, "time-wait");
});

test("TcpConnection repeats a FIN that is lost", () => {
  const t = new TcpBench().establish();
  t.connection.shutdown(t.now);
  t.all();
  t.advanceToTimer();
  deepStrictEqual(t.brief(), ["FPA 1:1 1"]);
});

test("TcpConnection delivers a FIN only when all before it has come", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "FA", seq: 11, ack: 1 });
  ok(!t.connection.peerClosed);
  t.inject({ flags: "PA", seq: 1, ack: 1, data: 10 });
  ok(t.connection.peerClosed);
  t.all();
  t.inject({ flags: "PA", seq: 12, ack: 1, data: 10 });
  strictEqual(t.connection.receiveQueue.length, 10, "nothing exists behind a FIN");
});

test("TcpConnection.close() leaves FIN-WAIT-2 after a minute", () => {
  const t = new TcpBench().establish();
  t.connection.close(t.now);
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 2 });
  strictEqual(t.connection.state, "fin-wait-2");
  t.advance(59e6);
  strictEqual(t.connection.state, "fin-wait-2");
  t.advance(2e6);
  strictEqual(t.connection.state, "closed");
  strictEqual(t.count("fin-timeout"), 1);
});

test("TcpConnection.shutdown() waits in FIN-WAIT-2 for ever", () => {
  const t = new TcpBench().establish();
  t.connection.shutdown(t.now);
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 2 });
  t.advance(3_600e6);
  strictEqual(t.connection.state, "fin-wait-2");
});

test("TcpConnection.close() answers unread data with a RST", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "PA", seq: 1, ack: 1, data: 10 });
  t.all();
  t.connection.close(t.now);
  deepStrictEqual(t.brief(), ["RA 1:1 11"]);
  strictEqual(t.host.environment.gone.length, 1);
});

test("TcpConnection resets data that comes after close()", () => {
  const t = new TcpBench().establish();
  t.connection.close(t.now);
  t.all();
  t.inject({ flags: "PA", seq: 1, ack: 2, data: 10 });
  strictEqual(t.next()!.flags, "RA");
  strictEqual(t.count("data-after-close"), 1);
});

test("TcpConnection.abort() sends one RST and tells", () => {
  const t = new TcpBench().establish();
  t.write(10);
  t.connection.abort(t.now);
  t.connection.abort(t.now);
  deepStrictEqual(t.brief(), ["RA 1:1 1"]);
  t.poll();
  strictEqual(t.connection.error, "aborted");
  deepStrictEqual(t.events, [TcpEvent.closed]);
});

test("TcpConnection.abort() in SYN-SENT says nothing to the peer", () => {
  const t = new TcpBench();
  t.open();
  t.connection.abort(t.now);
  deepStrictEqual(t.brief(), []);
});

test("TcpConnection takes only a RST that is exactly in sequence (RFC 5961)", () => {
  const t = new TcpBench().establish();
  t.inject({ flags: "R", seq: 0 }); // before the window
  t.inject({ flags: "R", seq: 1_000_000 }); // behind it
  deepStrictEqual(t.brief(), []);
  strictEqual(t.count("out-of-window-reset"), 2);
  t.inject({ flags: "R", seq: 2 }); // inside: a challenge
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
  strictEqual(t.connection.state, "established");
  t.inject({ flags: "R", seq: 1 });
  strictEqual(t.connection.error, "reset");
  deepStrictEqual(t.brief(), []);
});

test("TcpConnection challenges a SYN, at most twice a second", () => {
  const t = new TcpBench().establish();
  for (let i = 0; i < 100; i++) t.inject({ flags: "S", seq: 5 + i });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
  strictEqual(t.count("challenge-suppressed"), 99);
  t.wait(600_000);
  t.inject({ flags: "S", seq: 5 });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
  strictEqual(t.connection.state, "established");
});

test("TcpConnection answers what is outside of the window at most twice a second, but each payload that came twice", () => {
  const t = new TcpBench().establish();
  for (let i = 0; i < 100; i++) t.inject({ flags: "A", seq: 1_000_000 + i, ack: 1, data: 10 });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
  deepStrictEqual([t.count("out-of-window"), t.count("out-of-window-suppressed")], [100, 99]);
  for (let i = 0; i < 2; i++) t.inject({ flags: "A", seq: 1 + 10 * i, ack: 1, data: 10 });
  t.all();
  for (let i = 0; i < 3; i++) {
    t.inject({ flags: "A", seq: 1, ack: 1, data: 10 });
    deepStrictEqual(t.brief(), ["A 1:1 21"]);
  }
  deepStrictEqual([t.count("out-of-window"), t.count("out-of-window-suppressed")], [103, 99]);
  t.wait(600_000);
  for (let i = 0; i < 2; i++) t.inject({ flags: "A", seq: 1_000_000, ack: 1, data: 10 });
  deepStrictEqual(t.brief(), ["A 1:1 21"]);
  strictEqual(t.count("out-of-window-suppressed"), 100);
  strictEqual(t.connection.state, "established");
});

test("TcpDemux limits challenges in all", () => {
  const t = new TcpBench(PLAIN, { challengesPerSecond: 0 }).establish();
  t.inject({ flags: "S", seq: 5 });
  deepStrictEqual(t.brief(), []);
});

function timeWait(t: TcpBench): TcpBench {
  t.establish({ timestamp: 100 });
  t.connection.close(t.now);
  t.all();
  t.inject({ flags: "FA", seq: 1, ack: 2, timestamp: 101 });
  t.all();
  strictEqual(t.connection.state, "time-wait");
  return t;
}

test("TcpConnection leaves TIME-WAIT after a minute", () => {
  const t = timeWait(new TcpBench());
  t.advance(59e6);
  strictEqual(t.connection.state, "time-wait");
  t.advance(2e6);
  strictEqual(t.host.environment.gone.length, 1);
});

test("TcpConnection in TIME-WAIT acknowledges a repeated FIN and waits anew", () => {
  const t = timeWait(new TcpBench());
  t.advance(59e6);
  t.inject({ flags: "FA", seq: 1, ack: 2 });
  deepStrictEqual(t.brief(), ["A 2:2 2"]);
  t.advance(30e6);
  strictEqual(t.connection.state, "time-wait");
});

test("TcpDemux gives a four-tuple in TIME-WAIT to a newer SYN, and to no older one", () => {
  const t = timeWait(new TcpBench());
  t.host.demux.listen({ port: 80, observer: { onTcpAccept() {} } }, t.now);
  t.inject({ flags: "S", seq: -1_000, mss: 1_460 });
  deepStrictEqual(t.brief(), ["A 2:2 2"]);
  t.inject({ flags: "S", seq: 1_000_000, mss: 1_460 });
  strictEqual(t.next()!.flags, "SA");
  strictEqual(t.count("time-wait-reused"), 1);
});

test("TcpDemux reuses TIME-WAIT for our own connect when there are timestamps", () => {
  const t = timeWait(new TcpBench({ ...PLAIN, timestamps: true }));
  const before = t.iss;
  t.wait(2e6);
  const syn = t.open();
  strictEqual(syn.flags, "S");
  ok(((t.iss - before) | 0) > 0);
  const u = timeWait(new TcpBench());
  strictEqual(
    u.host.demux.connect({
      localAddress: u.connection.localAddress,
      localPort: u.connection.localPort,
      remoteAddress: u.connection.remoteAddress,
      remotePort: u.connection.remotePort,
      path: u.connection.path,
    }, u.now),
    "address-in-use",
  );
});

test("TcpDemux keeps no more connections in TIME-WAIT than its limit: the longest waiting one goes", () => {
  const t = new TcpBench(PLAIN, { timeWait: 1 });
  const first = timeWait(t).connection;
  strictEqual(t.count("time-wait-overflow"), 0);
  t.wait(1e6);
  const second = t.host.demux.connect({
    localAddress: first.localAddress,
    remoteAddress: first.remoteAddress,
    remotePort: first.remotePort,
    path: first.path,
  }, t.now);
  ok(typeof second !== "string");
  t.all();
  const [from, to] = [second.remotePort, second.localPort];
  t.inject({ flags: "SA", seq: 0, ack: 1, from, to });
  second.close(t.now);
  t.all();
  t.inject({ flags: "FA", seq: 1, ack: 2, from, to });
  deepStrictEqual(t.brief(), ["A 2:2 2"]);
  strictEqual(t.count("time-wait-overflow"), 1);
  deepStrictEqual([...t.host.demux.connections()], [second]);
  strictEqual(first.state, "closed");
});

test("TcpDemux answers strays as RFC 9293 says, never a RST, and not without limit", () => {
  const t = new TcpBench(PLAIN, { resetsPerSecond: 3 });
  t.inject({ flags: "A", seq: 5, ack: 77 });
  deepStrictEqual(t.brief(), ["R 77:77 0"]);
  t.inject({ flags: "S", seq: 5 });
  deepStrictEqual(t.brief(), ["RA 0:0 6"].map((s) => s.replace("0:0", `${-t.iss | 0}:${-t.iss | 0}`)));
  t.inject({ flags: "R", seq: 5 });
  deepStrictEqual(t.brief(), []);
  for (let i = 0; i < 10; i++) t.inject({ flags: "A", seq: 5, ack: 77 });
  strictEqual(t.all().length, 1);
  strictEqual(t.count("resets-suppressed"), 9);
});

test("TcpConnection gives up an orphan whose peer never opens its window", () => {
  const t = new TcpBench({ ...PLAIN, orphanRetries: 3 }).establish({ window: 0 });
  t.write(1_000);
  t.all();
  t.connection.close(t.now);
  for (let i = 0; i < 10 && t.connection.state !== "closed"; i++) {
    t.advanceToTimer();
    for (const segment of t.all()) {
      if (segment.flags === "A") t.inject({ flags: "A", seq: 1, ack: 1, window: 0 });
    }
  }
  strictEqual(t.connection.state, "closed");
  strictEqual(t.count("orphan-zero-window"), 1);
});
