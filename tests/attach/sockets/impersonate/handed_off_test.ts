import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { SocketsContext } from "../../../../lib/attach/sockets/guest_socket.ts";
import { HandedOff } from "../../../../lib/attach/sockets/impersonate/handed_off.ts";
import { AF, SOCK } from "../../../../lib/host/constants.ts";
import { Errno } from "../../../../lib/host/errno.ts";
import { localAddress, tcpAccept, tcpListen } from "../../../../lib/host/inet.ts";
import { NativeMemory } from "../../../../lib/host/memory.ts";
import { SOCKET_CALLS } from "../../../../lib/host/socket_calls.ts";
import { LOOPBACK4, SOCKADDR_SIZE, SocketAddress, writeSockaddr } from "../../../../lib/host/structs.ts";
import { close } from "../../../../lib/host/sys.ts";
import { Stack } from "../../../../lib/stack/stack.ts";
import { OwnCalls } from "../../../support/own_call.ts";
import { seeded } from "../../../support/random.ts";
import { hostNetwork } from "./host_network.ts";

test("HandedOff forgets the oldest socket beyond its limit, which may go nowhere any more", () => {
  const calls = new OwnCalls();
  const descriptors: number[] = calls.descriptors = [];
  const network = hostNetwork({ handoff: true });
  const supervisor = { inodeOf: (fd: number) => calls.files.ownInode(fd) };
  const stack = new Stack({ random: seeded(1) });
  const table = new HandedOff({ stack, supervisor } as unknown as SocketsContext, network, 2);
  const listener = tcpListen(LOOPBACK4, 0);
  const at = new SocketAddress();
  ok(localAddress(listener, at));
  const memory = new NativeMemory(SOCKADDR_SIZE);
  const length = writeSockaddr(memory.view, 0, LOOPBACK4, at.port);
  const connects = (fd: number) => {
    const call = calls.call(fd, memory.address, length);
    call.nr = SOCKET_CALLS.connect;
    strictEqual(table.answer(call, supervisor.inodeOf(fd)), true);
    return calls.answers.pop();
  };
  try {
    const forgotten = () => network.counters.get("tsi.limit.handed-off");
    for (let i = 0; i < 2; i++) table.open(calls.call(AF.INET, SOCK.STREAM, 0), AF.INET, true, true);
    strictEqual(forgotten(), 0);
    table.open(calls.call(AF.INET, SOCK.STREAM, 0), AF.INET, true, true);
    deepStrictEqual([forgotten(), descriptors.length], [1, 3]);
    strictEqual(connects(descriptors[0]!), -Errno.EACCES);
    strictEqual(tcpAccept(listener, at), -Errno.EAGAIN);
    for (const fd of descriptors.slice(1)) {
      ok([0, -Errno.EINPROGRESS].includes(connects(fd) as number));
      const accepted = tcpAccept(listener, at);
      ok(accepted >= 0, `${accepted}`);
      close(accepted);
    }
  } finally {
    for (const fd of [listener, ...descriptors]) close(fd);
    calls.close();
  }
});
