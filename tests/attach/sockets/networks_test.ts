/** Which stack a thread of the guest gets: one per network namespace, and those of its own making with a loopback only. */

import { test } from "node:test";
import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { SocketsContext } from "../../../lib/attach/sockets/guest_socket.ts";
import { MAX_NETWORKS, Networks } from "../../../lib/attach/sockets/networks.ts";
import type { GuestFiles } from "../../../lib/host/guest_files.ts";
import { Stack } from "../../../lib/stack/stack.ts";
import type { Instant } from "../../../lib/stack/time.ts";
import { ip } from "../../support/two_stacks.ts";
import { seeded } from "../../support/random.ts";

/** Threads below 100 are in namespace 7, others in one of their own; thread 0 may not be looked at. */
const files = {
  networkInode: (thread: number) => thread === 0 ? -13 : thread < 100 ? 7 : thread,
} as GuestFiles;

function world(): { home: SocketsContext; networks: Networks } {
  const stack = new Stack({ random: seeded(1) });
  const home = { stack, pool: stack.pool, counters: stack.counters } as unknown as SocketsContext;
  const networks = new Networks(home, files);
  networks.settle(1);
  return { home, networks };
}

test("of() finds threads of the first namespace at home, and those it cannot look at", () => {
  const { home, networks } = world();
  strictEqual(networks.of(1), home);
  strictEqual(networks.of(99), home);
  strictEqual(networks.of(0), home);
});

test("isHome() is true of the first namespace only, and of nobody who cannot be looked at", () => {
  const { networks } = world();
  deepStrictEqual([1, 99, 100, 0].map((thread) => networks.isHome(thread)), [true, true, false, false]);
});

test("nobody is at home before the guest has begun", () => {
  const { home } = world();
  strictEqual(new Networks(home, { networkInode: () => 0 } as unknown as GuestFiles).isHome(1), false);
});

test("of() gives another namespace a stack with nothing but a loopback, always the same one", () => {
  const { home, networks } = world();
  const nested = networks.of(100);
  notStrictEqual(nested.stack, home.stack);
  strictEqual(nested.stack.nics.length, 1);
  strictEqual(networks.of(100), nested);
  notStrictEqual(networks.of(101), nested);
});

test("of() forgets the network longest without a new socket when there are too many", () => {
  const { home, networks } = world();
  const first = networks.of(100), second = networks.of(101);
  for (let i = 2; i < MAX_NETWORKS; i++) networks.of(100 + i);
  strictEqual(networks.of(100), first);
  networks.of(100 + MAX_NETWORKS);
  strictEqual(home.counters.get("sockets.limit.networks"), 1);
  strictEqual(networks.of(100), first);
  notStrictEqual(networks.of(101), second);
});

test("poll() turns the loopbacks of nested networks", () => {
  const { networks } = world();
  const { stack } = networks.of(100);
  const now = 1_000_000 as Instant;
  const observer = { onTcpEvent() {} };
  let accepted = 0;
  stack.tcpListen({
    address: ip("127.0.0.1"),
    port: 80,
    backlog: 1,
    observer: { onTcpAccept: () => void accepted++ },
  }, now);
  const connection = stack.tcpConnect({ remoteAddress: ip("127.0.0.1"), remotePort: 80, observer }, now);
  ok(typeof connection !== "string");
  ok(networks.pollAt() <= now);
  networks.poll(now);
  strictEqual(connection.state, "established");
  strictEqual(accepted, 1);
});
