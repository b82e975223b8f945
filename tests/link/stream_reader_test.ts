import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { SOCK } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, write } from "../../lib/host/sys.ts";
import { READ_CHUNKS, StreamIo } from "../../lib/link/stream_io.ts";
import { StreamReader } from "../../lib/link/stream_reader.ts";
import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import type { Instant } from "../../lib/stack/time.ts";
import { between, randomBytes, seeded } from "../support/random.ts";

const NOW = 0 as Instant;
/** Small, so that what the socket of an ordinary user holds is many times as much. */
const WANT = 2 * 1_448;
const PLENTY = 1 << 20;

interface World {
  /** One read, which may be of `most` bytes; what it queued, and what it returned. */
  read(most?: number): { chunks: number[]; n: number };
  /** Puts bytes on their way; all that fit. */
  write(bytes: Uint8Array): number;
  readonly reader: StreamReader;
  readonly pool: BufferPool;
  /** All that was read so far. */
  readonly got: Uint8Array[];
  /** What the connection has room for. */
  space: number;
}

function withReader(body: (world: World) => void): void {
  const pool = new BufferPool(addressOf);
  const io = new StreamIo(pool);
  const reader = new StreamReader(io);
  const [near, far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  const memory = new NativeMemory(PLENTY);
  let chunks: number[] = [];
  const connection = {
    get sendSpace() {
      return world.space;
    },
    write(chunk: PacketBuffer) {
      // What `SendBuffer.write` demands.
      ok(world.space > 0, "a chunk without any room");
      world.space = Math.max(0, world.space - chunk.length);
      chunks.push(chunk.length);
      world.got.push(chunk.toBytes());
      chunk.release();
    },
  } as unknown as TcpConnection;
  const world: World = {
    read(most = WANT) {
      chunks = [];
      const n = reader.receive(near, connection, WANT, NOW, most);
      return { n, chunks };
    },
    write(bytes) {
      memory.bytes.set(bytes);
      return write(far, memory.address, bytes.length);
    },
    reader,
    pool,
    got: [],
    space: PLENTY,
  };
  try {
    body(world);
  } finally {
    reader.close();
    io.close();
    close(near);
    close(far);
  }
}

test("what comes in floods is read in long gulps, and in chunks all the same", () => {
  withReader((world) => {
    const bytes = randomBytes(seeded(1), 20 * WANT);
    let at = 0;
    const lengths: number[] = [];
    while (at < bytes.length || lengths.reduce((sum, n) => sum + n, 0) < bytes.length) {
      at += Math.max(0, world.write(bytes.subarray(at)));
      const { n, chunks } = world.read(6 * WANT);
      lengths.push(n);
      equal(world.reader.drained, n < (lengths.length > 4 ? 6 : 1) * WANT);
      deepEqual(chunks.slice(0, -1), chunks.slice(0, -1).fill(WANT));
      equal(chunks.reduce((sum, length) => sum + length, 0), n);
    }
    deepEqual(lengths, [WANT, WANT, WANT, WANT, 6 * WANT, 6 * WANT, 4 * WANT]);
    ok(bytes.every((byte, i) => byte === world.got[Math.floor(i / WANT)]![i % WANT]));
    deepEqual([world.read().n, world.reader.drained], [-Errno.EAGAIN, true]);
  });
});

test("a gulp ends with the room of the connection, with the turn, or with what one call can take", () => {
  for (
    const [space, most, expected] of [
      [1, 9 * WANT, 1],
      [3 * WANT + 1, 9 * WANT, 4],
      [PLENTY, 2 * WANT - 1, 2],
      [PLENTY, PLENTY, READ_CHUNKS],
    ] as const
  ) {
    withReader((world) => {
      for (let i = 0; i < 4; i++) {
        world.write(new Uint8Array(WANT));
        equal(world.read().n, WANT);
      }
      equal(world.write(new Uint8Array((READ_CHUNKS + 1) * WANT)), (READ_CHUNKS + 1) * WANT);
      world.space = space;
      equal(world.read(most).chunks.length, expected);
    });
  }
});

test("after a short read, a stream is no flood any more", () => {
  withReader((world) => {
    for (let i = 0; i < 6; i++) {
      world.write(new Uint8Array(WANT));
      equal(world.read(4 * WANT).n, WANT);
    }
    // The fifth was a gulp, and came back short.
    world.write(new Uint8Array(3 * WANT));
    equal(world.read(4 * WANT).n, WANT);
  });
});

test("however a stream comes, it arrives as it was sent", () => {
  for (let seed = 1; seed <= 10; seed++) {
    withReader((world) => {
      const random = seeded(seed);
      const bytes = randomBytes(random, 300_000);
      let at = 0, read = 0;
      while (read < bytes.length) {
        const end = Math.min(bytes.length, at + between(random, 1, 9 * WANT));
        if (at < end) at += Math.max(0, world.write(bytes.subarray(at, end)));
        world.space = between(random, 1, 20 * WANT);
        for (let times = between(random, 0, 5); times > 0 && world.space > 0; times--) {
          read += Math.max(0, world.read(between(random, 1, 20 * WANT)).n);
        }
      }
      const all = new Uint8Array(read);
      world.got.reduce((to, part) => (all.set(part, to), to + part.length), 0);
      equal(read, bytes.length);
      ok(all.every((byte, i) => byte === bytes[i]), `seed ${seed}`);
    });
  }
});
