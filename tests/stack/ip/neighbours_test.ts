import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { TimerQueue } from "../../../lib/stack/buffer/timer_queue.ts";
import { type Neighbour, NeighbourCache } from "../../../lib/stack/ip/neighbours.ts";
import { type Instant, SECOND } from "../../../lib/stack/time.ts";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { ip, mac, Pair } from "../../support/two_stacks.ts";

const MAC1 = mac("02:00:00:00:00:01");
const MAC2 = mac("02:00:00:00:00:02");
const HIM = ip("10.0.0.7");

/** A cache, its clock and what it did. */
class Bench {
  now = 1_000_000 as Instant;
  readonly timers = new TimerQueue<Neighbour>();
  readonly log: string[] = [];
  readonly counts = new Map<string, number>();
  readonly cache: NeighbourCache;
  constructor(limits = { neighbours: 4, pendingPackets: 2 }) {
    this.cache = new NeighbourCache({
      random: () => 0,
      setTimer: (entry, at) => this.timers.set(entry, at),
      solicit: (_entry, unicast) => void this.log.push(unicast ? "probe" : "ask"),
      transmit: (entry, packet) => {
        this.log.push(`send ${entry.mac}`);
        packet.release();
      },
      unreachable: (_entry, packet) => {
        this.log.push("unreachable");
        packet.release();
      },
      bump: (name) => this.counts.set(name, (this.counts.get(name) ?? 0) + 1),
    }, limits);
  }
  /** Sends a packet as `IpOutput` would. */
  send(address: IpAddress): boolean {
    const entry = this.cache.entry(address);
    const ready = this.cache.use(entry, this.now);
    if (!ready) this.cache.hold(entry, new PacketBuffer(new Uint8Array(1)));
    return ready;
  }
  wait(seconds: number): void {
    const end = this.now + seconds * SECOND;
    while (this.timers.next() <= end) {
      this.now = this.timers.next();
      for (let due = this.timers.popDue(this.now); due !== undefined; due = this.timers.popDue(this.now)) {
        due.onTimer(this.now);
      }
    }
    this.now = end as Instant;
  }
  take(): string[] {
    return this.log.splice(0);
  }
}

test("NeighbourCache asks three times, then gives up, then asks again", () => {
  const bench = new Bench();
  equal(bench.send(HIM), false);
  deepEqual(bench.take(), ["ask"]);
  bench.wait(2.5);
  deepEqual(bench.take(), ["ask", "ask"]);
  bench.wait(1);
  deepEqual(bench.take(), ["unreachable"]);
  equal(bench.cache.peek(HIM)?.state, "failed");
  equal(bench.send(HIM), false);
  deepEqual(bench.take(), ["ask"]);
});

test("NeighbourCache sends what waited when the answer comes, oldest first and no more than fits", () => {
  const bench = new Bench();
  for (let i = 0; i < 5; i++) bench.send(HIM);
  bench.take();
  bench.cache.update(bench.cache.entry(HIM), MAC1, true, true, bench.now);
  deepEqual(bench.take(), [`send ${MAC1}`, `send ${MAC1}`]);
  equal(bench.counts.get("neighbour.pending-overflow"), 3);
  equal(bench.cache.peek(HIM)?.state, "reachable");
  equal(bench.timers.size, 0);
});

test("NeighbourCache goes from REACHABLE over STALE, DELAY and PROBE to FAILED", () => {
  const bench = new Bench();
  bench.cache.update(bench.cache.entry(HIM), MAC1, true, true, bench.now);
  bench.wait(60);
  equal(bench.timers.size, 0); // Nobody uses it: it costs nothing.
  equal(bench.send(HIM), true);
  equal(bench.cache.peek(HIM)?.state, "delay");
  bench.wait(5);
  equal(bench.cache.peek(HIM)?.state, "probe");
  bench.wait(3.5);
  deepEqual(bench.take(), ["probe", "probe", "probe"]);
  equal(bench.cache.peek(HIM)?.state, "failed");
});

test("NeighbourCache.confirm() spares the probe", () => {
  const bench = new Bench();
  bench.cache.update(bench.cache.entry(HIM), MAC1, false, true, bench.now);
  bench.send(HIM);
  bench.cache.confirm(bench.cache.entry(HIM), bench.now);
  equal(bench.cache.peek(HIM)?.state, "reachable");
  bench.wait(10);
  deepEqual(bench.take(), []);
});

test("NeighbourCache.update() honours the override flag (RFC 4861 section 7.2.5)", () => {
  const bench = new Bench();
  const entry = bench.cache.entry(HIM);
  bench.cache.update(entry, MAC1, true, true, bench.now);
  bench.cache.update(entry, MAC2, true, false, bench.now);
  equal(entry.state, "stale");
  ok(entry.mac.equals(MAC1));
  bench.cache.update(entry, MAC2, true, true, bench.now);
  ok(entry.mac.equals(MAC2));
});

test("NeighbourCache keeps permanent entries from the wire and from eviction", () => {
  const bench = new Bench();
  const entry = bench.cache.setPermanent(HIM, MAC1, bench.now);
  bench.cache.update(entry, MAC2, true, true, bench.now);
  bench.cache.learn(HIM, MAC2, bench.now);
  ok(entry.mac.equals(MAC1));
  for (let i = 0; i < 100; i++) bench.cache.learn(IpAddress.v4(0x0a000100 + i), MAC2, bench.now);
  equal(bench.cache.size, 4);
  equal(bench.cache.peek(HIM), entry);
  equal(bench.counts.get("neighbour.evicted"), 97);
});

test("NeighbourCache holds nothing for an entry that was evicted", () => {
  const bench = new Bench({ neighbours: 1, pendingPackets: 2 });
  bench.send(HIM);
  bench.send(ip("10.0.0.8"));
  equal(bench.cache.size, 1);
  equal(bench.timers.size, 1);
});

test("NeighbourCache keeps no packet where permanent entries have taken every place", () => {
  const bench = new Bench({ neighbours: 2, pendingPackets: 2 });
  for (const address of [ip("10.0.0.8"), ip("10.0.0.9")]) bench.cache.setPermanent(address, MAC1, bench.now);
  equal(bench.send(HIM), false);
  equal(bench.counts.get("neighbour.table-full"), 1);
  equal(bench.cache.size, 2);
});

test("Arp answers for our own addresses only", () => {
  const pair = new Pair({ b: { promiscuous: true } });
  for (const target of ["10.0.0.2", "10.0.0.9"]) {
    pair.a.stack.paths.resolve(ip(target), pair.now);
    pair.a.nic.neighbours.use(pair.a.nic.neighbours.entry(ip(target)), pair.now);
  }
  pair.settle();
  equal(pair.a.nic.neighbours.peek(ip("10.0.0.2"))?.state, "reachable");
  equal(pair.a.nic.neighbours.peek(ip("10.0.0.9"))?.state, "incomplete");
  equal(pair.b.nic.neighbours.peek(ip("10.0.0.1"))?.state, "stale");
});

test("Ndp answers for our own addresses only", () => {
  const pair = new Pair({ b: { promiscuous: true } });
  for (const target of ["fd00::2", "fd00::9"]) {
    pair.a.nic.neighbours.use(pair.a.nic.neighbours.entry(ip(target)), pair.now);
  }
  pair.settle();
  equal(pair.a.nic.neighbours.peek(ip("fd00::2"))?.state, "reachable");
  equal(pair.a.nic.neighbours.peek(ip("fd00::9"))?.state, "incomplete");
});

test("learnNeighbours makes an answer possible without a question", () => {
  const pair = new Pair({ b: { learnNeighbours: true } });
  pair.b.stack.udpBind({ localPort: 9, observer: { onUdpDatagram() {} } }, pair.now);
  const endpoint = pair.a.stack.udpBind({ observer: { onUdpDatagram() {} } }, pair.now);
  ok(typeof endpoint !== "string");
  endpoint.send(pair.payload("x"), pair.now, ip("10.0.0.2"), 9);
  pair.settle();
  equal(pair.b.nic.neighbours.peek(ip("10.0.0.1"))?.state, "reachable");
  equal(pair.b.stack.counters.get("arp.requests-sent"), 0);
});
