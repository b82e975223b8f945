import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { DatagramSocket } from "../../../../lib/attach/sockets/datagram/datagram_socket.ts";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import { RawSocket } from "../../../../lib/attach/sockets/raw/raw_socket.ts";
import { AF, SOCK } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { addressOf, NativeMemory } from "../../../../lib/host/memory.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { LOOPBACK4, writeSockaddr } from "../../../../lib/host/structs.ts";
import { close } from "../../../../lib/host/sys.ts";
import { BufferPool } from "../../../../lib/stack/buffer/pool.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { OwnCalls } from "../../../support/own_call.ts";
import { seeded } from "../../../support/random.ts";

/** An experimental protocol (RFC 3692). */
const PROTOCOL = 253;

test("RawSocket sends nothing where the stack has no room for another endpoint, until one closes", () => {
  const pool = new BufferPool(addressOf);
  const stack = new Stack({ random: seeded(1), pool, limits: { rawEndpoints: 1 } });
  const calls = new OwnCalls();
  const reactor = { now: () => 1_000_000, defer: () => {} };
  const supervisor = { release: () => {}, setDeadline: () => {} };
  const context = { stack, pool, reactor, supervisor, counters: stack.counters } as unknown as SocketsContext;
  const memory = new NativeMemory(64);
  const length = writeSockaddr(memory.view, 0, LOOPBACK4, 0);
  const pairs: (readonly [near: number, far: number])[] = [];
  const open = () => {
    const [near, far] = socketPair(DatagramSocket.pairType | SOCK.NONBLOCK);
    pairs.push([near, far]);
    const socket = new RawSocket(context, near, calls.files.ownInode(far), AF.INET, PROTOCOL);
    const send = () => {
      socket.sendto(calls.call(far, memory.address, 8, 0, memory.address, length));
      return calls.answers.pop();
    };
    return { socket, send };
  };
  try {
    const first = open();
    strictEqual(stack.counters.get("sockets.limit.raw"), 0);
    const second = open();
    strictEqual(stack.counters.get("sockets.limit.raw"), 1);
    deepStrictEqual([first.send(), second.send()], [8, -Errno.ENOBUFS]);
    second.socket.closed();
    first.socket.closed();
    const third = open();
    deepStrictEqual([third.send(), stack.counters.get("sockets.limit.raw")], [8, 1]);
    third.socket.closed();
  } finally {
    for (const [near, far] of pairs) for (const fd of [near, far]) close(fd);
    calls.close();
  }
});
