/**
 * Many flows through one bottleneck.
 */

import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { Tbf } from "../../lib/stack/qdisc/tbf.ts";
import { later, MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import type { App } from "./apps.ts";
import { Lab } from "./lab.ts";

const SEED = 31;

/** Jain's index: 1 if all have the same, 1/n if one has everything. */
function fairness(shares: number[]): number {
  const sum = shares.reduce((a, b) => a + b, 0);
  return sum * sum / (shares.length * shares.reduce((a, b) => a + b * b, 0));
}

const CASES: [flows: number, congestion: "cubic" | "reno", delay: number][] = [
  [2, "cubic", 10],
  [8, "cubic", 10],
  [32, "cubic", 10],
  [8, "reno", 10],
];
for (const [flows, congestion, delay] of CASES) {
  test(`${congestion} shares a bottleneck among ${flows} flows`, () => {
    const rate = 2_500_000;
    const seconds = 30;
    const it = new Lab({
      seed: SEED,
      there: { delay: delay * MILLISECOND, rate, queue: 100_000 },
      back: { delay: delay * MILLISECOND },
      tcp: { congestion },
    });
    const servers: App[] = [];
    for (let i = 0; i < flows; i++) {
      servers.push(it.connect({ send: Infinity }, {}).server);
      it.world.run(() => false, 20 * MILLISECOND);
    }
    it.world.run(() => false, 5 * SECOND);
    const before = servers.map((server) => server.received);
    it.world.run(() => false, seconds * SECOND);
    const shares = servers.map((server, i) => server.received - before[i]!);
    const total = shares.reduce((a, b) => a + b, 0);
    ok(total > 0.9 * 0.95 * rate * seconds, `seed ${SEED}: the bottleneck idles: ${total} bytes`);
    ok(fairness(shares) > 0.85, `seed ${SEED}: ${fairness(shares).toFixed(3)} of ${shares}`);
    ok(Math.min(...shares) > total / flows / 5, `seed ${SEED}: a flow starves: ${shares}`);
    for (const server of servers) strictEqual(server.wrongAt, -1);
  });
}

test("TCP feels a token bucket as back-pressure: the rate to 1 %, and nothing lost", () => {
  const rate = 1_250_000;
  const burst = 20_000;
  const it = new Lab({
    seed: SEED,
    there: { delay: 5 * MILLISECOND },
    back: { delay: 5 * MILLISECOND },
    qdisc: new Tbf({ rate, burst, mtu: 1500, gsoMaxSize: 0 }),
  });
  const apps = [1, 2, 3, 4].map(() => it.connect({ send: Infinity }, {}));
  const start = it.world.now;
  const bytes = () => it.client.nic.qdiscFacts().bytes;
  it.world.run(() => false, 10 * SECOND);
  const want = burst + rate * (it.world.now - start) / SECOND;
  ok(Math.abs(bytes() - want) < 0.01 * want, `${bytes()} instead of ${want}`);
  strictEqual(it.client.nic.qdiscFacts().drops, 0);
  for (const { client, server } of apps) {
    strictEqual(client.connection!.facts().tcp!.retransmits, 0);
    strictEqual(server.wrongAt, -1);
  }
  const shares = apps.map(({ server }) => server.received);
  ok(fairness(shares) > 0.98, `${shares}`);
});

test("TCP is not shut out of a token bucket by a flood of datagrams, nor loses to it", () => {
  const rate = 1_250_000;
  const it = new Lab({
    seed: SEED,
    there: { delay: 5 * MILLISECOND },
    back: { delay: 5 * MILLISECOND },
    qdisc: new Tbf({ rate, burst: 20_000, mtu: 1500, gsoMaxSize: 0 }),
  });
  const { client, server } = it.connect({ send: Infinity }, {});
  ok(it.world.run(() => client.established, SECOND));
  const udp = it.client.stack.udpBind({
    localAddress: it.client.address,
    localPort: 9,
    remoteAddress: it.server.address,
    remotePort: 9,
    observer: { onUdpDatagram: () => {} },
  }, it.world.now);
  if (typeof udp === "string") throw new Error(`Cannot bind: ${udp}`);
  let next = it.world.now;
  it.world.add({
    pollAt: () => next,
    poll(now) {
      // 2.8 MB/s, more than twice the rate.
      next = later(next, 500);
      const datagram = it.client.pool.take(1400);
      datagram.end = datagram.start + 1400;
      udp.send(datagram, now);
    },
  });
  it.world.run(() => false, 5 * SECOND);
  const before = server.received;
  it.world.run(() => false, 10 * SECOND);
  const share = (server.received - before) / (10 * rate);
  ok(share > 0.05, `${share}`);
  strictEqual(client.connection!.facts().tcp!.retransmits, 0);
  ok(it.client.nic.qdiscFacts().drops > 0, "the datagrams pay");
});
