import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import { ImpersonatedDatagram } from "../../../../lib/attach/sockets/impersonate/datagram_socket.ts";
import { DatagramSocket } from "../../../../lib/attach/sockets/datagram/datagram_socket.ts";
import { AF, MSG, SOCK } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { localAddress, udpSocket } from "../../../../lib/host/inet.ts";
import { addressOf, NativeMemory } from "../../../../lib/host/memory.ts";
import { socketPair } from "../../../../lib/host/socket_pair.ts";
import { LOOPBACK4, SocketAddress, writeSockaddr } from "../../../../lib/host/structs.ts";
import { close, recv } from "../../../../lib/host/sys.ts";
import { BufferPool } from "../../../../lib/stack/buffer/pool.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { fillInPlace } from "../../../support/full_socket.ts";
import { OwnCalls } from "../../../support/own_call.ts";
import { seeded } from "../../../support/random.ts";
import { hostNetwork } from "./host_network.ts";

test("ImpersonatedDatagram loses what the host's buffer has no room for, as if it were lost on the way", () => {
  const pool = new BufferPool(addressOf);
  const stack = new Stack({ random: seeded(1), pool });
  const network = hostNetwork();
  const calls = new OwnCalls();
  let host = -1;
  const reactor = {
    now: () => 1_000_000,
    add: (fd: number) => void (host = fd),
    forget: () => {},
    defer: () => {},
  };
  const supervisor = { release: () => {}, setDeadline: () => {} };
  const context = { stack, pool, reactor, supervisor, counters: stack.counters };
  const [near, far] = socketPair(DatagramSocket.pairType | SOCK.NONBLOCK);
  const socket = new ImpersonatedDatagram(
    network,
    context as unknown as SocketsContext,
    near,
    calls.files.ownInode(far),
    AF.INET,
  );
  const server = udpSocket(4, LOOPBACK4);
  const name = new SocketAddress();
  localAddress(server, name);
  const memory = new NativeMemory(64);
  const length = writeSockaddr(memory.view, 0, LOOPBACK4, name.port);
  let full: { end(): void } | undefined;
  try {
    socket.connect(calls.call(far, memory.address, length));
    const send = () => {
      socket.sendto(calls.call(far, memory.address, 5, 0, 0, 0));
      return calls.answers.pop();
    };
    const lost = () => network.counters.get("tsi.udp.send-buffer-full");
    strictEqual(calls.answers.pop(), 0);
    deepStrictEqual([send(), lost()], [5, 0]);
    strictEqual(recv(server, memory.address, 64, MSG.DONTWAIT), 5);
    full = fillInPlace(host);
    deepStrictEqual([send(), lost()], [5, 1]);
    strictEqual(recv(server, memory.address, 64, MSG.DONTWAIT), -Errno.EAGAIN);
    deepStrictEqual([...network.flows].map((flow) => flow.facts(1_000_000)?.bytesOut), [5]);
  } finally {
    socket.closed();
    full?.end();
    for (const fd of [server, near, far]) close(fd);
    calls.close();
  }
});
