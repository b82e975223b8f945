/** Bytes that stay in the kernel while buffers stand for them: what goes in comes out, looked at or not. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { SOCK } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { addressOf, NativeMemory } from "../../lib/host/memory.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close, read, write } from "../../lib/host/sys.ts";
import { type KernelPipe, MAX_PIPES, PipePool } from "../../lib/link/kernel_pipe.ts";
import { StreamIo } from "../../lib/link/stream_io.ts";
import { ChunkQueue } from "../../lib/stack/buffer/chunk_queue.ts";
import type { PacketBuffer } from "../../lib/stack/buffer/packet.ts";
import { BufferPool } from "../../lib/stack/buffer/pool.ts";
import { Counters } from "../../lib/stack/counters.ts";
import { payload } from "../support/payload.ts";

const CHUNK = 10_000;
/** Ends of pipes that are open here; of other descriptors the runtime's own threads have some now and then. */
const pipeEnds = () =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("pipe:");
    } catch {
      return false;
    }
  }).length;

/** A source, a pipe, a queue and a sink, and bytes to move. */
class Bench implements Disposable {
  readonly counters = new Counters();
  readonly pipes = new PipePool(this.counters);
  readonly pipe: KernelPipe = this.pipes.take()!;
  readonly queue = new ChunkQueue();
  readonly io = new StreamIo(new BufferPool(addressOf));
  readonly data = payload(80_000);
  readonly #memory = new NativeMemory(80_000);
  readonly #source = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  readonly #sink = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  #written = 0;

  /** `count` buffers, in the queue as well. */
  fill(count: number): PacketBuffer[] {
    return Array.from({ length: count }, () => {
      this.#memory.bytes.set(this.data.subarray(this.#written, this.#written += CHUNK));
      strictEqual(write(this.#source[0], this.#memory.address, CHUNK), CHUNK);
      strictEqual(this.pipe.receive(this.#source[1], CHUNK), CHUNK);
      const buffer = this.pipe.take(CHUNK);
      this.queue.push(buffer);
      return buffer;
    });
  }

  /** Moves what the queue begins with; returns how many bytes. */
  move(): number {
    const sent = this.io.send(this.#sink[0], this.queue);
    if (sent > 0) this.queue.consume(sent);
    return sent;
  }

  arrived(): Uint8Array {
    const length = Math.max(read(this.#sink[1], this.#memory.address, 80_000), 0);
    return this.#memory.bytes.slice(0, length);
  }

  [Symbol.dispose](): void {
    this.queue.clear();
    this.pipe.leave();
    this.pipe.destroy();
    for (const fd of [...this.#source, ...this.#sink]) close(fd);
  }
}

test("bytes cross without ever being here", () => {
  using bench = new Bench();
  const [first] = bench.fill(3);
  strictEqual(first!.length, CHUNK);
  strictEqual(first!.bytes.length, 0);
  strictEqual(bench.move(), 3 * CHUNK);
  deepStrictEqual(bench.arrived(), bench.data.slice(0, 3 * CHUNK));
  ok(bench.pipe.isIdle);
  strictEqual(bench.pipe.receive(-1, CHUNK), -Errno.EBADF);
});

test("who looks at a buffer in the middle gets its bytes, and the others still arrive", () => {
  using bench = new Bench();
  const buffers = bench.fill(4);
  deepStrictEqual(buffers[2]!.load().bytes, bench.data.slice(2 * CHUNK, 3 * CHUNK));
  deepStrictEqual(buffers[0]!.bytes, bench.data.slice(0, CHUNK));
  strictEqual(buffers[3]!.bytes.length, 0);
  while (bench.queue.length > 0) ok(bench.move() > 0);
  deepStrictEqual(bench.arrived(), bench.data.slice(0, 4 * CHUNK));
});

test("what has left is gone, and reads as zeros", () => {
  using bench = new Bench();
  const buffers = bench.fill(2);
  buffers[0]!.retain();
  bench.move();
  deepStrictEqual(buffers[0]!.load().bytes, new Uint8Array(CHUNK));
  buffers[0]!.release();
  ok(bench.pipe.isIdle);
});

test("buffers that were thrown away do not shift what comes after them", () => {
  using bench = new Bench();
  bench.fill(3);
  bench.queue.consume(2 * CHUNK);
  bench.fill(1);
  while (bench.queue.length > 0) ok(bench.move() > 0);
  deepStrictEqual(bench.arrived(), bench.data.slice(2 * CHUNK, 4 * CHUNK));
  ok(bench.pipe.isIdle);
});

test("a queue that begins in the middle of a buffer goes on there", () => {
  using bench = new Bench();
  bench.fill(2);
  bench.queue.consume(CHUNK + 1);
  bench.fill(1);
  while (bench.queue.length > 0) ok(bench.move() > 0);
  deepStrictEqual(bench.arrived(), bench.data.slice(CHUNK + 1, 3 * CHUNK));
});

test("copies of a queue have the bytes, too", () => {
  using bench = new Bench();
  bench.fill(2);
  const bytes = new Uint8Array(2 * CHUNK);
  strictEqual(bench.queue.copyTo(bytes), 2 * CHUNK);
  deepStrictEqual(bytes, bench.data.slice(0, 2 * CHUNK));
});

test("a pool makes so many pipes, counts who gets none, and gives out again what is empty", () => {
  const counters = new Counters();
  const pool = new PipePool(counters);
  const before = pipeEnds();
  const pipes = Array.from({ length: MAX_PIPES }, () => pool.take()!);
  strictEqual(pool.take(), undefined);
  strictEqual(counters.slot("stream.limit.pipes").value, 1);
  pipes[0]!.leave();
  strictEqual(pool.take(), pipes[0]);
  // One with bytes that nobody wants any more is closed.
  const [near, far] = socketPair(SOCK.STREAM | SOCK.NONBLOCK);
  const memory = new NativeMemory(8);
  write(near, memory.address, 8);
  strictEqual(pipes[1]!.receive(far, 8), 8);
  const left = pipes[1]!.take(8);
  pipes[1]!.leave();
  left.release();
  strictEqual(pipeEnds(), before + 2 * (MAX_PIPES - 1));
  const fresh = pool.take();
  ok(fresh !== undefined && fresh !== pipes[1]);
  for (const pipe of [...pipes.filter((_, i) => i !== 1), fresh]) pipe.destroy();
  close(near);
  close(far);
  strictEqual(pipeEnds(), before);
});
