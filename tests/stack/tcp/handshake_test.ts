/**
 * Opening a connection: RFC 9293 section 3.5, RFC 7323, RFC 2018, RFC 3168, RFC 4987.
 *
 * @module
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import type { TcpConnection } from "../../../lib/stack/tcp/connection.ts";
import { TcpEvent } from "../../../lib/stack/tcp/events.ts";
import { TcpListener } from "../../../lib/stack/tcp/listener.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { OUR_PORT, PLAIN, TcpBench } from "../../support/tcp.ts";

const FULL = { timestamps: true, windowScale: true, sack: true } as const;

test("TcpConnection opens actively: SYN, SYN-ACK, ACK", () => {
  const t = new TcpBench();
  const syn = t.open();
  deepStrictEqual([syn.flags, syn.seq, syn.mss, syn.windowScale, syn.sackPermitted], [
    "S",
    0,
    1_460,
    -1,
    false,
  ]);
  strictEqual(t.connection.state, "syn-sent");
  t.inject({ flags: "SA", ack: 1, mss: 1_460 });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
  t.poll();
  strictEqual(t.connection.state, "established");
  deepStrictEqual(t.events, [TcpEvent.established | TcpEvent.writable]);
});

test("TcpConnection offers window scale, timestamps and SACK, and uses what both have", () => {
  const t = new TcpBench(FULL);
  const syn = t.open();
  ok(syn.timestamp !== undefined && syn.sackPermitted && syn.windowScale > 0);
  strictEqual(syn.timestampEcho, 0);
  t.inject({ flags: "SA", ack: 1, mss: 1_460, windowScale: 7, sackPermitted: true, timestamp: 99 });
  const third = t.next()!;
  strictEqual(third.timestampEcho, 99);
  const facts = t.connection.facts().tcp!;
  deepStrictEqual([facts.sendScale, facts.sack, facts.timestamps, facts.mss], [7, true, true, 1_448]);
  // RFC 7323 section 2.2: the window of the SYN-ACK itself is not scaled.
  strictEqual(facts.sendWindow, 65_535);
});

test("TcpConnection uses no option that the peer has not", () => {
  const t = new TcpBench(FULL);
  t.open();
  t.inject({ flags: "SA", ack: 1 });
  strictEqual(t.next()!.timestamp, undefined);
  const facts = t.connection.facts().tcp!;
  // RFC 9293 MUST-15: 536 where there is no MSS option.
  deepStrictEqual([facts.sendScale, facts.receiveScale, facts.sack, facts.timestamps, facts.mss], [
    0,
    0,
    false,
    false,
    536,
  ]);
});

for (const [mss, want] of [[0, 536], [1, 48], [47, 48], [48, 48], [65_535, 1_460]] as const) {
  test(`TcpConnection sends segments of ${want} bytes to a peer whose MSS option says ${mss}`, () => {
    const t = new TcpBench().establish({ mss });
    t.write(5_000);
    strictEqual(t.next()!.length, want);
  });
}

test("TcpConnection repeats its SYN after 1, 2, 4 … seconds and gives up", () => {
  const t = new TcpBench({ ...PLAIN, synRetries: 3 });
  t.open();
  const waits: number[] = [];
  for (let i = 0; i < 3; i++) {
    waits.push(t.advanceToTimer());
    deepStrictEqual(t.brief(), ["S 0:0 0"]);
  }
  deepStrictEqual(waits, [1e6, 2e6, 4e6]);
  strictEqual(t.advanceToTimer(), 8e6);
  strictEqual(t.connection.error, "timed-out");
  deepStrictEqual(t.brief(), []);
  strictEqual(t.host.environment.gone.length, 1);
});

for (const leaves of [0, 1, 2]) {
  test(`TcpConnection gives up as soon when the wire takes ${leaves} of its SYNs, and sends none later`, () => {
    const t = new TcpBench({ ...PLAIN, synRetries: 3 });
    t.connect();
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      if (i < leaves) deepStrictEqual(t.brief(), ["S 0:0 0"]);
      waits.push(t.advanceToTimer());
    }
    deepStrictEqual(waits, [1e6, 2e6, 4e6, 8e6]);
    strictEqual(t.connection.error, "timed-out");
    deepStrictEqual(t.brief(), []);
    strictEqual(t.host.environment.gone.length, 1);
  });
}

test("TcpConnection sends the SYN that waited as soon as the wire takes it, once", () => {
  const t = new TcpBench();
  t.connect();
  for (let i = 0; i < 3; i++) t.advanceToTimer();
  deepStrictEqual(t.brief(), ["S 0:0 0"]);
  t.inject({ flags: "SA", ack: 1 });
  deepStrictEqual(t.brief(), ["A 1:1 1"]);
});

test("a SYN-ACK that cannot leave is given up, too", () => {
  const t = new TcpBench({ ...PLAIN, synAckRetries: 2 });
  const state = listening(t);
  t.inject({ flags: "S", seq: 0 });
  const waits = Array.from({ length: 3 }, () => t.advanceToTimer());
  deepStrictEqual(waits, [1e6, 2e6, 4e6]);
  deepStrictEqual(t.brief(), []);
  strictEqual(state.listener.halfOpen, 0);
});

test("TcpConnection is refused by a RST that acknowledges its SYN, and by no other", () => {
  const t = new TcpBench();
  t.open();
  t.inject({ flags: "R", seq: 0 });
  t.inject({ flags: "RA", seq: 0, ack: 77 });
  strictEqual(t.connection.state, "syn-sent");
  t.inject({ flags: "RA", seq: 0, ack: 1 });
  strictEqual(t.connection.error, "refused");
  t.poll();
  deepStrictEqual(t.events, [TcpEvent.closed]);
  deepStrictEqual(t.brief(), []);
});

test("TcpConnection resets a half-open peer that acknowledges what was never sent", () => {
  const t = new TcpBench();
  t.open();
  t.inject({ flags: "A", seq: 300, ack: 100 }); // RFC 9293 section 3.5.1, figure 9
  deepStrictEqual(t.brief(), ["R 100:100 0"]);
  strictEqual(t.connection.state, "syn-sent");
});

test("TcpConnection survives a simultaneous open", () => {
  const t = new TcpBench();
  t.open();
  t.inject({ flags: "S", seq: 0, mss: 1_460 });
  strictEqual(t.connection.state, "syn-received");
  deepStrictEqual(t.brief(), ["SA 0:0 1"]);
  t.inject({ flags: "SA", seq: 0, ack: 1, mss: 1_460 });
  strictEqual(t.connection.state, "established");
  t.inject({ flags: "PA", seq: 1, ack: 1, data: 10 });
  strictEqual(t.read().length, 10);
});

test("TcpConnection asks for ECN, and without it when the first SYN is lost", () => {
  const t = new TcpBench({ ...PLAIN, ecn: "request" });
  strictEqual(t.open().flags, "SEC");
  t.advanceToTimer();
  strictEqual(t.next()!.flags, "S");
  const u = new TcpBench({ ...PLAIN, ecn: "request" });
  u.open();
  u.inject({ flags: "SAE", ack: 1, mss: 1_460 });
  u.all();
  ok(u.connection.ecn);
  u.write(100);
  u.next();
  strictEqual(u.connection.trafficClass, 2);
});

function listening(
  t: TcpBench,
  backlog = 4,
): { listener: TcpListener; accepted: TcpConnection[]; accept: boolean } {
  const state = {
    listener: undefined as unknown as TcpListener,
    accepted: [] as TcpConnection[],
    accept: true,
  };
  const listener = t.host.demux.listen({
    port: OUR_PORT,
    backlog,
    observer: {
      onTcpAccept(l, now) {
        while (state.accept) {
          const connection = l.accept(now);
          if (connection === undefined) return;
          connection.observer = t.observer;
          state.accepted.push(connection);
        }
      },
    },
  }, t.now);
  if (typeof listener === "string") throw new Error(listener);
  state.listener = listener;
  return state;
}

test("TcpListener hands out a connection when its handshake is over, and no sooner", () => {
  const t = new TcpBench();
  const state = listening(t);
  t.inject({ flags: "S", mss: 1_460 });
  deepStrictEqual(t.brief(), ["SA 0:0 1"]);
  t.poll();
  strictEqual(state.accepted.length, 0);
  t.inject({ flags: "A", seq: 1, ack: 1 });
  t.poll();
  strictEqual(state.accepted.length, 1);
  t.poll();
  deepStrictEqual(t.events, [TcpEvent.established | TcpEvent.writable]);
});

test("TcpListener takes data that comes with the third segment", () => {
  const t = new TcpBench();
  const state = listening(t);
  t.inject({ flags: "S", mss: 1_460 });
  t.all();
  t.inject({ flags: "PA", seq: 1, ack: 1, data: 5 });
  t.poll();
  strictEqual(state.accepted[0]!.receiveQueue.length, 5);
});

test("TcpListener repeats its SYN-ACK for a repeated SYN, and gives up after its retries", () => {
  const t = new TcpBench({ ...PLAIN, synAckRetries: 2 });
  const state = listening(t);
  t.inject({ flags: "S", mss: 1_460 });
  deepStrictEqual(t.brief(), ["SA 0:0 1"]);
  t.inject({ flags: "S", mss: 1_460 });
  deepStrictEqual(t.brief(), ["SA 0:0 1"]);
  for (let i = 0; i < 4; i++) {
    t.advanceToTimer();
    t.all();
  }
  strictEqual(state.listener.halfOpen, 0);
  strictEqual(t.host.environment.gone.length, 1);
});

test("TcpListener resets a wrong third segment, and forgets a connection that is reset", () => {
  const t = new TcpBench();
  const state = listening(t);
  t.inject({ flags: "S", mss: 1_460 });
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 500 });
  deepStrictEqual(t.brief(), ["R 500:500 0"]);
  t.inject({ flags: "R", seq: 1 });
  strictEqual(state.listener.halfOpen, 0);
});

test("TcpListener answers with cookies when the backlog is full, and takes them back", () => {
  const t = new TcpBench({ ...PLAIN });
  const state = listening(t, 2);
  for (let i = 0; i < 2; i++) t.inject({ flags: "S", mss: 1_460, from: 50_000 + i });
  t.all();
  t.inject({ flags: "S", mss: 1_000 });
  const cookie = t.next()!;
  deepStrictEqual([cookie.flags, cookie.ack], ["SA", 1]);
  deepStrictEqual([t.count("cookies-sent"), state.listener.halfOpen], [1, 2]);
  t.inject({ flags: "A", seq: 1, ack: 1 });
  t.poll();
  strictEqual(state.accepted.length, 1);
  // The largest of the eight sizes that fits is what the cookie remembers.
  strictEqual(state.accepted[0]!.facts().tcp!.mss, 536);
});

test("TcpListener keeps window scale and SACK in a cookie's timestamp", () => {
  const t = new TcpBench(FULL);
  const state = listening(t, 1);
  t.inject({ flags: "S", mss: 1_460, from: 50_000 });
  t.all();
  t.inject({ flags: "S", mss: 1_460, windowScale: 9, sackPermitted: true, timestamp: 5 });
  const cookie = t.next()!;
  ok(cookie.timestamp !== undefined);
  t.wait(10_000);
  t.inject({ flags: "A", seq: 1, ack: 1, timestamp: 6, timestampEcho: cookie.timestamp });
  t.poll();
  const facts = state.accepted[0]!.facts().tcp!;
  deepStrictEqual([facts.sendScale, facts.sack, facts.timestamps, facts.mss], [9, true, true, 1_448]);
});

test("TcpListener refuses cookies that are forged or too old", () => {
  const t = new TcpBench();
  const state = listening(t, 1);
  t.inject({ flags: "S", mss: 1_460, from: 50_000 });
  t.all();
  t.inject({ flags: "S", mss: 1_460 });
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 500 });
  strictEqual(t.next()!.flags, "R");
  strictEqual(t.count("cookies-failed"), 1);
  t.wait(200e6);
  t.inject({ flags: "A", seq: 1, ack: 1 });
  t.poll();
  strictEqual(state.accepted.length, 0);
});

test("TcpListener survives a flood of SYNs with its backlog of connections", () => {
  const t = new TcpBench();
  listening(t, 16);
  for (let i = 0; i < 5_000; i++) {
    t.inject({ flags: "S", mss: 1_460, from: 1_024 + i });
    t.all();
  }
  strictEqual([...t.host.demux.connections()].length, 16);
  strictEqual(t.count("cookies-sent"), 5_000 - 16);
});

test("TcpListener drops SYNs and final ACKs when nobody accepts", () => {
  const t = new TcpBench();
  const state = listening(t, 1);
  state.accept = false;
  t.inject({ flags: "S", mss: 1_460, from: 50_000 });
  const first = t.next()!;
  strictEqual(first.flags, "SA");
  t.inject({ flags: "A", seq: 1, ack: 1, from: 50_000 });
  strictEqual(state.listener.waiting, 1);
  t.inject({ flags: "S", mss: 1_460 });
  deepStrictEqual(t.brief(), []);
  strictEqual(t.count("listen-overflow"), 1);
});

test("TcpListener drops the ACK that has no place in the accept queue", () => {
  const t = new TcpBench();
  const state = listening(t, 2);
  state.accept = false;
  const ports = [50_000, 50_001, 50_002];
  const numbers = ports.map((from) => {
    t.inject({ flags: "S", mss: 1_460, from });
    t.next();
    return t.iss;
  });
  ports.forEach((from, i) => {
    t.iss = numbers[i]!;
    t.inject({ flags: "A", seq: 1, ack: 1, from });
  });
  strictEqual(state.listener.waiting, 2);
  strictEqual(t.count("accept-queue-full"), 1);
});

test("TcpListener resets what waits when it closes", () => {
  const t = new TcpBench();
  const state = listening(t, 4);
  state.accept = false;
  t.inject({ flags: "S", mss: 1_460 });
  t.all();
  t.inject({ flags: "A", seq: 1, ack: 1 });
  state.listener.close(t.now);
  state.listener.close(t.now);
  deepStrictEqual(t.brief(), ["RA 1:1 1"]);
  strictEqual([...t.host.demux.connections()].length, 0);
  t.inject({ flags: "S", mss: 1_460, from: 50_001 });
  strictEqual(t.next()!.flags, "RA");
});

test("TcpDemux listens once per address and port", () => {
  const t = new TcpBench();
  listening(t);
  const observer = { onTcpAccept() {} };
  strictEqual(t.host.demux.listen({ port: OUR_PORT, observer }, t.now), "address-in-use");
  ok(
    t.host.demux.listen({ port: 81, address: IpAddress.parse("10.0.2.2")!, observer }, t.now) instanceof
      TcpListener,
  );
  ok(
    t.host.demux.listen({ port: 81, address: IpAddress.parse("10.0.2.3")!, observer }, t.now) instanceof
      TcpListener,
  );
  strictEqual(t.host.demux.listen({ port: 81, observer }, t.now), "address-in-use");
});
