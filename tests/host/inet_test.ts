import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { EpollEvents } from "../../lib/host/constants.ts";
import { QueuedError, ReceiveBatch, receiveError, SendBatch } from "../../lib/host/datagrams.ts";
import { Errno } from "../../lib/host/errno.ts";
import {
  localAddress,
  peerAddress,
  pingSocket,
  socketError,
  tcpAccept,
  tcpListen,
  udpSocket,
} from "../../lib/host/inet.ts";
import { NativeMemory } from "../../lib/host/memory.ts";
import { LOOPBACK4, LOOPBACK6, SocketAddress } from "../../lib/host/structs.ts";
import { close, poll, read, send, write } from "../../lib/host/sys.ts";
import { tcpDial, udpDial } from "../support/host_dial.ts";

const pollfd = new NativeMemory(8);
function awaitReady(fd: number, events: number): number {
  pollfd.words[0] = fd;
  pollfd.words[1] = events;
  ok(poll(pollfd.address, 1, 5_000) === 1, "nothing happened for five seconds");
  return pollfd.words[1]! >>> 16;
}
const portOf = (fd: number): number => {
  const address = new SocketAddress();
  ok(localAddress(fd, address));
  return address.port;
};

for (const [name, loopback] of [["127.0.0.1", LOOPBACK4], ["::1", LOOPBACK6]] as const) {
  test(`tcpDial() reaches tcpListen() over ${name}, and both know both ends`, () => {
    const listener = tcpListen(loopback, 0);
    ok(listener >= 0, String(listener));
    const client = tcpDial(loopback, portOf(listener));
    ok(client >= 0, String(client));
    awaitReady(listener, EpollEvents.in);
    const from = new SocketAddress(), peer = new SocketAddress();
    const server = tcpAccept(listener, from);
    ok(server >= 0, String(server));
    strictEqual(tcpAccept(listener, from), -Errno.EAGAIN);
    strictEqual(from.port, portOf(client));
    strictEqual(from.family, loopback.family);
    ok(peerAddress(client, peer));
    deepStrictEqual([peer.a, peer.b, peer.c, peer.d], [loopback.a, loopback.b, loopback.c, loopback.d]);
    strictEqual(socketError(client), 0);
    const data = new NativeMemory(8);
    data.bytes[0] = 42;
    strictEqual(write(client, data.address, 1), 1);
    awaitReady(server, EpollEvents.in);
    strictEqual(read(server, data.address + 4, 4), 1);
    strictEqual(data.bytes[4], 42);
    for (const fd of [listener, client, server]) close(fd);
  });

  test(`SendBatch and ReceiveBatch carry datagrams and their sources over ${name}`, () => {
    const receiver = udpSocket(loopback.family, loopback), sender = udpSocket(loopback.family, loopback);
    ok(receiver >= 0 && sender >= 0);
    const data = new NativeMemory(4 * 64);
    const out = new SendBatch(4), into = new ReceiveBatch(4);
    for (let i = 0; i < 3; i++) {
      data.bytes[i * 64] = i + 1;
      ok(out.add(data.address + i * 64, i + 1, loopback, portOf(receiver)));
    }
    strictEqual(out.flush(sender), 3);
    strictEqual(out.filled, 0);
    const space = new NativeMemory(4 * 64);
    for (let i = 0; i < 4; i++) into.setBuffer(i, space.address + i * 64, 2);
    awaitReady(receiver, EpollEvents.in);
    strictEqual(into.receive(receiver), 3);
    const source = new SocketAddress();
    for (let i = 0; i < 3; i++) {
      strictEqual(into.length(i), Math.min(i + 1, 2));
      strictEqual(into.truncated(i), i === 2);
      strictEqual(space.bytes[i * 64], i + 1);
      ok(into.source(i, source));
      strictEqual(source.port, portOf(sender));
    }
    strictEqual(into.receive(receiver), -Errno.EAGAIN);
    close(receiver);
    close(sender);
  });
}

test("tcpDial() to a closed port is refused through socketError()", () => {
  const listener = tcpListen(LOOPBACK4, 0);
  const port = portOf(listener);
  close(listener);
  const client = tcpDial(LOOPBACK4, port);
  if (client >= 0) {
    awaitReady(client, EpollEvents.out);
    strictEqual(socketError(client), Errno.ECONNREFUSED);
    close(client);
  } else {
    strictEqual(client, -Errno.ECONNREFUSED);
  }
});

test("tcpListen() says when the port is taken", () => {
  const first = tcpListen(LOOPBACK4, 0);
  strictEqual(tcpListen(LOOPBACK4, portOf(first)), -Errno.EADDRINUSE);
  close(first);
});

test("receiveError() tells which port was unreachable", () => {
  const closed = udpSocket(4, LOOPBACK4);
  const port = portOf(closed);
  close(closed);
  const fd = udpDial(LOOPBACK4, port);
  const data = new NativeMemory(64);
  data.bytes[0] = 9;
  strictEqual(send(fd, data.address, 5, 0), 5);
  ok((awaitReady(fd, 0) & EpollEvents.err) !== 0);
  const error = new QueuedError();
  strictEqual(receiveError(fd, data.address + 32, 32, error), 5);
  strictEqual(data.bytes[32], 9);
  deepStrictEqual([error.errno, error.origin, error.type, error.code], [Errno.ECONNREFUSED, 2, 3, 3]);
  strictEqual(error.destination.port, port);
  deepStrictEqual([error.hasOffender, error.offender.d], [true, LOOPBACK4.d]);
  strictEqual(receiveError(fd, data.address, 8, error), -Errno.EAGAIN);
  close(fd);
});

test("pingSocket() opens, or says that the group may not", () => {
  for (const family of [4, 6] as const) {
    const fd = pingSocket(family);
    ok(fd >= 0 || fd === -Errno.EACCES || fd === -Errno.EAFNOSUPPORT, String(fd));
    if (fd >= 0) close(fd);
  }
});
