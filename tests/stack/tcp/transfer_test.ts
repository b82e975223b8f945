/**
 * Two real sides and a wire that loses, doubles and reorders: whatever happens, the bytes arrive.
 *
 * @module
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { TcpConnection } from "../../../lib/stack/tcp/connection.ts";
import type { TcpOptions } from "../../../lib/stack/tcp/options.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { completeChecksum } from "../../../lib/stack/wire/checksum.ts";
import { Gso, HEADROOM } from "../../../lib/stack/buffer/packet.ts";
import { pattern, PEER, seeded, TcpHost, US } from "../../support/tcp.ts";

interface Wire {
  readonly loss: number;
  readonly reorder: number;
  readonly duplicate: number;
  readonly delay: number;
}

interface Flight {
  readonly at: number;
  readonly order: number;
  readonly bytes: Uint8Array;
  readonly toB: boolean;
}

class World {
  readonly a: TcpHost;
  readonly b: TcpHost;
  now = 1_000_000;
  flights: Flight[] = [];
  sent = 0;
  #order = 0;
  readonly #random: () => number;

  constructor(readonly wire: Wire, seed: number, options: Partial<TcpOptions>, mtu: number, gso = 0) {
    this.a = new TcpHost(seed, options, {}, { mtu, gsoMaxSize: gso });
    this.b = new TcpHost(seed + 1, options, {}, { mtu, gsoMaxSize: gso });
    this.#random = seeded(seed + 2);
  }

  #chance(p: number): boolean {
    return p > 0 && this.#random() / 2 ** 32 < p;
  }

  #transmit(packet: PacketBuffer, toB: boolean): void {
    const segments: Uint8Array[] = [];
    if (packet.gso === Gso.none) {
      completeChecksum(packet);
      segments.push(packet.toBytes());
    } else segments.push(...cut(packet));
    packet.release();
    for (const bytes of segments) {
      this.sent++;
      if (this.#chance(this.wire.loss)) continue;
      const copies = this.#chance(this.wire.duplicate) ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const delay = this.wire.delay * (this.#chance(this.wire.reorder) ? 1.3 : 1);
        this.flights.push({ at: this.now + delay, order: this.#order++, bytes, toB });
      }
    }
  }

  /** One step: everything that can happen now, or else the clock moves. Returns false when nothing ever will. */
  step(): boolean {
    for (const host of [this.a, this.b]) {
      host.now = this.now as Instant;
      host.fire();
      host.poll();
      for (let packet = host.pull(); packet !== undefined; packet = host.pull()) {
        this.#transmit(packet, host === this.a);
      }
    }
    let at = Math.min(this.a.environment.timers.next(), this.b.environment.timers.next());
    for (const flight of this.flights) at = Math.min(at, flight.at);
    if (at === Infinity) return false;
    this.now = Math.max(at, this.now);
    const due = this.flights.filter((f) => f.at <= this.now).sort((x, y) => x.at - y.at || x.order - y.order);
    this.flights = this.flights.filter((f) => f.at > this.now);
    for (const flight of due) {
      const packet = new PacketBuffer(new Uint8Array(HEADROOM + flight.bytes.length), HEADROOM);
      packet.bytes.set(flight.bytes, HEADROOM);
      const host = flight.toB ? this.b : this.a;
      host.now = this.now as Instant;
      host.push(packet, flight.toB ? US : PEER, flight.toB ? PEER : US);
    }
    return true;
  }
}

/** What a link does with a super-packet, without its checksums: the test's wire vouches for them. */
function cut(packet: PacketBuffer): Uint8Array[] {
  const whole = packet.toBytes();
  const header = (whole[12]! >>> 4) * 4;
  const segments: Uint8Array[] = [];
  const size = packet.gsoSize;
  for (let at = header; at < whole.length; at += size) {
    const bytes = new Uint8Array(header + Math.min(size, whole.length - at));
    bytes.set(whole.subarray(0, header));
    bytes.set(whole.subarray(at, at + size), header);
    const view = new DataView(bytes.buffer);
    view.setInt32(4, (view.getInt32(4) + at - header) | 0);
    if (at + size < whole.length) bytes[13]! &= ~9;
    const one = new PacketBuffer(bytes);
    one.checksum = 1;
    one.checksumStart = 0;
    one.checksumOffset = 16;
    // The pseudo-header sum holds the length of the whole; take the difference off.
    let sum = view.getUint16(16) - (whole.length - bytes.length);
    while (sum < 0) sum += 0xffff;
    view.setUint16(16, sum);
    completeChecksum(one);
    segments.push(bytes);
  }
  return segments;
}

class Receiving {
  readonly chunks: Uint8Array[] = [];
  length = 0;
  ended = false;
  error: string | undefined;
  constructor(readonly reply: number) {}
  onTcpEvent(connection: TcpConnection, _events: number, now: Instant): void {
    const n = connection.receiveQueue.length;
    if (n > 0) {
      const bytes = new Uint8Array(n);
      connection.receiveQueue.copyTo(bytes);
      connection.consume(n, now);
      this.chunks.push(bytes);
      this.length += n;
    }
    if (connection.error !== undefined) this.error = connection.error;
    if (connection.peerClosed && !this.ended) {
      this.ended = true;
      connection.shutdown(now);
    }
  }
  bytes(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

class Sending extends Receiving {
  written = 0;
  constructor(readonly data: Uint8Array) {
    super(0);
  }
  override onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    if (this.written < this.data.length) {
      this.written += connection.writeBytes(this.data.subarray(this.written), now);
      if (this.written === this.data.length) connection.shutdown(now);
    }
    super.onTcpEvent(connection, events, now);
  }
}

function transfer(
  wire: Wire,
  size: number,
  seed: number,
  options: Partial<TcpOptions>,
  mtu = 1_500,
  gso = 0,
): World {
  const world = new World(wire, seed, options, mtu, gso);
  const receiving = new Receiving(0);
  const listener = world.b.demux.listen({
    port: 80,
    observer: {
      onTcpAccept(l, now) {
        for (let c = l.accept(now); c !== undefined; c = l.accept(now)) c.observer = receiving;
      },
    },
  }, world.now as Instant);
  ok(typeof listener !== "string");
  const sending = new Sending(pattern(size));
  const client = world.a.demux.connect({
    localAddress: US,
    remoteAddress: PEER,
    remotePort: 80,
    path: world.a.environment.path,
    observer: sending,
  }, world.now as Instant);
  ok(client instanceof TcpConnection);
  let steps = 0;
  while (world.step() && !(receiving.ended && sending.ended && world.b.environment.gone.length > 0)) {
    if (++steps > 2_000_000) {
      throw new Error(`Cannot finish, seed ${seed}: ${JSON.stringify(client.facts())}`);
    }
  }
  strictEqual(receiving.error, undefined, `seed ${seed}`);
  strictEqual(receiving.length, size, `seed ${seed}: ${JSON.stringify(client.facts())}`);
  deepStrictEqual(receiving.bytes(), sending.data, `seed ${seed}`);
  return world;
}

const CALM: Wire = { loss: 0, reorder: 0, duplicate: 0, delay: 5_000 };

test("TcpConnection moves a megabyte over a calm wire without a retransmission", () => {
  const world = transfer(CALM, 1_000_000, 1, {});
  strictEqual(world.a.environment.counters.get("tcp.timeouts"), 0);
  ok(world.now < 3_000_000, `took ${world.now} µs`);
});

test("TcpConnection moves a megabyte as super-segments", () => {
  transfer(CALM, 1_000_000, 2, {}, 1_500, 65_536);
});

test("TcpConnection moves a megabyte in segments of 64 KiB", () => {
  transfer(CALM, 1_000_000, 3, {}, 65_520);
});

const WIRES: [what: string, wire: Wire][] = [
  ["loses 5 %", { loss: 0.05, reorder: 0, duplicate: 0, delay: 5_000 }],
  ["reorders 10 %", { loss: 0, reorder: 0.1, duplicate: 0, delay: 5_000 }],
  ["doubles 10 %", { loss: 0, reorder: 0, duplicate: 0.1, delay: 5_000 }],
  ["does it all", { loss: 0.03, reorder: 0.05, duplicate: 0.05, delay: 5_000 }],
];
const KINDS: [what: string, options: Partial<TcpOptions>, mtu: number, gso: number][] = [
  ["with all options", {}, 1_500, 0],
  ["with super-segments", {}, 1_500, 65_536],
  ["without SACK", { sack: false }, 1_500, 0],
  [
    "without any option",
    { sack: false, timestamps: false, windowScale: false, congestion: "reno" },
    1_500,
    0,
  ],
];
for (const [what, wire] of WIRES) {
  for (const [kind, options, mtu, gso] of KINDS) {
    test(`TcpConnection delivers every byte over a wire that ${what}, ${kind}`, () => {
      for (const seed of [11, 12, 13]) transfer(wire, 200_000, seed, options, mtu, gso);
    });
  }
}

/** Reads up to marks, and notes what is there. */
class Marked extends Receiving {
  readonly marks: number[] = [];
  override onTcpEvent(connection: TcpConnection, events: number, now: Instant): void {
    for (let mark = connection.urgentMark; mark >= 0; mark = connection.urgentMark) {
      connection.consume(mark + 1, now);
      this.length += mark + 1;
      this.marks.push(this.length);
    }
    super.onTcpEvent(connection, events, now);
  }
}

for (const gso of [0, 65_535]) {
  for (let seed = 1; seed <= 8; seed++) {
    test(`TcpConnection: each mark arrives where it was set, seed ${seed}, super-segments ${gso > 0}`, () => {
      const wire = { loss: 0.05, reorder: 0.05, duplicate: 0.05, delay: 5_000 };
      const world = new World(wire, seed, {}, 1_500, gso);
      const random = seeded(seed);
      const marked = new Marked(0);
      world.b.demux.listen({
        port: 80,
        observer: { onTcpAccept: (l, now) => void (l.accept(now)!.observer = marked) },
      }, world.now as Instant);
      const client = world.a.demux.connect({
        localAddress: US,
        remoteAddress: PEER,
        remotePort: 80,
        path: world.a.environment.path,
      }, world.now as Instant);
      ok(client instanceof TcpConnection);
      const set: number[] = [];
      let written = 0;
      for (let steps = 0; marked.marks.length < 30; steps++) {
        ok(world.step() && steps < 100_000, `${marked.marks} of ${set}`);
        // One at a time: the next would take its place.
        if (client.state !== "established" || marked.marks.length < set.length || set.length === 30) continue;
        written += client.writeBytes(pattern(1 + random() % 20_000), world.now as Instant);
        client.markUrgent(world.now as Instant);
        set.push(written);
        written += client.writeBytes(pattern(random() % 3_000), world.now as Instant);
      }
      deepStrictEqual(marked.marks, set);
    });
  }
}
