import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Arrival } from "../../../../lib/attach/sockets/datagram/arrival.ts";
import { Inbox, landing } from "../../../../lib/attach/sockets/datagram/inbox.ts";
import { MSG } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { close, recv } from "../../../../lib/host/sys.ts";

/** A pair with its inbox, and ways to put and take datagrams of a length from a numbered source. */
class Bench {
  readonly inbox = new Inbox();
  readonly near: number;
  readonly far: number;
  readonly #memory = new NativeMemory(2_048);
  readonly #about = new Arrival();

  constructor() {
    [this.near, this.far] = socketPair();
  }

  put(length: number, port: number): number {
    this.#about.between({ family: 4, a: 0, b: 0, c: 0xffff, d: 1 }, port, this.#about.destination, 0);
    return this.inbox.put(this.near, this.#memory.address, length, this.#about);
  }

  /** As the program does it: unseen. Returns the length, or −errno. */
  read(): number {
    return recv(this.far, this.#memory.address, 2_048, MSG.DONTWAIT);
  }

  /** As we do it: length and source, or undefined. */
  take(peek = false): string | undefined {
    const arrival = this.inbox.take(this.far, peek);
    return arrival === undefined ? undefined : `${arrival.length} from ${arrival.source.port}`;
  }

  close(): void {
    close(this.near);
    close(this.far);
  }
}

function withBench(body: (bench: Bench) => void): void {
  const bench = new Bench();
  try {
    body(bench);
  } finally {
    bench.close();
  }
}

test("Inbox tells where each datagram came from", () =>
  withBench((bench) => {
    for (const [length, port] of [[10, 1], [0, 2], [30, 3]] as const) strictEqual(bench.put(length, port), 0);
    deepStrictEqual([bench.take(), bench.take(), bench.take(), bench.take()], [
      "10 from 1",
      "0 from 2",
      "30 from 3",
      undefined,
    ]);
    strictEqual(bench.inbox.mayHold, false);
  }));

test("Inbox.putBack() puts what was taken in front of the others", () =>
  withBench((bench) => {
    for (const [length, port] of [[10, 1], [0, 2], [30, 3]] as const) bench.put(length, port);
    const taken = new Arrival().copy(bench.inbox.take(bench.far, false)!);
    bench.inbox.putBack(bench.near, bench.far, taken);
    deepStrictEqual([bench.take(), bench.take(), bench.take(), bench.take()], [
      "10 from 1",
      "0 from 2",
      "30 from 3",
      undefined,
    ]);
  }));

test("Inbox keeps step with a program that reads without it", () =>
  withBench((bench) => {
    const lengths = [10, 20, 20, 0, 20, 0, 0, 7];
    lengths.forEach((length, i) => bench.put(length, i + 1));
    strictEqual(bench.read(), 10);
    strictEqual(bench.take(), "20 from 2");
    strictEqual(bench.read(), 20);
    strictEqual(bench.read(), 0);
    strictEqual(bench.take(), "20 from 5");
    strictEqual(bench.read(), 0);
    strictEqual(bench.read(), 0);
    strictEqual(bench.take(), "7 from 8");
    strictEqual(bench.take(), undefined);
  }));

test("Inbox finds nothing when the program has read all", () =>
  withBench((bench) => {
    for (let i = 0; i < 5; i++) bench.put(0, i);
    for (let i = 0; i < 5; i++) strictEqual(bench.read(), 0);
    strictEqual(bench.take(), undefined);
    bench.put(3, 9);
    strictEqual(bench.take(), "3 from 9");
  }));

test("Inbox.take() peeks", () =>
  withBench((bench) => {
    bench.put(10, 1);
    bench.put(20, 2);
    deepStrictEqual([bench.take(true), bench.take(true), bench.take(), bench.take(true), bench.take()], [
      "10 from 1",
      "10 from 1",
      "10 from 1",
      "20 from 2",
      "20 from 2",
    ]);
  }));

test("Inbox.take() leaves the bytes in the landing", () =>
  withBench((bench) => {
    const about = new Arrival();
    const memory = new NativeMemory(16);
    memory.bytes.set([1, 2, 3, 4]);
    bench.inbox.put(bench.near, memory.address, 4, about);
    bench.take();
    deepStrictEqual([...landing.bytes.subarray(0, 4)], [1, 2, 3, 4]);
  }));

test("Inbox.put() says when the guest's buffer is full", () =>
  withBench((bench) => {
    let put = 0;
    let result = 0;
    while (put < 100_000 && (result = bench.put(100, put)) === 0) put++;
    strictEqual(result, -Errno.EAGAIN);
    ok(put > 10, `${put}`);
    for (let i = 0; i < put; i++) strictEqual(bench.take(), `100 from ${i}`);
    strictEqual(bench.take(), undefined);
  }));

test("Inbox does not grow when the guest never asks", () =>
  withBench((bench) => {
    for (let i = 0; i < 20_000; i++) {
      strictEqual(bench.put(i % 50, i & 0xffff), 0);
      if (i % 2 === 1) bench.read(), bench.read();
    }
    bench.put(33, 7);
    strictEqual(bench.take(), "33 from 7");
    ok(bench.inbox.size <= 512, `${bench.inbox.size}`);
  }));

test("Inbox.put() says when the guest has gone", () => {
  const bench = new Bench();
  close(bench.far);
  strictEqual(bench.put(3, 1), -Errno.EPIPE);
  close(bench.near);
});

test("Inbox is full before the pair's buffer is, and when nothing fits", () =>
  withBench((bench) => {
    let count = 0;
    while (!bench.inbox.full) {
      strictEqual(bench.put(64, 1), 0);
      count++;
    }
    ok(count > 32, `full with ${count}`);
    // The rest is for what is on its way.
    for (let i = 0; i < 64; i++) strictEqual(bench.put(64, 1), 0, `${i} more`);
    while (bench.read() >= 0);
    bench.inbox.relieved();
    for (let i = 0; i < 32; i++) strictEqual(bench.put(64, 1), 0);
    strictEqual(bench.inbox.full, false);
    while (bench.put(64, 1) === 0);
    strictEqual(bench.inbox.full, true);
  }));
