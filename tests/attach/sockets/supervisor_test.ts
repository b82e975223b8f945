import { test } from "node:test";
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import type { Call } from "../../../lib/attach/sockets/call.ts";
import type { GuestSocket } from "../../../lib/attach/sockets/guest_socket.ts";
import { MAX_SOCKETS, type SocketTable } from "../../../lib/attach/sockets/socket_table.ts";
import {
  EPOLL_SEARCHES_PER_SWEEP,
  MAX_HELD,
  SEARCHES_PER_SWEEP,
  Supervisor,
  type SupervisorOptions,
} from "../../../lib/attach/sockets/supervisor.ts";
import { AF, EpollEvents, MSG, SOCK } from "../../../lib/host/constants.ts";
import { Errno } from "../../../lib/host/errno.ts";
import { NativeMemory } from "../../../lib/host/memory.ts";
import { Notification } from "../../../lib/host/seccomp.ts";
import { SOCKET_CALLS } from "../../../lib/host/socket_calls.ts";
import { socketPair } from "../../../lib/host/socket_pair.ts";
import { writeSockaddrUnix } from "../../../lib/host/structs.ts";
import { close, recv, send, socket } from "../../../lib/host/sys.ts";
import { bindUnix, connectUnix } from "../../../lib/host/unix_socket.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import { type Instant, NEVER } from "../../../lib/stack/time.ts";
import { OwnCalls } from "../../support/own_call.ts";
import { seeded } from "../../support/random.ts";

/** A supervisor of nobody. */
function bench() {
  const stack = new Stack({ random: seeded(1) });
  const reactor = { now: () => 1_000_000, add: () => {}, remove: () => {}, rest: () => {} };
  const supervisor = new Supervisor({
    stack,
    reactor,
    counters: stack.counters,
    pool: stack.pool,
    log: () => {},
    child: 0,
    unix: { hostUds: "none", ownNetwork: true },
    netRaw: false,
    fixedInterfaces: false,
    onGone: () => {},
  } as unknown as SupervisorOptions);
  const count = (name: string) => stack.counters.get(`sockets.${name}`);
  return { supervisor, count };
}

/** A socket whose descriptor is gone: nobody has one with this inode. */
const GONE = { thread: process.pid, number: 1_000_000, inode: 0x7fff_fff7 } as GuestSocket;

test("Supervisor.reach() searches all processes only so often per sweep", () => {
  const { supervisor, count } = bench();
  for (let i = 0; i < SEARCHES_PER_SWEEP; i++) strictEqual(supervisor.reach(GONE), -Errno.ENOENT);
  deepStrictEqual([count("searches"), count("limit.searches")], [SEARCHES_PER_SWEEP, 0]);
  strictEqual(supervisor.reach(GONE), -Errno.EAGAIN);
  deepStrictEqual([count("searches"), count("limit.searches")], [SEARCHES_PER_SWEEP, 1]);
  supervisor.poll(NEVER);
  strictEqual(supervisor.reach(GONE), -Errno.ENOENT);
  strictEqual(count("limit.searches"), 1);
  supervisor.close();
});

test("Supervisor.usesEpoll() looks only so often per sweep, and believes in an epoll set beyond", async () => {
  const { supervisor, count } = bench();
  const child = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
  const over = once(child, "exit");
  try {
    const socket = { ...GONE, thread: child.pid! } as GuestSocket;
    for (let i = 0; i < EPOLL_SEARCHES_PER_SWEEP; i++) strictEqual(supervisor.usesEpoll(socket), false);
    strictEqual(count("limit.epoll-searches"), 0);
    strictEqual(supervisor.usesEpoll(socket), true);
    strictEqual(count("limit.epoll-searches"), 1);
    supervisor.poll(NEVER);
    strictEqual(supervisor.usesEpoll(socket), false);
    strictEqual(count("limit.epoll-searches"), 1);
  } finally {
    child.stdin!.end();
    await over;
    supervisor.close();
  }
});

test("Supervisor holds so many calls: one more fails, and nothing is done for it later", () => {
  const { supervisor, count } = bench();
  const [near, far] = socketPair();
  supervisor.listen(near, process.pid);
  const { listener } = supervisor;
  const answers: number[] = [];
  const memory = new NativeMemory(128);
  const name = `@sluice-held-${process.pid}`;
  const [receiver, sender, filler] = [0, 0, 0].map(() => socket(AF.UNIX, SOCK.DGRAM | SOCK.CLOEXEC, 0));
  const length = writeSockaddrUnix(memory, 0, name);
  Object.assign(listener, {
    receive(): boolean {
      listener.notification.bytes.fill(0);
      listener.notification.words[Notification.pid >> 2] = process.pid;
      listener.notification.words[Notification.number >> 2] = SOCKET_CALLS.sendto;
      [sender!, memory.address, 5, 0, memory.address, length].forEach((value, i) =>
        listener.notification.setPointer(Notification.argument + 8 * i, value)
      );
      return true;
    },
    isValid: () => true,
    respond: (_low: number, _high: number, result: number) => answers.push(result) > 0,
  });
  const other = new NativeMemory(16);
  const received = () => recv(receiver!, other.address, 16, MSG.DONTWAIT);
  const others = Array.from({ length: MAX_HELD }, (_, i) => ({ tid: -1 - i, abandon: () => {} }) as Call);
  try {
    bindUnix(receiver!, name);
    connectUnix(filler!, name);
    while (send(filler!, other.address, 1, MSG.DONTWAIT) === 1);
    for (const call of others) supervisor.held(call);
    supervisor.onReady(EpollEvents.in);
    deepStrictEqual([answers, count("limit.held")], [[-Errno.ENOMEM], 1]);
    // The next sweep: nothing waits to be tried again.
    strictEqual(supervisor.pollAt(), 2_000_000);
    while (received() === 1);
    supervisor.poll(1_000_000 as Instant);
    deepStrictEqual([received(), answers.length], [-Errno.EAGAIN, 1]);

    supervisor.settled(others[0]!);
    while (send(filler!, other.address, 1, MSG.DONTWAIT) === 1);
    supervisor.onReady(EpollEvents.in);
    deepStrictEqual([answers.length, count("limit.held")], [1, 1]);
    strictEqual(supervisor.pollAt(), 1_005_000);
    while (received() === 1);
    supervisor.poll(1_000_000 as Instant);
    deepStrictEqual([received(), answers.at(-1)], [5, 5]);
  } finally {
    supervisor.close();
    for (const fd of [receiver!, sender!, filler!, far]) close(fd);
  }
});

test("Supervisor opens no more sockets than its table takes", () => {
  const { supervisor, count } = bench();
  const calls = new OwnCalls();
  const table = supervisor.sockets() as SocketTable;
  const others = Array.from({ length: MAX_SOCKETS }, (_, i) => ({ inode: -1 - i }) as GuestSocket);
  const make = (near: number, _inode: number, far: number) => {
    for (const fd of [near, far]) close(fd);
    throw new Error("A socket was made");
  };
  for (const other of others) table.add(other);
  strictEqual(supervisor.openPair(SOCK.STREAM, make, calls.call(), true, true), undefined);
  strictEqual(supervisor.openPairInPlace(SOCK.STREAM, make, calls.call(), true), Errno.ENFILE);
  strictEqual(supervisor.replacePair(others[0]!, calls.call(), SOCK.STREAM), -Errno.ENFILE);
  deepStrictEqual([calls.answers, count("limit.sockets")], [[-Errno.ENFILE], 3]);
  for (const other of others) table.remove(other);
  throws(() => supervisor.openPair(SOCK.STREAM, make, calls.call(), true, true), /was made/);
  supervisor.close();
  calls.close();
});
