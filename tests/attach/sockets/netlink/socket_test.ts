/** Netlink sockets whose owner asks, and does not read the answers. */

import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import { NETLINK, RTNLGRP } from "../../../../lib/attach/sockets/netlink/numbers.ts";
import {
  MAX_WAITING,
  MAX_WAITING_ALL,
  NetlinkSocket,
} from "../../../../lib/attach/sockets/netlink/socket.ts";
import { AF, EpollEvents, MSG, SOCK } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { close, recv } from "../../../../lib/host/sys.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { OwnCalls } from "../../../support/own_call.ts";
import { seeded } from "../../../support/random.ts";

const SOCKADDR_NL = 12;
const RTM_GETLINK = 18, REQUEST_DUMP = 0x301;
/** Of one request, and of one datagram of them. */
const SIZE = 32, REQUESTS = 64;
/** What the pair holds at most, and what one datagram of requests is answered with. */
const PAIR = 1_000_000, ANSWER = 300_000;

/** A socket, and the guest's end of it. */
interface Open {
  readonly socket: NetlinkSocket;
  readonly far: number;
}

/** The netlink sockets of one guest, which is this process. */
class Bench {
  readonly stack = new Stack({ random: seeded(1) });
  readonly calls = new OwnCalls();
  readonly #question = new NativeMemory(SIZE * REQUESTS);
  readonly #memory = new NativeMemory(65_536);
  readonly #open = new Set<Open>();
  readonly #context: SocketsContext;

  constructor() {
    for (let at = 0; at < SIZE * REQUESTS; at += SIZE) {
      this.#question.view.setUint32(at, SIZE, true);
      this.#question.view.setUint16(at + 4, RTM_GETLINK, true);
      this.#question.view.setUint16(at + 6, REQUEST_DUMP, true);
    }
    this.#context = {
      stack: this.stack,
      counters: this.stack.counters,
      reactor: { now: () => 1_000_000, defer: () => {} },
      supervisor: { setDeadline: () => {}, release: ({ near }: NetlinkSocket) => void close(near) },
      mayAdminister: () => false,
      fixedInterfaces: false,
    } as unknown as SocketsContext;
  }

  open(): Open {
    const [near, far] = socketPair(SOCK.SEQPACKET | SOCK.NONBLOCK);
    const socket = new NetlinkSocket(this.#context, near, near, SOCK.RAW, NETLINK.ROUTE);
    const one = { socket, far };
    this.#open.add(one);
    return one;
  }

  get lost(): number {
    return this.stack.counters.get("sockets.limit.netlink-waiting");
  }

  /** Sends one datagram of requests; returns what `sendto` returns. */
  ask({ socket, far }: Open): number | "passed" {
    socket.sendto(this.calls.call(far, this.#question.address, SIZE * REQUESTS, 0, 0, 0));
    return this.calls.answers.pop()!;
  }

  /** Asks until an answer is lost; returns how often. */
  fill(one: Open): number {
    const { lost } = this;
    for (let asked = 1; asked < 1_000; asked++) {
      strictEqual(this.ask(one), SIZE * REQUESTS);
      if (this.lost > lost) return asked;
    }
    throw new Error("Cannot fill a socket: nothing is ever lost");
  }

  /** Reads everything that waits; returns its bytes. */
  read({ socket, far }: Open): number {
    for (let total = 0;;) {
      const length = recv(far, this.#memory.address, 65_536, MSG.DONTWAIT);
      if (length <= 0) return total;
      total += length;
      socket.onReady(EpollEvents.out);
    }
  }

  /** Has it hear a group, as `bind` does; returns what that returns. */
  join({ socket, far }: Open, group: number): number | "passed" {
    this.#memory.bytes.fill(0, 0, SOCKADDR_NL);
    this.#memory.view.setUint16(0, AF.NETLINK, true);
    this.#memory.view.setUint32(8, 1 << (group - 1), true);
    socket.bind(this.calls.call(far, this.#memory.address, SOCKADDR_NL));
    return this.calls.answers.pop()!;
  }

  /** What a trapped receive returns. */
  receive({ socket, far }: Open): number | "passed" {
    socket.recvfrom(this.calls.call(far, this.#memory.address, 65_536, MSG.DONTWAIT, 0, 0));
    return this.calls.answers.pop()!;
  }

  close(one: Open): void {
    if (!this.#open.delete(one)) return;
    one.socket.closed();
    close(one.far);
  }

  end(): void {
    for (const one of this.#open) this.close(one);
    this.calls.close();
  }
}

function withBench(body: (bench: Bench) => void): void {
  const bench = new Bench();
  try {
    body(bench);
  } finally {
    bench.end();
  }
}

test("NetlinkSocket loses answers when too many wait, and answers again when they have been read", () =>
  withBench((bench) => {
    const one = bench.open(), other = bench.open();
    bench.fill(one);
    ok(bench.ask(other) === SIZE * REQUESTS && bench.lost === 1, "another has room");
    const waited = bench.read(one);
    ok(waited > MAX_WAITING && waited < MAX_WAITING + PAIR + ANSWER, `${waited} bytes`);
    strictEqual(bench.ask(one), SIZE * REQUESTS);
    strictEqual(bench.lost, 1);
    ok(bench.read(one) > 0);
  }));

test("NetlinkSocket tells once that notices were lost", () =>
  withBench((bench) => {
    const one = bench.open();
    strictEqual(bench.join(one, RTNLGRP.LINK), 0);
    const notice = { group: RTNLGRP.LINK, bytes: new Uint8Array(100) };
    one.socket.hear([notice]);
    deepStrictEqual([bench.receive(one), bench.receive(one)], [100, -Errno.EAGAIN]);
    bench.fill(one);
    one.socket.hear([notice]);
    strictEqual(bench.lost, 2);
    strictEqual(bench.receive(one), -Errno.ENOBUFS);
    ok(Number(bench.receive(one)) > 0, "what was not lost comes after it");
    bench.read(one);
    one.socket.hear([notice]);
    deepStrictEqual([bench.receive(one), bench.lost], [100, 2]);
  }));

test("NetlinkSocket: all of a guest together have their limit, and who closes gives his part back", () =>
  withBench((bench) => {
    const all = [];
    let bytes = 0;
    for (; bytes <= MAX_WAITING_ALL; bytes += MAX_WAITING) {
      const one = bench.open();
      bench.fill(one);
      all.push(one);
    }
    const last = bench.open(), { lost } = bench;
    strictEqual(bench.ask(last), SIZE * REQUESTS);
    deepStrictEqual([bench.lost, bench.read(last)], [lost + 1, 0]);
    for (const one of all.slice(0, 2)) bench.close(one);
    strictEqual(bench.ask(last), SIZE * REQUESTS);
    strictEqual(bench.lost, lost + 1);
    ok(bench.read(last) > 0);
  }));
