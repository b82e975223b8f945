/** What the queues of all connections hold together. */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { LEAST, TcpMemory } from "../../../lib/stack/tcp/memory.ts";
import { TcpEvent } from "../../../lib/stack/tcp/events.ts";
import { pattern, PLAIN, seeded, TcpBench } from "../../support/tcp.ts";

const LIMIT = 300_000;
const MSS = 1_460;

function counted() {
  const counts: Record<string, number> = {};
  return { counts, counters: { bump: (name: string) => void (counts[name] = (counts[name] ?? 0) + 1) } };
}

/** A bench whose only guest holds `bytes` already. */
function benchHolding(bytes: number, options = PLAIN) {
  const t = new TcpBench(options, { memory: LIMIT }).establish();
  const account = t.host.demux.memory.account(0);
  account.charge(bytes);
  return { t, account };
}

test("TcpMemory gives a greedy guest half, two a third each, and something to whoever comes", () => {
  const { counts, counters } = counted();
  const memory = new TcpMemory(900, counters);
  const [a, b, c] = [1, 2, 3].map((tenant) => memory.account(tenant));
  while (!a!.pressed) a!.charge(1);
  strictEqual(a!.held, 450);
  while (!b!.pressed) b!.charge(1);
  strictEqual(b!.held, 225);
  ok(a!.full);
  ok(!c!.pressed && !b!.full);
  a!.charge(-150);
  while (!b!.pressed) b!.charge(1);
  strictEqual(b!.held, 300);
  strictEqual(memory.held, 600);
  strictEqual(counts["tcp.memory-pressure"], 3);
  strictEqual(memory.account(2), b);
});

test("TcpConnection charges the buffers that its queues hold, and gives everything back at its end", () => {
  for (const end of ["abort", "close", "reset", "shutdown"] as const) {
    const t = new TcpBench(PLAIN, { memory: LIMIT }).establish();
    const { memory } = t.host.demux;
    strictEqual(memory.held, 0);
    t.write(5_000);
    t.all();
    t.inject({ flags: "A", seq: 1, ack: 1, data: 1_000 });
    t.inject({ flags: "A", seq: 3_001, ack: 1, data: 500 });
    const { held } = memory;
    ok(held >= 6_500 && held < 150_000, `${held} bytes for 6 500`);
    t.inject({ flags: "A", seq: 1_001, ack: 1 + 2 * MSS });
    t.connection.setNoDelay(true, t.now);
    t.all();
    t.inject({ flags: "A", seq: 1_001, ack: 5_001 });
    ok(memory.held < held);
    if (end === "abort") t.connection.abort(t.now);
    if (end === "close") t.connection.close(t.now);
    if (end === "reset") t.inject({ flags: "R", seq: 1_001 });
    if (end === "shutdown") {
      t.inject({ flags: "FA", seq: 1_001, ack: 5_001, data: 2_500 });
      t.connection.shutdown(t.now);
      const fin = t.all().find((segment) => segment.flags.includes("F"))!;
      t.inject({ flags: "A", seq: 3_502, ack: fin.seq + 1 });
      t.advance(120_000_000);
      strictEqual(t.connection.state, "closed");
      ok(memory.held > 0, "what has not been read may still be");
      t.connection.abort(t.now);
    }
    strictEqual(memory.held, 0, end);
  }
});

test("TcpConnection never charges more or less than it holds, whatever happens", () => {
  const random = seeded(11);
  for (let run = 0; run < 40; run++) {
    const t = new TcpBench(PLAIN, { memory: 80_000 }).establish();
    let next = 1, end = 1;
    for (let step = 0; step < 60 && t.connection.state !== "closed"; step++) {
      const n = random() % 3_000;
      const choice = random() % 8;
      if (choice === 0) t.write(n);
      else if (choice === 1) t.read();
      else if (choice === 2) t.advance(random() % 400_000);
      else if (choice === 3 && random() % 20 === 0) t.connection.close(t.now);
      else if (choice < 6) t.inject({ flags: "A", seq: next + (choice === 5 ? n : 0), ack: end, data: n });
      else for (const s of t.all()) [end, next] = [Math.max(end, s.seq + s.length), Math.max(next, s.ack)];
      ok(t.host.demux.memory.held >= 0);
    }
    t.connection.abort(t.now);
    strictEqual(t.host.demux.memory.held, 0, `run ${run}`);
  }
});

test("TcpConnection of a guest that holds its share queues a little at a time, and goes on", () => {
  const { t, account } = benchHolding(LIMIT / 2);
  strictEqual(t.count("memory-pressure"), 1);
  strictEqual(t.connection.sendSpace, LEAST);
  strictEqual(t.connection.sendPiece(65_000), LEAST);
  const data = 10 * LEAST;
  let sent = 0, acknowledged = 1;
  for (let round = 0; round < 100 && acknowledged <= data; round++) {
    sent += t.write(Math.min(data - sent, 65_000), sent);
    ok(t.connection.sendQueued <= LEAST);
    strictEqual(t.connection.sendSpace, 0);
    for (const s of t.all()) acknowledged = Math.max(acknowledged, s.seq + s.length);
    t.events.length = 0;
    t.wait(1_000);
    t.inject({ flags: "A", seq: 1, ack: acknowledged });
    t.poll();
    if (t.connection.sendQueued === 0) ok(t.events.some((mask) => (mask & TcpEvent.writable) !== 0));
  }
  strictEqual(acknowledged, 1 + data);
  account.charge(-LIMIT / 2);
  ok(t.connection.sendSpace > 100_000, "as before");
  strictEqual(t.connection.sendPiece(65_000), 65_000);
});

test("TcpConnection tells who found no room because of others as soon as there is some", () => {
  const { t, account } = benchHolding(0);
  t.write(3_000);
  const segments = t.all();
  account.charge(LIMIT / 2);
  strictEqual(t.connection.sendPiece(65_000), 0);
  t.events.length = 0;
  t.inject({ flags: "A", seq: 1, ack: 1 + segments[0]!.length });
  t.poll();
  deepStrictEqual(t.events, [], "there is still something queued");
  t.inject({ flags: "A", seq: 1, ack: 3_001 });
  t.poll();
  deepStrictEqual(t.events, [TcpEvent.writable]);
});

test("TcpConnection of a guest that holds its share offers a segment of window", () => {
  const { t } = benchHolding(LIMIT / 2);
  const offered = () => {
    const { edge, next } = t.connection.receiver;
    return edge - next;
  };
  for (let n = 0; n < 60; n++) {
    t.inject({ flags: "A", seq: 1 + n * MSS, ack: 1, data: MSS });
    t.read();
    t.all();
  }
  ok(offered() <= LEAST, `${offered()} bytes`);
  ok(offered() >= MSS, "enough to go on");
});

test("TcpConnection of a guest that holds twice its share takes little, whatever was promised, and goes on", () => {
  const { t, account } = benchHolding(LIMIT * 2 / 3 + 1);
  ok(account.full);
  const data = pattern(30_000);
  const got: number[] = [];
  for (let round = 0; round < 100 && got.length < data.length; round++) {
    const from = got.length;
    // What was not taken comes again.
    for (let at = from; at < Math.min(from + 4 * MSS, data.length); at += MSS) {
      t.inject({ flags: "A", seq: 1 + at, ack: 1, data: data.subarray(at, at + MSS) });
    }
    ok(t.connection.receiveQueue.length <= LEAST + MSS);
    ok(t.connection.receiver.memory <= 4_096, `${t.connection.receiver.memory} bytes`);
    got.push(...t.read());
    t.all();
  }
  deepStrictEqual(Uint8Array.from(got), data);
  ok(t.count("memory-full") > 10);
  // The FIN, too, is taken when it is its turn.
  t.inject({ flags: "FA", seq: 30_001, ack: 1 });
  ok(t.connection.peerClosed);
});

test("TcpConnections of different guests have accounts of their own", () => {
  const t = new TcpBench(PLAIN, { memory: LIMIT });
  Object.assign(t.host.environment, { tenantOf: ({ d }: { d: number }) => d & 0xff });
  t.establish();
  const { memory } = t.host.demux;
  memory.account(1).charge(LIMIT / 2);
  ok(t.connection.sendSpace > 60_000);
  t.write(20_000);
  ok(memory.account(100).held >= 20_000);
});
