import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { TimerQueue } from "../../../lib/stack/buffer/timer_queue.ts";
import {
  type Datagram,
  MAX_GAPS,
  Reassembler,
  REASSEMBLY_TIMEOUT_V4,
  REASSEMBLY_TIMEOUT_V6,
} from "../../../lib/stack/ip/reassembly.ts";
import type { Tenants } from "../../../lib/stack/ip/fair_rate.ts";
import type { Nic } from "../../../lib/stack/nic.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { IpHeader, IpProtocol } from "../../../lib/stack/wire/ip.ts";
import { emitIpv4, parseIpv4 } from "../../../lib/stack/wire/ipv4.ts";
import { emitIpv6, emitIpv6Fragment, parseIpv6 } from "../../../lib/stack/wire/ipv6.ts";
import { randomBytes, seeded } from "../../support/random.ts";
import { ip } from "../../support/two_stacks.ts";

const NIC = {} as Nic;
const T0 = 1_000_000 as Instant;

/** A reassembler, its timers, and what it said. */
class Bench {
  readonly counts = new Map<string, number>();
  readonly timedOut: number[] = [];
  readonly timers = new TimerQueue<Datagram>();
  readonly reassembler: Reassembler;
  constructor(datagrams = 4, tenants: Tenants = {}) {
    this.reassembler = new Reassembler({
      pool: new BufferPool(),
      tenants,
      setTimer: (datagram, at) => this.timers.set(datagram, at),
      reassemblyTimedOut: (packet) => this.timedOut.push(packet.length),
      bump: (name) => this.counts.set(name, (this.counts.get(name) ?? 0) + 1),
    }, { datagrams });
  }

  /** Hands in bytes `[start, end)` of `payload`; returns the datagram's payload once it is whole. */
  add(family: 4 | 6, id: number, payload: Uint8Array, start: number, end: number, more: boolean, ecn = 0) {
    const packet = new PacketBuffer(new Uint8Array(128 + end - start), 128);
    packet.bytes.set(payload.subarray(start, end), 128);
    const header = new IpHeader();
    const fields = {
      source: ip(family === 4 ? "10.0.0.1" : "fd00::1"),
      destination: ip(family === 4 ? "10.0.0.2" : "fd00::2"),
      protocol: IpProtocol.udp as number,
      hopLimit: 9,
      trafficClass: ecn,
      identification: id,
      moreFragments: more,
      fragmentOffset: start,
    };
    if (family === 4) emitIpv4(packet, fields);
    else {
      emitIpv6Fragment(packet, fields.protocol, start, more, id);
      emitIpv6(packet, { ...fields, protocol: IpProtocol.ipv6Fragment });
    }
    equal((family === 4 ? parseIpv4 : parseIpv6)(packet, header), undefined);
    const whole = this.reassembler.add(packet, header, NIC, T0);
    packet.release();
    if (whole === undefined) return undefined;
    equal((family === 4 ? parseIpv4 : parseIpv6)(whole, header), undefined);
    equal(header.isFragment, false);
    equal(header.protocol, IpProtocol.udp);
    const bytes = whole.toBytes();
    const trafficClass = header.trafficClass;
    whole.release();
    return { bytes, trafficClass };
  }

  tick(now: number): void {
    for (
      let due = this.timers.popDue(now as Instant);
      due !== undefined;
      due = this.timers.popDue(now as Instant)
    ) {
      due.onTimer(now as Instant);
    }
  }
}

const PAYLOAD = randomBytes(seeded(5), 4_000);
type Piece = [start: number, end: number, more: boolean];
const A: Piece = [0, 1_480, true];
const B: Piece = [1_480, 2_960, true];
const C: Piece = [2_960, 4_000, false];

const ORDERS: [why: string, order: readonly Piece[]][] = [
  ["in order", [A, B, C]],
  ["backwards", [C, B, A]],
  ["with the middle last", [A, C, B]],
  ["with exact duplicates", [A, A, B, B, C]],
  ["with a duplicate across a border, byte for byte the same", [A, B, [1_472, 1_488, true], C]],
];
for (const family of [4, 6] as const) {
  for (const [why, order] of ORDERS) {
    test(`Reassembler.add() joins IPv${family} fragments ${why}`, () => {
      const bench = new Bench();
      let whole: Uint8Array | undefined;
      for (const [start, end, more] of order) {
        whole ??= bench.add(family, 7, PAYLOAD, start, end, more)?.bytes;
      }
      deepEqual(whole, PAYLOAD);
      equal(bench.reassembler.size, 0);
      equal(bench.timers.size, 0);
    });
  }

  test(`Reassembler.add() drops an IPv${family} datagram whole when fragments overlap (RFC 5722)`, () => {
    const bench = new Bench();
    const forged = PAYLOAD.map((byte) => byte ^ 0xff);
    equal(bench.add(family, 7, PAYLOAD, ...A), undefined);
    equal(bench.add(family, 7, forged, 1_472, 2_960, true), undefined); // Teardrop: reaches back 8 bytes.
    equal(bench.counts.get("ip.reassembly-overlap"), 1);
    equal(bench.add(family, 7, PAYLOAD, ...B), undefined);
    equal(bench.add(family, 7, PAYLOAD, ...C), undefined);
    equal(bench.counts.get("ip.reassembly-swallowed"), 2);
  });

  test(`Reassembler.add() does not let a forged IPv${family} duplicate in`, () => {
    const bench = new Bench();
    bench.add(family, 7, PAYLOAD, ...A);
    bench.add(family, 7, PAYLOAD.map((byte) => byte ^ 1), ...A);
    equal(bench.counts.get("ip.reassembly-overlap"), 1);
  });

  test(`Reassembler.add() refuses a second end of an IPv${family} datagram`, () => {
    for (const forgery of [[2_960, 3_000, false], [4_000, 4_008, true], [3_000, 4_008, false]] as Piece[]) {
      const bench = new Bench();
      bench.add(family, 7, PAYLOAD, ...C);
      bench.add(family, 7, randomBytes(seeded(1), 5_000), ...forgery);
      equal(bench.counts.get("ip.reassembly-bad-end"), 1);
    }
  });

  test(`Reassembler.expire() gives up on IPv${family} in time, and tells the sender if it saw the first part`, () => {
    const bench = new Bench();
    const timeout = family === 4 ? REASSEMBLY_TIMEOUT_V4 : REASSEMBLY_TIMEOUT_V6;
    bench.add(family, 1, PAYLOAD, ...A);
    bench.add(family, 2, PAYLOAD, ...C);
    bench.tick(T0 + timeout - 1);
    equal(bench.reassembler.size, 2);
    bench.tick(T0 + timeout);
    equal(bench.reassembler.size, 0);
    deepEqual(bench.timedOut, [1_480 + (family === 4 ? 20 : 40)]);
    equal(bench.counts.get("ip.reassembly-timeout"), 2);
  });

  test(`Reassembler.add() stays within its bounds under a flood of IPv${family} fragments`, () => {
    const bench = new Bench(4);
    for (let id = 0; id < 1_000; id++) bench.add(family, id, PAYLOAD, ...A);
    equal(bench.reassembler.size, 4);
    equal(bench.timers.size, 4);
    equal(bench.counts.get("ip.reassembly-evicted"), 996);
    bench.reassembler.reset();
    equal(bench.timers.size, 0);
  });

  test(`Reassembler.add() bounds the holes in one IPv${family} datagram`, () => {
    const bench = new Bench();
    for (let i = 0; i <= MAX_GAPS; i++) bench.add(family, 7, PAYLOAD, i * 16, i * 16 + 8, true);
    equal(bench.counts.get("ip.reassembly-too-many-gaps"), 1);
  });

  test(`Reassembler.add() carries a congestion mark of IPv${family} fragments over (RFC 3168)`, () => {
    const bench = new Bench();
    bench.add(family, 7, PAYLOAD, ...A, 2);
    bench.add(family, 7, PAYLOAD, ...B, 3);
    equal((bench.add(family, 7, PAYLOAD, ...C, 2)!.trafficClass) & 3, 3);
    bench.add(family, 8, PAYLOAD, ...A, 0);
    bench.add(family, 8, PAYLOAD, ...B, 3);
    equal(bench.add(family, 8, PAYLOAD, ...C, 0), undefined);
    equal(bench.counts.get("ip.reassembly-ecn-mismatch"), 1);
  });
}

test("Reassembler.add() refuses an IPv4 datagram that its header makes longer than 65535 bytes", () => {
  const bench = new Bench();
  const giant = randomBytes(seeded(2), 65_528);
  bench.add(4, 7, giant, 0, 65_000, true);
  equal(bench.add(4, 7, giant, 65_000, 65_528, false), undefined);
  equal(bench.counts.get("ip.reassembly-too-long"), 1);
});

test("a guest that never finishes its datagrams evicts its own, not another's", () => {
  let guest = 1;
  const bench = new Bench(8, { of: () => guest });
  const payload = randomBytes(seeded(5), 64);
  equal(bench.add(4, 1, payload, 0, 32, true), undefined);
  guest = 2;
  for (let id = 100; id < 150; id++) equal(bench.add(4, id, payload, 0, 32, true), undefined);
  equal(bench.counts.get("ip.reassembly-evicted"), 46);
  guest = 1;
  deepEqual(bench.add(4, 1, payload, 32, 64, false)?.bytes.subarray(-64), payload);
});
