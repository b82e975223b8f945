/**
 * What every queueing discipline must do, and what sets the unshaped ones apart.
 */

import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { createQdisc, type QdiscKind, type QdiscOptions } from "../../../lib/stack/qdisc/qdisc.ts";
import { type Instant, NEVER } from "../../../lib/stack/time.ts";

const NOW = 1_000_000 as Instant;

function packet(length: number, mark = 0): PacketBuffer {
  const bytes = new Uint8Array(length);
  bytes[0] = mark;
  return new PacketBuffer(bytes);
}

const ALL: Record<QdiscKind, QdiscOptions> = {
  none: { kind: "none" },
  fifo: { kind: "fifo" },
  tbf: { kind: "tbf", rate: 1e12, burst: 1e7, mtu: 1500, gsoMaxSize: 0 },
};

for (const options of Object.values(ALL)) {
  const { kind } = options;

  test(`${kind} is idle when it is empty`, () => {
    const qdisc = createQdisc(options);
    strictEqual(qdisc.kind, kind);
    strictEqual(qdisc.dequeue(NOW), undefined);
    strictEqual(qdisc.pollAt(), NEVER);
    strictEqual(qdisc.full, false);
    const facts = qdisc.facts();
    strictEqual(facts.kind, kind);
    strictEqual(facts.packets + facts.bytes + facts.drops + facts.overlimits + facts.backlog + facts.qlen, 0);
  });

  test(`${kind} keeps the order and counts what leaves`, () => {
    const qdisc = createQdisc(options);
    for (let i = 0; i < 100; i++) ok(qdisc.enqueue(packet(100 + i, i), NOW));
    strictEqual(qdisc.facts().qlen, 100);
    strictEqual(qdisc.facts().backlog, 100 * 100 + 99 * 50);
    ok(qdisc.pollAt() <= NOW);
    for (let i = 0; i < 100; i++) strictEqual(qdisc.dequeue(NOW)?.bytes[0], i);
    strictEqual(qdisc.dequeue(NOW), undefined);
    const { packets, bytes, qlen, backlog } = qdisc.facts();
    strictEqual(`${packets} ${bytes} ${qlen} ${backlog}`, `100 ${100 * 100 + 99 * 50} 0 0`);
  });

  test(`${kind} counts payload held by reference`, () => {
    const qdisc = createQdisc(options);
    const frame = packet(54);
    frame.attach(packet(1000), 100, 900);
    qdisc.enqueue(frame, NOW);
    strictEqual(qdisc.facts().backlog, 854);
    qdisc.dequeue(NOW);
    strictEqual(qdisc.facts().bytes, 854);
  });

  test(`${kind} drops the 1001st packet, which stays the caller's`, () => {
    const qdisc = createQdisc(options);
    for (let i = 0; i < 1000; i++) ok(qdisc.enqueue(packet(60), NOW));
    strictEqual(qdisc.full, true);
    const last = packet(60);
    strictEqual(qdisc.enqueue(last, NOW), false);
    strictEqual(last.references, 1);
    strictEqual(qdisc.facts().drops, 1);
    strictEqual(qdisc.facts().qlen, 1000);
    qdisc.dequeue(NOW);
    strictEqual(qdisc.enqueue(last, NOW), true);
  });

  test(`${kind}.reset() releases what waits and counts it as dropped`, () => {
    const qdisc = createQdisc(options);
    const waiting = packet(60).retain();
    qdisc.enqueue(waiting, NOW);
    qdisc.reset();
    strictEqual(waiting.references, 1);
    strictEqual(qdisc.facts().drops, 1);
    strictEqual(qdisc.facts().qlen, 0);
    strictEqual(qdisc.pollAt(), NEVER);
  });

  test(`${kind} survives many times its length`, () => {
    const qdisc = createQdisc(options);
    let into = 0;
    let out = 0;
    for (let i = 0; i < 5000; i++) {
      for (let n = i % 7; n > 0; n--) ok(qdisc.enqueue(packet(60, into++ & 255), NOW));
      while (qdisc.facts().qlen > i % 5) strictEqual(qdisc.dequeue(NOW)?.bytes[0], out++ & 255);
    }
    strictEqual(into - out, qdisc.facts().qlen);
  });
}

test("none holds TCP back as soon as one frame waits for the wire", () => {
  const qdisc = createQdisc({ kind: "none" });
  qdisc.enqueue(packet(60), NOW);
  strictEqual(qdisc.full, true);
  qdisc.dequeue(NOW);
  strictEqual(qdisc.full, false);
});

test("fifo tells its limit and takes another", () => {
  const qdisc = createQdisc({ kind: "fifo", limit: 2 });
  strictEqual(qdisc.facts().limit, 2);
  strictEqual(qdisc.enqueue(packet(60), NOW) && qdisc.enqueue(packet(60), NOW), true);
  strictEqual(qdisc.enqueue(packet(60), NOW), false);
});
