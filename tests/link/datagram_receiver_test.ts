import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { SOCK } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, write } from "../../lib/host/sys.ts";
import { setSocketBuffers } from "../../lib/host/unix_socket.ts";
import { DatagramReceiver, RECEIVE_BATCH } from "../../lib/link/datagram_receiver.ts";
import { DATAGRAM_FRAME_MAX } from "../../lib/link/datagram_sender.ts";
import type { Merging } from "../../lib/link/merger.ts";
import { Gso, type PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { MacAddress } from "../../lib/stack/wire/mac_address.ts";
import { toHex } from "../support/bytes.ts";
import { FRAMES } from "../support/frames.ts";
import { between, pick, randomBytes, seeded } from "../support/random.ts";
import { cutAgain, tcpFrame, US } from "../support/tcp_frame.ts";

const pool = new BufferPool(addressOf);
const MERGING: Merging = { mac: US, trusted: false, enabled: () => true };

interface World {
  readonly receiver: DatagramReceiver;
  send(bytes: Uint8Array): void;
  /** Frames of all batches that there are, and why a datagram was none. */
  received(merging?: Merging): { frames: PacketBuffer[]; refused: string[] };
}

function withReceiver(body: (world: World) => void, vnetHeader = 0): void {
  const [near, far] = socketPair(SOCK.DGRAM | SOCK.NONBLOCK);
  setSocketBuffers(far, 8 << 20);
  const receiver = new DatagramReceiver(pool, vnetHeader);
  const send = (bytes: Uint8Array) => {
    const memory = new NativeMemory(bytes.length);
    memory.bytes.set(bytes);
    equal(write(far, memory.address, bytes.length), bytes.length);
  };
  const received = (merging?: Merging) => {
    const frames: PacketBuffer[] = [], refused: string[] = [];
    for (;;) {
      const count = receiver.receive(near);
      if (count < 0) {
        equal(count, -Errno.EAGAIN);
        return { frames, refused };
      }
      while (receiver.next()) {
        const frame = receiver.take(merging);
        if (frame === undefined) refused.push(receiver.why);
        else frames.push(frame);
      }
    }
  };
  try {
    body({ receiver, send, received });
  } finally {
    receiver.close();
    close(near);
    close(far);
  }
}

/** What one connection sends at a stretch. */
function stretch(count: number, size: number, random: () => number, port = 1): Uint8Array[] {
  const sequence = random() | 0;
  return Array.from(
    { length: count },
    (_, i) =>
      tcpFrame({ port, sequence: sequence + size * i, identification: i, payload: randomBytes(random, size) })
        .toBytes(),
  );
}

test("a batch of one connection becomes one packet that refers to what was received", () => {
  withReceiver(({ receiver, send, received }) => {
    const frames = stretch(40, 1_000, seeded(1));
    for (const frame of frames) send(frame);
    const { frames: [packet, ...more] } = received(MERGING);
    deepEqual([packet!.gso, packet!.gsoSize, packet!.fragments.length, more], [Gso.tcp4, 1_000, 39, []]);
    deepEqual([receiver.frames, receiver.merged], [40, 39]);
    deepEqual(cutAgain(packet!).map((one) => toHex(one.toBytes())), frames.map(toHex));
  });
});

test("whatever is long or short or merged, every frame can be had back, in order", () => {
  const others = Object.values(FRAMES);
  for (let seed = 1; seed <= 5; seed++) {
    withReceiver(({ send, received }) => {
      const random = seeded(seed);
      const sent: string[] = [], kept: PacketBuffer[] = [];
      for (let round = 0; round < 4; round++) {
        const frames: Uint8Array[] = [];
        while (frames.length < 150) {
          const what = random() % 8;
          if (what === 0) frames.push(pick(random, others));
          else if (what === 1) {
            frames.push(randomBytes(random, pick(random, [14, 1_919, 1_920, 1_921, 9_000])));
          } else if (what === 2 && round % 3 === 1) frames.push(randomBytes(random, DATAGRAM_FRAME_MAX));
          else {
            const made = stretch(between(random, 1, 50), pick(random, [500, 1_448]), random);
            // A bit that was lost on the way.
            if (what === 3) pick(random, made)[between(random, 60, 500)]! ^= 1;
            frames.push(...made);
          }
        }
        for (let i = 0; i < frames.length; i += RECEIVE_BATCH) {
          for (const frame of frames.slice(i, i + RECEIVE_BATCH)) send(frame);
          kept.push(...received(MERGING).frames);
        }
        sent.push(...frames.map(toHex));
      }
      deepEqual(kept.flatMap(cutAgain).map((frame) => toHex(frame.toBytes())), sent, `seed ${seed}`);
      for (const frame of kept) frame.release();
    });
  }
});

test("nothing is merged that is for somebody else, while somebody captures, or without asking", () => {
  const cases = [undefined, { ...MERGING, mac: new MacAddress(2, 9) }, { ...MERGING, enabled: () => false }];
  for (const merging of cases) {
    withReceiver(({ receiver, send, received }) => {
      for (const frame of stretch(10, 1_000, seeded(1))) send(frame);
      equal(received(merging).frames.length, 10);
      equal(receiver.merged, 0);
    });
  }
});

test("a frame with a bad checksum goes alone, unless no wire was crossed", () => {
  for (const trusted of [false, true]) {
    withReceiver(({ send, received }) => {
      const frames = stretch(10, 1_000, seeded(1));
      frames[5]![500]! ^= 1;
      for (const frame of frames) send(frame);
      const merged = received({ ...MERGING, trusted }).frames.map(({ fragments }) => fragments.length + 1);
      deepEqual(merged, trusted ? [10] : [5, 1, 4]);
    });
  }
});

/** A virtio-net header: flags, kind of segmentation, its size, where the checksum begins and is. */
function header(flags: number, kind: number, size: number, start: number, offset: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  bytes.set([flags, kind]);
  view.setUint16(4, size, true);
  view.setUint16(6, start, true);
  view.setUint16(8, offset, true);
  return bytes;
}

const NONE = header(0, 0, 0, 0, 0);
const NO_FRAMES: readonly [what: string, vnetHeader: number, datagram: Uint8Array, why: string][] = [
  ["nothing", 0, new Uint8Array(0), "too-short"],
  ["a frame without an end", 0, new Uint8Array(13), "too-short"],
  ["one byte more than any frame has", 0, new Uint8Array(DATAGRAM_FRAME_MAX + 1), "too-long"],
  ["far too much", 0, new Uint8Array(100_000), "too-long"],
  ["a header and no frame", 12, NONE, "too-short"],
  ["half a header", 12, new Uint8Array(5), "too-short"],
  ["a short frame behind a header", 12, Uint8Array.of(...NONE, ...new Uint8Array(13)), "too-short"],
  ["too much behind a header", 12, new Uint8Array(DATAGRAM_FRAME_MAX + 13), "too-long"],
  [
    "a checksum beyond the end",
    12,
    Uint8Array.of(...header(1, 0, 0, 34, 16), ...new Uint8Array(51)),
    "malformed",
  ],
  [
    "an unknown segmentation",
    12,
    Uint8Array.of(...header(1, 9, 9, 34, 16), ...new Uint8Array(99)),
    "malformed",
  ],
  ["segments of no size", 12, Uint8Array.of(...header(1, 1, 0, 34, 16), ...new Uint8Array(99)), "malformed"],
  [
    "segments without checksum",
    12,
    Uint8Array.of(...header(0, 1, 9, 0, 0), ...new Uint8Array(99)),
    "malformed",
  ],
];
for (const [what, vnetHeader, datagram, why] of NO_FRAMES) {
  test(`no frame: ${what}`, () => {
    withReceiver(({ send, received }) => {
      const good = randomBytes(seeded(1), 60);
      const behind = vnetHeader > 0 ? Uint8Array.of(...NONE, ...good) : good;
      // Before and after, and once more when slots have long buffers.
      for (const first of [behind, new Uint8Array(60_000)]) {
        for (const one of [first, datagram, behind]) send(one);
        const { frames, refused } = received();
        deepEqual(refused, [why]);
        equal(toHex(frames.at(-1)!.toBytes()), toHex(good));
        for (const frame of frames) frame.release();
      }
    }, vnetHeader);
  });
}

test("what was long is received in place from then on, and short frames never keep long buffers", () => {
  withReceiver(({ send, received }) => {
    const sizes = (...lengths: number[]) => {
      for (const length of lengths) send(new Uint8Array(length));
      return received().frames.map((frame) => {
        const { length } = frame.bytes;
        frame.release();
        return length > 2_048;
      });
    };
    deepEqual(sizes(60, 9_000, 60), [false, true, false]);
    deepEqual(sizes(60_000, 60, 1_514, 60_000), [true, false, false, true]);
    for (let i = 0; i < 3; i++) {
      deepEqual(sizes(...new Array<number>(RECEIVE_BATCH).fill(1_514)).includes(true), false);
    }
  });
});
