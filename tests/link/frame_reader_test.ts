import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SO, SOCK, SOL } from "../../lib/host/constants.ts";
import { setOption } from "../../lib/host/inet.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, write } from "../../lib/host/sys.ts";
import { FRAME_MIN, type LengthSize } from "../../lib/link/frame_length.ts";
import { FrameReader } from "../../lib/link/frame_reader.ts";
import type { Merging } from "../../lib/link/merger.ts";
import { Checksum, Gso, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { MacAddress } from "../../lib/stack/wire/mac_address.ts";
import { TcpFlag } from "../../lib/stack/wire/tcp.ts";
import { toHex } from "../support/bytes.ts";
import { framed, framesIn } from "../support/framed.ts";
import { FRAMES } from "../support/frames.ts";
import { between, pick, randomBytes, seeded } from "../support/random.ts";
import { cutAgain, type TcpFrame, tcpFrame, US } from "../support/tcp_frame.ts";

const pool = new BufferPool(addressOf);
/** Its large buffers, blocks among them, are summed by vectors. */
const vectors = new BufferPool(addressOf);
vectors.useVectors();

interface World {
  readonly reader: FrameReader;
  readonly ends: string[];
  send(bytes: Uint8Array): void;
  received(): PacketBuffer[];
}

function withReader(
  merging: Partial<Merging>,
  body: (world: World) => void,
  lengthSize: LengthSize = 4,
  home = pool,
): void {
  const [near, far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  setOption(far, SOL.SOCKET, SO.SNDBUFFORCE, 4 << 20);
  const ends: string[] = [];
  const reader = new FrameReader({
    fd: near,
    pool: home,
    lengthSize,
    vnetHeader: 0,
    merging: { mac: US, trusted: false, enabled: () => true, ...merging },
    onEnd: (why) => void ends.push(why),
  });
  const send = (bytes: Uint8Array) => {
    const memory = new NativeMemory(bytes.length);
    memory.bytes.set(bytes);
    equal(write(far, memory.address, bytes.length), bytes.length);
  };
  const received = () => {
    const frames: PacketBuffer[] = [];
    for (let frame = reader.receive(); frame !== undefined; frame = reader.receive()) frames.push(frame);
    return frames;
  };
  try {
    body({ reader, ends, send, received });
  } finally {
    reader.close();
    close(near);
    close(far);
  }
}

/** What one connection sends at a stretch: numbered as a sender that cuts numbers. */
function stretch(count: number, options: TcpFrame & { random?: () => number } = {}): Uint8Array[] {
  const { random = seeded(1), ...rest } = options;
  return Array.from({ length: count }, (_, i) =>
    tcpFrame({
      ...rest,
      sequence: (options.sequence ?? 0) + 1_000 * i,
      identification: i,
      payload: randomBytes(random, 1_000),
    }).toBytes());
}

/** As the frames were sent, whatever they were merged to. */
function asSent(packets: readonly PacketBuffer[]): string[] {
  return packets.flatMap(cutAgain).map((frame) => toHex(frame.toBytes()));
}

test("a reader merges a stretch of one connection into one packet that refers to what it read", () => {
  withReader({}, ({ reader, send, received }) => {
    const frames = stretch(40);
    send(framed(frames));
    const packets = received();
    equal(packets.length, 1);
    const { gso, gsoSize, checksum, fragments } = packets[0]!;
    deepEqual([gso, gsoSize, checksum, fragments.length], [Gso.tcp4, 1_000, Checksum.partial, 39]);
    equal(new Set(fragments.map(({ buffer }) => buffer)).size, 1);
    deepEqual(asSent(packets), frames.map(toHex));
    const { rxFrames, rxMerged, rxBytes } = reader.counters;
    deepEqual([rxFrames, rxMerged, rxBytes], [40, 39, frames.reduce((sum, { length }) => sum + length, 0)]);
  });
});

for (const lengthSize of [4, 2] as const) {
  test(`whatever is merged, every frame can be had back, byte for byte and in order (${lengthSize})`, () => {
    const others = Object.values(FRAMES);
    for (let seed = 1; seed <= 30; seed++) {
      withReader(
        {},
        ({ send, received, ends }) => {
          const random = seeded(seed);
          const frames: Uint8Array[] = [];
          while (frames.length < 150) {
            const what = random() % 8;
            if (what === 0) frames.push(pick(random, others));
            else if (what === 1) frames.push(randomBytes(random, between(random, 14, 9_000)));
            else {
              const family = pick(random, [4, 6] as const);
              const flags = pick(random, [TcpFlag.ack, TcpFlag.ack, TcpFlag.ack | TcpFlag.psh]);
              const made = stretch(between(random, 1, 30), {
                family,
                flags,
                port: between(random, 1, 3),
                sequence: random() | 0,
                random,
              });
              // A bit that was lost on the way.
              if (what === 2) pick(random, made)[between(random, 60, 900)]! ^= 1;
              frames.push(...made);
            }
          }
          const bytes = framed(frames, lengthSize);
          const got: string[] = [];
          for (let at = 0; at < bytes.length;) {
            const n = Math.min(bytes.length - at, pick(random, [3, 700, 20_000, 66_048, 150_000]));
            send(bytes.subarray(at, at + n));
            at += n;
            got.push(...asSent(received()));
          }
          got.push(...asSent(received()));
          deepEqual(got, frames.map(toHex), `seed ${seed}`);
          deepEqual(ends, []);
        },
        lengthSize,
        pick(seeded(seed), [pool, vectors]),
      );
    }
  });
}

test("bytes that are still referred to stay as they were, however much is read after them", () => {
  withReader({ trusted: true }, ({ send, received }) => {
    const random = seeded(7);
    const sent: Uint8Array[] = [], kept: PacketBuffer[] = [];
    for (let i = 0; i < 60; i++) {
      const frames = stretch(between(random, 2, 60), { sequence: i * 100_000, random });
      send(framed(frames));
      sent.push(...frames);
      kept.push(...received());
    }
    deepEqual(asSent(kept), sent.map(toHex));
  });
});

test("nothing is merged that is for somebody else, while somebody captures, or without asking", () => {
  const frames = stretch(10);
  const cases: Partial<Merging>[] = [{ mac: new MacAddress(2, 9) }, { enabled: () => false }];
  for (const merging of cases) {
    withReader(merging, ({ reader, send, received }) => {
      send(framed(frames));
      equal(received().length, 10);
      equal(reader.counters.rxMerged, 0);
    });
  }
});

test("a frame with a bad checksum goes alone, unless no wire was crossed", () => {
  for (const home of [pool, vectors]) {
    for (const trusted of [false, true]) {
      withReader(
        { trusted },
        ({ send, received }) => {
          const frames = stretch(10);
          frames[5]![500]! ^= 1;
          send(framed(frames));
          const merged = received().map(({ fragments }) => fragments.length + 1);
          deepEqual(merged, trusted ? [10] : [5, 1, 4]);
        },
        4,
        home,
      );
    }
  }
});

for (
  const [what, bytes, frames, ends] of [
    ["no length", [0, 0], 0, ["announced a frame of 0 bytes"]],
    ["less than a header", [13, 0], 0, ["announced a frame of 13 bytes"]],
    ["a header", [14, 0, ...Array<number>(14).fill(1)], 1, []],
    ["half a length", [14], 0, []],
    ["half a frame", [14, 0, 1, 2, 3], 0, []],
    ["the longest", [0xff, 0xff, ...Array<number>(0xffff).fill(1)], 1, []],
    ["one too many", [14, 0, ...Array<number>(14).fill(1), 0, 0, 14, 0], 1, ["announced a frame of 0 bytes"]],
  ] as const
) {
  test(`lengths of 16 bits: ${what}`, () => {
    withReader(
      {},
      ({ reader, send, received, ends: heard }) => {
        send(Uint8Array.from(bytes));
        const got = received();
        equal(got.length, frames);
        for (const frame of got) frame.release();
        deepEqual(heard, ends);
        equal(reader.counters.rxBadLength, ends.length);
        // What has ended stays so, whatever comes.
        if (ends.length > 0) send(framed([new Uint8Array(20)], 2));
        equal(received().length, 0);
      },
      2,
    );
  });
}

test("a reader has a buffer as long as there is a part of a frame, or somebody refers to it", () => {
  pool.take(60_000).release();
  const before = pool.idle().large;
  withReader({}, ({ send, received }) => {
    for (const frame of received()) frame.release();
    equal(pool.idle().large, before);
    const whole = framed([FRAMES.arpRequest]);
    send(whole.subarray(0, 10));
    received();
    equal(pool.idle().large, before - 1);
    send(whole.subarray(10));
    for (const frame of received()) frame.release();
    equal(pool.idle().large, before);
  });
});

test("whatever comes, a reader gives what a plain reading of the stream gives", () => {
  const bytes = fc.uint8Array({ maxLength: 400 });
  const valid = fc.array(fc.uint8Array({ minLength: 14, maxLength: 200 }), { maxLength: 6 });
  fc.assert(
    fc.property(
      fc.constantFrom(4 as const, 2 as const),
      fc.tuple(valid, bytes),
      fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 8 }),
      (size, [frames, garbage], cuts) => {
        const start = framed(frames, size);
        const all = new Uint8Array(start.length + garbage.length);
        all.set(start);
        all.set(garbage, start.length);
        const plain = framesIn(all, size).frames.map(toHex);
        const tooShort = plain.findIndex((frame) => frame.length < 2 * FRAME_MIN);
        const expected = tooShort < 0 ? plain : plain.slice(0, tooShort);
        withReader(
          {},
          ({ send, received, ends }) => {
            const got: string[] = [];
            for (let at = 0, i = 0; at < all.length; i++) {
              const n = Math.min(cuts[i % cuts.length]!, all.length - at);
              send(all.subarray(at, at + n));
              at += n;
              for (const frame of received()) {
                got.push(toHex(frame.toBytes()));
                frame.release();
              }
            }
            deepEqual(got, expected);
            equal(ends.length <= 1, true);
            if (tooShort >= 0) equal(ends.length, 1);
          },
          size,
        );
      },
    ),
    { numRuns: 200 },
  );
});
