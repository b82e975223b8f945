/**
 * The table: requests for a forwarder, ports, initial sequence numbers, ceilings, and segments made of noise.
 *
 * @module
 */

import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { TcpConnection } from "../../../lib/stack/tcp/connection.ts";
import { TcpEvent } from "../../../lib/stack/tcp/events.ts";
import type { TcpRequest } from "../../../lib/stack/tcp/forwarder.ts";
import { InitialSequence } from "../../../lib/stack/tcp/isn.ts";
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from "../../../lib/stack/tcp/ports.ts";
import { TupleTable } from "../../../lib/stack/tcp/tuple_table.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { OUR_PORT, PEER, PEER_PORT, PLAIN, seeded, TcpBench, US } from "../../support/tcp.ts";

function forwarding(t: TcpBench): TcpRequest[] {
  const requests: TcpRequest[] = [];
  t.host.demux.forwarder = (request) => requests.push(request);
  return requests;
}

test("TcpDemux parks a SYN as a request, and absorbs what the guest repeats", () => {
  const t = new TcpBench();
  const requests = forwarding(t);
  for (let i = 0; i < 3; i++) t.inject({ flags: "S", mss: 1_460 });
  deepStrictEqual([requests.length, t.count("syn-absorbed"), t.brief()], [1, 2, []]);
  const request = requests[0]!;
  deepStrictEqual([request.localPort, request.remotePort], [OUR_PORT, PEER_PORT]);
  ok(request.localAddress.equals(US) && request.remoteAddress.equals(PEER));
});

test("TcpRequest.accept() answers the SYN, and the observer hears of the rest", () => {
  const t = new TcpBench();
  const [request] = (t.inject({ flags: "S" }), forwarding(t));
  strictEqual(request, undefined, "without a forwarder nobody is asked");
  t.all();
  const requests = forwarding(t);
  t.inject({ flags: "S", mss: 1_000 });
  const connection = requests[0]!.accept(t.observer, { noDelay: true }, t.now);
  deepStrictEqual(t.brief(), ["SA 0:0 1"]);
  ok(connection.sender.noDelay);
  t.inject({ flags: "PA", seq: 1, ack: 1, data: 7 });
  t.poll();
  deepStrictEqual(t.events, [TcpEvent.established | TcpEvent.writable | TcpEvent.readable]);
  strictEqual(connection.receiveQueue.length, 7);
});

test("TcpRequest.accept() gives a closed connection when the guest took its SYN back", () => {
  const t = new TcpBench();
  const requests = forwarding(t);
  t.inject({ flags: "S", mss: 1_000 });
  t.inject({ flags: "R", seq: 1 });
  ok(requests[0]!.expired);
  const connection = requests[0]!.accept(t.observer, undefined, t.now);
  strictEqual(connection.state, "closed");
  t.poll();
  deepStrictEqual([connection.error, t.events, t.brief()], ["reset", [TcpEvent.closed], []]);
  requests[0]!.reject("reset", t.now);
  deepStrictEqual(t.brief(), []);
});

test("TcpRequest.reject() refuses by RST, by ICMP or by silence, once", () => {
  const t = new TcpBench();
  const requests = forwarding(t);
  for (const how of ["reset", "host-unreachable", "drop"] as const) {
    t.inject({ flags: "S", mss: 1_000 });
    const request = requests.pop()!;
    request.reject(how, t.now);
    request.reject(how, t.now);
  }
  deepStrictEqual(t.all().map((s) => [s.flags, s.ack]), [["RA", 1]]);
  deepStrictEqual(t.host.environment.rejections, ["host-unreachable"]);
});

test("TcpDemux parks no more requests than its limit", () => {
  const t = new TcpBench(PLAIN, { pendingRequests: 10 });
  const requests = forwarding(t);
  for (let i = 0; i < 50; i++) t.inject({ flags: "S", from: 2_000 + i });
  deepStrictEqual([requests.length, t.count("requests-full")], [10, 40]);
  for (const request of requests) request.reject("drop", t.now);
  t.inject({ flags: "S", from: 9_000 });
  strictEqual(requests.length, 11);
});

test("TcpDemux holds no more connections than its limit", () => {
  const t = new TcpBench(PLAIN, { connections: 2 });
  const results = [1, 2, 3].map((port) =>
    t.host.demux.connect({
      localAddress: US,
      remoteAddress: PEER,
      remotePort: port,
      path: t.host.environment.path,
    }, t.now)
  );
  ok(results[1] instanceof TcpConnection);
  strictEqual(results[2], "no-ports");
  strictEqual(t.count("connections-full"), 1);
});

test("TcpDemux.connect() picks ports from the ephemeral range, each once per destination", () => {
  const t = new TcpBench();
  const seen = new Set<number>();
  for (let i = 0; i < 500; i++) {
    const connection = t.host.demux.connect({
      localAddress: US,
      remoteAddress: PEER,
      remotePort: 443,
      path: t.host.environment.path,
    }, t.now);
    ok(connection instanceof TcpConnection);
    ok(connection.localPort >= EPHEMERAL_FIRST && connection.localPort <= EPHEMERAL_LAST);
    seen.add(connection.localPort);
  }
  strictEqual(seen.size, 500);
});

test("InitialSequence grows for one four-tuple, and tells nothing about others", () => {
  const isn = new InitialSequence(seeded(1));
  const first = isn.sequence(US, 1, PEER, 2, 0 as Instant);
  const later = isn.sequence(US, 1, PEER, 2, 4_000_000 as Instant);
  strictEqual((later - first) | 0, 1_000_000); // RFC 6528: a clock of 4 µs
  notStrictEqual(isn.sequence(US, 1, PEER, 3, 0 as Instant), first);
  notStrictEqual(new InitialSequence(seeded(2)).sequence(US, 1, PEER, 2, 0 as Instant), first);
  notStrictEqual(first, isn.sequence(PEER, 2, US, 1, 0 as Instant));
});

test("TupleTable finds what was added, and nothing that was removed", () => {
  class Item {
    chain: Item | undefined = undefined;
    hash = 0;
    constructor(
      readonly localAddress: IpAddress,
      readonly localPort: number,
      readonly remoteAddress: IpAddress,
      readonly remotePort: number,
    ) {}
  }
  const table = new TupleTable<Item>(seeded(3));
  const items = Array.from(
    { length: 5_000 },
    (_, i) => new Item(US, i % 7, IpAddress.v4(i >> 3), 1_000 + (i & 7)),
  );
  for (const item of items) table.add(item);
  strictEqual(table.size, 5_000);
  for (const item of items) {
    strictEqual(table.find(US, item.localPort, item.remoteAddress, item.remotePort), item);
  }
  for (let i = 0; i < 5_000; i += 2) ok(table.remove(items[i]!));
  ok(!table.remove(items[0]!));
  for (const [i, item] of items.entries()) {
    strictEqual(
      table.find(US, item.localPort, item.remoteAddress, item.remotePort),
      i % 2 === 0 ? undefined : item,
    );
  }
  strictEqual([...table].length, 2_500);
});

test("TcpConnection survives segments made of noise, in every state", () => {
  const letters = ["S", "F", "R", "P", "A", "U", "E", "C"];
  for (let seed = 1; seed <= 300; seed++) {
    const random = seeded(seed);
    const pick = (n: number) => random() % n;
    const near = (at: number) =>
      at + [0, 1, -1, 500, -500, 70_000, -70_000, 2 ** 31 - 5, pick(2_000)][pick(9)]!;
    const t = new TcpBench({
      timestamps: pick(2) === 0,
      sack: pick(2) === 0,
      windowScale: pick(2) === 0,
      ecn: "request",
    });
    if (pick(4) === 0) t.open();
    else t.establish({ sackPermitted: true, timestamp: 5, windowScale: pick(16), window: pick(3) * 20_000 });
    for (let step = 0; step < 60; step++) {
      const connection = t.connection;
      const action = pick(12);
      if (action === 0) t.write(pick(20_000));
      else if (action === 1) t.read();
      else if (action === 2 && pick(4) === 0) connection.shutdown(t.now);
      else if (action === 3 && pick(8) === 0) connection.close(t.now);
      else if (action === 4) t.advance(pick(3_000_000));
      else if (action === 5) t.all();
      else if (action === 6) {
        connection.onIcmpError("packet-too-big", pick(2_000), near(t.iss) | 0, t.now);
      } else {
        let flags = pick(8) > 0 ? "A" : "";
        for (const letter of letters) if (pick(10) === 0) flags += letter;
        t.inject({
          flags,
          seq: near(connection.receiver.next + 20),
          ack: near((connection.sender.una - t.iss) | 0),
          window: [0, 1, 500, 65_535][pick(4)]!,
          data: pick(3) === 0 ? pick(1_500) : 0,
          mss: pick(2_000),
          sack: pick(3) === 0 ? [[near(1), near(2_000)], [near(5_000), near(9_000)]] : [],
          ...(pick(2) === 0 ? { timestamp: near(5), timestampEcho: near(5) } : {}),
          ce: pick(5) === 0,
        });
      }
      const { sender, receiver } = t.connection;
      const { board } = sender.recovery;
      const sane = board.sacked >= 0 && board.lost >= 0 && board.resent >= 0 && sender.flight >= 0 &&
        sender.outstanding >= 0 && sender.outstanding <= sender.queue.length + 1 && receiver.window >= 0;
      ok(
        sane,
        `seed ${seed} step ${step}: ${board.sacked} ${board.lost} ${board.resent} ${sender.outstanding}`,
      );
      const records = [];
      for (let r = board.records.head; r !== undefined; r = r.next) records.push(r);
      strictEqual(records.length, board.records.count, `seed ${seed}`);
      strictEqual(records.reduce((n, r) => n + (r.sacked ? r.length : 0), 0), board.sacked, `seed ${seed}`);
      strictEqual(
        records.reduce((n, r) => n + (r.lost ? r.length : 0), 0),
        board.lost,
        `seed ${seed} step ${step}`,
      );
      strictEqual(records.reduce((n, r) => n + (r.resent ? r.length : 0), 0), board.resent, `seed ${seed}`);
      strictEqual(records.reduce((n, r) => n + r.length, 0), sender.outstanding, `seed ${seed} step ${step}`);
    }
    t.all();
  }
});
