import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { NO_OFFLOAD } from "../../lib/stack/link/link.ts";
import { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import { TcpEvent } from "../../lib/stack/tcp/events.ts";
import { ip, Pair } from "../support/two_stacks.ts";
import { randomBytes, seeded } from "../support/random.ts";
import { Client, EchoServer } from "../support/tcp_echo.ts";

const OFFLOAD = { txChecksum: true, rxChecksum: true, gsoMaxSize: 65_535 };

for (
  const [why, remote, capabilities] of [
    ["over IPv4, cut in software", "10.0.0.2", NO_OFFLOAD],
    ["over IPv6, cut in software", "fd00::2", NO_OFFLOAD],
    ["over IPv4, uncut", "10.0.0.2", OFFLOAD],
    ["over IPv6, uncut", "fd00::2", OFFLOAD],
  ] as const
) {
  test(`Stack.tcpConnect() echoes a megabyte ${why}`, () => {
    const pair = new Pair({ capabilities });
    const server = new EchoServer();
    const listener = pair.b.stack.tcpListen({ port: 7, observer: server }, pair.now);
    ok(typeof listener !== "string");
    const bytes = randomBytes(seeded(3), 1_000_000);
    const client = new Client(bytes);
    const connection = pair.a.stack.tcpConnect(
      { remoteAddress: ip(remote), remotePort: 7, observer: client },
      pair.now,
    );
    if (!(connection instanceof TcpConnection)) throw new Error(connection);
    pair.run(20_000_000, () => client.done);
    equal(client.count, bytes.length);
    deepEqual(concat(client.received), bytes);
    ok((client.events & TcpEvent.established) !== 0);
    equal(pair.a.stack.counters.get("tcp.bad-checksum"), 0);
    equal(pair.b.stack.counters.get("tcp.bad-checksum"), 0);
  });
}

test("Stack.tcpConnect() works over the loopback", () => {
  const pair = new Pair();
  const { stack } = pair.a;
  ok(typeof stack.tcpListen({ port: 7, observer: new EchoServer() }, pair.now) !== "string");
  const client = new Client(randomBytes(seeded(4), 300_000));
  stack.tcpConnect({ remoteAddress: ip("127.0.0.1"), remotePort: 7, observer: client }, pair.now);
  pair.run(20_000_000, () => client.done);
  equal(client.count, 300_000);
});

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
