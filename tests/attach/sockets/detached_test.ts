import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { DetachedSockets, type Existence, MAX_DETACHED } from "../../../lib/attach/sockets/detached.ts";
import type { GuestSocket } from "../../../lib/attach/sockets/guest_socket.ts";
import { SOCK } from "../../../lib/host/constants.ts";
import { GuestFiles } from "../../../lib/host/guest_files.ts";
import { tryPair } from "../../../lib/host/socket_pair.ts";
import { close } from "../../../lib/host/sys.ts";
import { Counters } from "../../../lib/stack/counters.ts";

/** As far as the table looks at one. */
function socketWith(inode: number): GuestSocket {
  return { inode } as GuestSocket;
}

function table(exists?: Existence) {
  const counters = new Counters();
  const forgotten: number[] = [];
  const detached = new DetachedSockets(counters.slot("limit"), (socket) => {
    detached.delete(socket);
    forgotten.push(socket.inode);
  }, exists);
  return { detached, forgotten, evicted: () => counters.get("limit") };
}

test("a detached socket is kept as long as the guest has it, and no longer", () => {
  const pair = tryPair(SOCK.STREAM | SOCK.NONBLOCK);
  if (typeof pair === "number") throw new Error(`Cannot make a pair: ${pair}`);
  const [near, far] = pair;
  const { detached, forgotten } = table();
  try {
    const ino = new GuestFiles().ownInode(far);
    close(near);
    detached.add(socketWith(ino));
    detached.sweep();
    deepStrictEqual(forgotten, []);
    close(far);
    detached.sweep();
    deepStrictEqual(forgotten, [ino]);
    strictEqual(detached.size, 0);
  } finally {
    detached.close();
  }
});

test("every detached socket has its turn, however many there are and whoever stays", () => {
  const { detached, forgotten } = table((inode) => inode % 3 !== 0);
  for (let inode = 1; inode <= 3_000; inode++) detached.add(socketWith(inode));
  let sweeps = 0;
  for (; forgotten.length < 1_000 && sweeps < 100; sweeps++) detached.sweep();
  strictEqual(forgotten.length, 1_000);
  ok(sweeps > 2 && sweeps < 20, `${sweeps} sweeps`);
});

test("where nobody can be asked detached sockets are bounded, and the oldest goes", () => {
  const { detached, forgotten, evicted } = table(() => undefined);
  for (let inode = 1; inode <= MAX_DETACHED + 2; inode++) detached.add(socketWith(inode));
  detached.sweep();
  deepStrictEqual(forgotten, [1, 2]);
  strictEqual(detached.size, MAX_DETACHED);
  strictEqual(evicted(), 2);
});
