import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { FairRing } from "../../lib/stack/fair_ring.ts";
import type { TcpConnection } from "../../lib/stack/tcp/connection.ts";
import { ip } from "../support/two_stacks.ts";

function connection(name: string, address: string): TcpConnection & { readonly name: string } {
  return { name, ready: false, remoteAddress: ip(address) } as unknown as TcpConnection & {
    readonly name: string;
  };
}

/** Asks for `turns` packets, each of so many bytes as `size` says; counts them by name. */
function send(ring: FairRing, turns: number, size: (name: string) => number): Record<string, number> {
  const bytes: Record<string, number> = {};
  for (let i = 0; i < turns; i++) {
    const next = ring.shift() as (TcpConnection & { readonly name: string }) | undefined;
    if (next === undefined) break;
    const sent = size(next.name);
    ring.sent(sent);
    bytes[next.name] = (bytes[next.name] ?? 0) + sent;
    ring.push(next);
  }
  return bytes;
}

test("hosts share by bytes, however many connections they have and however long their packets are", () => {
  const ring = new FairRing();
  for (let i = 0; i < 10; i++) ring.push(connection("many", "10.0.0.1"));
  ring.push(connection("one", "10.0.0.2"));
  ring.push(connection("short", "10.0.0.3"));
  const bytes = send(ring, 100_000, (name) => name === "short" ? 1_000 : 60_000);
  const [many, one, short] = [bytes["many"]!, bytes["one"]!, bytes["short"]!];
  for (const ratio of [many / one, short / one]) {
    strictEqual(Math.abs(ratio - 1) < 0.01, true, JSON.stringify(bytes));
  }
});

test("a host that had more than its turn owes it, though it has nothing to send for a moment", () => {
  const ring = new FairRing();
  const long = connection("long", "10.0.0.1");
  ring.push(long);
  ring.push(connection("steady", "10.0.0.2"));
  const bytes = { long: 0, steady: 0 };
  for (let i = 0; i < 50_000; i++) {
    const next = ring.shift() as TcpConnection & { readonly name: "long" | "steady" };
    const sent = next.name === "long" ? 60_000 : 1_000;
    ring.sent(sent);
    bytes[next.name] += sent;
    if (next.name === "steady") ring.push(next);
    // It is back with the next packet of the other one.
    if (next.name === "steady" && !long.ready) ring.push(long);
  }
  strictEqual(Math.abs(bytes.long / bytes.steady - 1) < 0.2, true, JSON.stringify(bytes));
});

test("a host that is held waits, and goes on when it is released", () => {
  const ring = new FairRing();
  ring.push(connection("a", "10.0.0.1"));
  ring.push(connection("b", "10.0.0.2"));
  ring.hold(ip("10.0.0.1"), true);
  deepStrictEqual(Object.keys(send(ring, 100, () => 1_000)), ["b"]);
  strictEqual(ring.length, 2);
  ring.hold(ip("10.0.0.2"), true);
  strictEqual(ring.shift(), undefined, "nobody may send, and it does not look for ever");
  ring.hold(ip("10.0.0.1"), false);
  deepStrictEqual(Object.keys(send(ring, 100, () => 1_000)), ["a"]);
});

test("holds nest", () => {
  const ring = new FairRing();
  ring.push(connection("a", "10.0.0.1"));
  ring.hold(ip("10.0.0.1"), true);
  ring.hold(ip("10.0.0.1"), true);
  ring.hold(ip("10.0.0.1"), false);
  strictEqual(ring.shift(), undefined);
  ring.hold(ip("10.0.0.1"), false);
  strictEqual(ring.shift() === undefined, false);
});

test("a connection is in it once", () => {
  const ring = new FairRing();
  const one = connection("a", "10.0.0.1");
  ring.push(one);
  ring.push(one);
  strictEqual(ring.length, 1);
  strictEqual(ring.shift(), one);
  strictEqual(ring.shift(), undefined);
});

test("a host that is held holds nobody else, however its address was chosen", () => {
  const ring = new FairRing();
  // Each differs from the last address in bits that cancel each other out, or that a table of any size leaves out.
  const others = ["10.0.1.1", "10.1.0.1", "138.0.0.1", "fd00:0:0:a::fd00:1", "::ffff", "::a00:fffe"];
  ring.push(connection("victim", "10.0.0.1"));
  for (const address of others) ring.hold(ip(address), true);
  for (let i = 0; i < 2_048; i++) ring.hold(ip(`fd00::${i.toString(16)}`), true);
  deepStrictEqual(Object.keys(send(ring, 10, () => 1_000)), ["victim"]);
  for (const address of others) ring.hold(ip(address), false);
  for (const address of others) ring.push(connection(address, address));
  strictEqual(Object.keys(send(ring, 1_000, () => 1_000)).length, others.length + 1);
});
