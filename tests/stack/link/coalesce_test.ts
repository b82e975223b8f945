import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Checksum, Gso, PacketBuffer } from "../../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../../lib/stack/buffer/pool.ts";
import { Counter } from "../../../lib/stack/counters.ts";
import { Coalescer, MAX_HELD } from "../../../lib/stack/link/coalesce.ts";
import { NO_OFFLOAD } from "../../../lib/stack/link/link.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { MacAddress } from "../../../lib/stack/wire/ethernet.ts";
import { TcpFlag } from "../../../lib/stack/wire/tcp.ts";
import { cutAgain, PEER, type TcpFrame, tcpFrame, US } from "../../support/tcp_frame.ts";
import { between, pick, randomBytes, seeded } from "../../support/random.ts";
import { Client, EchoServer } from "../../support/tcp_echo.ts";
import { ip, Pair } from "../../support/two_stacks.ts";

const NOW = 0 as Instant;
const { ack, psh, fin, ece, cwr } = TcpFlag;

class World {
  readonly out: PacketBuffer[] = [];
  readonly merged = new Counter("merged");
  readonly coalescer = new Coalescer(US, { coalesced: (packet) => void this.out.push(packet) }, this.merged);

  take(...frames: PacketBuffer[]): this {
    for (const one of frames) this.coalescer.take(one, NOW);
    return this;
  }

  flush(): PacketBuffer[] {
    this.coalescer.flush(NOW);
    equal(this.coalescer.pending, false);
    return this.out;
  }
}

for (const family of [4, 6] as const) {
  test(`what Coalescer merges over IPv${family} and Segmenter cuts is what came, byte for byte`, () => {
    const random = seeded(21);
    const pieces = [1_448, 1_448, 1_448, 1_448, 77].map((n) => randomBytes(random, n));
    let sequence = 0x7fff_ff00; // The numbers wrap on the way.
    const frames = pieces.map((payload, i) => {
      const flags = i === pieces.length - 1 ? ack | psh : ack;
      const made = tcpFrame({ family, sequence, payload, flags, identification: 0xfffe + i });
      sequence += payload.length;
      return made;
    });
    const expected = frames.map((one) => one.toBytes());
    const world = new World().take(...frames);
    equal(world.out.length, 1, "PSH completes it without a flush");
    equal(world.merged.value, 4);
    const [whole] = world.out;
    equal(whole!.checksum, Checksum.partial);
    equal(whole!.gsoSize, 1_448);
    deepEqual(cutAgain(whole!).map((one) => one.toBytes()), expected);
  });
}

const THEN = { sequence: 1_000 };
const APART: [why: string, second: TcpFrame][] = [
  ["a gap", { sequence: 1_001 }],
  ["an overlap", { sequence: 999 }],
  ["another acknowledgment", { ...THEN, acknowledgment: 6 }],
  ["another window", { ...THEN, window: 101 }],
  ["another timestamp", { ...THEN, timestamp: 10 }],
  ["another traffic class", { ...THEN, trafficClass: 3 }],
  ["another hop limit", { ...THEN, hopLimit: 63 }],
  ["another DF", { ...THEN, dontFragment: false }],
  ["a fragment", { ...THEN, dontFragment: false, moreFragments: true }],
  ["a longer payload", { ...THEN, payload: new Uint8Array(1_001) }],
  ["no payload", { ...THEN, payload: new Uint8Array(0) }],
  ["FIN", { ...THEN, flags: ack | fin }],
  ["RST", { ...THEN, flags: ack | TcpFlag.rst }],
  ["SYN", { ...THEN, flags: ack | TcpFlag.syn }],
  ["URG", { ...THEN, flags: ack | TcpFlag.urg }],
  ["ECE", { ...THEN, flags: ack | ece }],
  ["CWR", { ...THEN, flags: ack | cwr }],
  ["no ACK", { ...THEN, flags: psh }],
  ["another source on the link", { ...THEN, from: new MacAddress(0x0200, 3) }],
  ["another destination on the link", { ...THEN, to: PEER }],
  ["another connection", { ...THEN, port: 1_001 }],
  ["another family", { ...THEN, family: 6 }],
];

for (const [why, second] of APART) {
  test(`Coalescer keeps frames apart, and in order: ${why}`, () => {
    const frames = [tcpFrame({}), tcpFrame(second)];
    const expected = frames.map((one) => one.toBytes());
    const out = new World().take(...frames).flush();
    deepEqual(out.map((one) => one.toBytes()), expected);
    ok(out.every(({ gso, checksum }) => gso === Gso.none && checksum === Checksum.unknown));
  });
}

test("Coalescer lets a frame with a wrong checksum pass alone, first or not", () => {
  for (const bad of [0, 1, 2]) {
    const frames = [0, 1, 2].map((i) => tcpFrame({ sequence: 1_000 * i }));
    const broken = frames[bad]!;
    broken.bytes[broken.end - 1]! ^= 1;
    const out = new World().take(...frames).flush();
    ok(out.includes(broken));
    equal(broken.gso, Gso.none);
    equal(broken.checksum, Checksum.unknown, "the stack counts it");
    equal(out.length, bad === 1 ? 3 : 2);
  }
});

test("Coalescer believes a link that vouches for checksums", () => {
  const frames = [tcpFrame({}), tcpFrame(THEN)];
  for (const one of frames) {
    one.bytes[one.end - 1]! ^= 1;
    one.checksum = Checksum.valid;
  }
  equal(new World().take(...frames).flush().length, 1);
});

test("Coalescer keeps connections apart that take turns, and holds no more than it may", () => {
  const world = new World();
  for (let i = 0; i < 4; i++) {
    for (let port = 1; port <= MAX_HELD; port++) world.take(tcpFrame({ port, sequence: 1_000 * i }));
  }
  equal(world.out.length, 0);
  equal(world.merged.value, 3 * MAX_HELD);
  world.take(tcpFrame({ port: MAX_HELD + 1 }));
  equal(world.out.length, 1);
  equal(world.flush().length, MAX_HELD + 1);
});

test("Coalescer stops at the longest IP packet", () => {
  const world = new World();
  for (let i = 0; i < 66; i++) world.take(tcpFrame({ sequence: 1_000 * i }));
  const [first, second] = world.flush();
  equal(first!.totalLength, 14 + 52 + 65_000);
  equal(second!.totalLength, 14 + 52 + 1_000);
});

test("Coalescer.reset() lets go of every buffer", () => {
  const pool = new BufferPool();
  const world = new World().take(tcpFrame({}, pool), tcpFrame(THEN, pool), tcpFrame({ port: 2 }, pool));
  equal(pool.idle().medium, 0);
  world.coalescer.reset();
  equal(world.coalescer.pending, false);
  equal(pool.idle().medium, 3);
});

test("Coalescer never loses, invents or reorders a byte of a connection, whatever comes", () => {
  const random = seeded(22);
  for (let round = 0; round < 300; round++) {
    const sequences = [0, 0, 0];
    const expected = new Connections();
    const world = new World();
    for (let i = 0; i < 60; i++) {
      const port = between(random, 0, 2);
      const payload = randomBytes(random, pick(random, [0, 1, 99, 100, 100, 100, 100, 101]));
      const one = tcpFrame({
        port: port + 1,
        sequence: sequences[port]! + (random() % 16 === 0 ? between(random, -200, 200) : 0),
        payload,
        flags: random() % 8 === 0 ? random() & 0xff : ack,
        window: random() % 16 === 0 ? 7 : 100,
        trafficClass: random() % 16 === 0 ? 3 : 0,
      });
      sequences[port]! += payload.length;
      if (random() % 12 === 0) one.bytes[between(random, one.start + 14, one.end - 1)]! = random();
      if (random() % 24 === 0) one.end = between(random, one.start, one.end);
      expected.add(one);
      world.take(one);
      if (random() % 32 === 0) world.coalescer.flush(NOW);
    }
    const seen = new Connections();
    for (const packet of world.flush()) for (const one of cutAgain(packet)) seen.add(one);
    deepEqual(seen.frames, expected.frames, `seed 22, round ${round}`);
  }
});

/** Frames by what they say of addresses and ports, in order: that is a connection, damaged or not. */
class Connections {
  readonly frames: Record<string, Uint8Array[]> = {};

  add(one: PacketBuffer): void {
    const bytes = one.toBytes();
    if (bytes.length < 38) return;
    // What has no meaning in a whole packet is not kept: the identification, and with it the header's checksum.
    const plain = bytes.with(18, 0).with(19, 0).with(24, 0).with(25, 0);
    (this.frames[bytes.subarray(26, 38).join()] ??= []).push(plain);
  }
}

for (const remote of ["10.0.0.2", "fd00::2"]) {
  test(`TCP to ${remote} delivers the same with coalescing, over a wire that loses frames`, () => {
    const random = seeded(23);
    const pair = new Pair({
      capabilities: NO_OFFLOAD,
      a: { coalesce: true },
      b: { coalesce: true },
      filter: () => random() % 200 !== 0,
    });
    pair.b.stack.tcpListen({ port: 7, observer: new EchoServer() }, pair.now);
    const bytes = randomBytes(seeded(24), 1_000_000);
    const client = new Client(bytes);
    pair.a.stack.tcpConnect({ remoteAddress: ip(remote), remotePort: 7, observer: client }, pair.now);
    pair.run(60_000_000, () => client.done);
    equal(client.count, bytes.length);
    deepEqual(new Uint8Array(Buffer.concat(client.received)), bytes);
    ok(pair.b.stack.counters.get("ethernet.coalesced") > 300);
  });
}

test("a capture sees every frame as it came, though the interface coalesces", () => {
  const pair = new Pair({ capabilities: NO_OFFLOAD, b: { coalesce: true } });
  let longest = 0, frames = 0;
  pair.b.stack.observeFrames({
    outbound: () => {},
    inbound: (_nic, seen) => {
      frames++;
      longest = Math.max(longest, seen.totalLength);
    },
    outcome: (dropped) => equal(dropped, undefined),
  });
  pair.b.stack.tcpListen({ port: 7, observer: new EchoServer() }, pair.now);
  const client = new Client(new Uint8Array(200_000));
  pair.a.stack.tcpConnect({ remoteAddress: ip("10.0.0.2"), remotePort: 7, observer: client }, pair.now);
  pair.run(20_000_000, () => client.done);
  equal(longest, 1_514);
  equal(frames, pair.b.nic.rx.packets);
});

test("a capture sees every frame as it leaves, though the link cuts", () => {
  const capabilities = { txChecksum: true, rxChecksum: false, gsoMaxSize: 65_535 };
  for (const observed of [true, false]) {
    const longest = { seen: 0, sent: 0 };
    let partial = 0;
    const filter = (frame: PacketBuffer, from: "a" | "b") => {
      if (from === "a") longest.sent = Math.max(longest.sent, frame.totalLength);
      return true;
    };
    const pair = new Pair({ capabilities, filter, a: { showWire: true } });
    if (observed) {
      pair.a.stack.observeFrames({
        outbound: (_nic, frame) => {
          longest.seen = Math.max(longest.seen, frame.totalLength);
          if (frame.checksum === Checksum.partial) partial++;
        },
        inbound: () => {},
        outcome: () => {},
      });
    }
    pair.b.stack.tcpListen({ port: 7, observer: new EchoServer() }, pair.now);
    const client = new Client(new Uint8Array(200_000));
    pair.a.stack.tcpConnect({ remoteAddress: ip("10.0.0.2"), remotePort: 7, observer: client }, pair.now);
    pair.run(20_000_000, () => client.done);
    equal(longest.sent > 1_514, !observed);
    deepEqual([longest.seen, partial], [observed ? 1_514 : 0, 0]);
  }
});
