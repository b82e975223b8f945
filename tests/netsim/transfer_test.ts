/**
 * Whole transfers between two stacks over bad wires: every byte arrives, in order, once, and nothing is left behind.
 */

import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { MILLISECOND, SECOND } from "../../lib/stack/time.ts";
import type { App } from "./apps.ts";
import { Lab, type LabOptions } from "./lab.ts";
import type { WireSpec } from "./wire.ts";

const SEED = 20_260;
const MEGABYTE = 1_000_000;
const GOOD: WireSpec = { delay: 5 * MILLISECOND, rate: 125_000_000, queue: 4 * MEGABYTE };

function lab(there: Partial<WireSpec>, back: Partial<WireSpec>, more: Partial<LabOptions> = {}): Lab {
  return new Lab({ seed: SEED, there: { ...GOOD, ...there }, back: { ...GOOD, ...back }, ...more });
}

/** What to print when a transfer did not end: enough to find out why without a debugger. */
function report(lab: Lab, ...apps: App[]): string {
  const ends = apps.map((app) =>
    `[${app.connection?.state} sent ${app.sent} received ${app.received} error ${app.error} ` +
    `${JSON.stringify(app.closed ? {} : app.connection?.facts().tcp)}]`
  );
  return `seed ${SEED}, at ${(lab.world.now / SECOND).toFixed(3)} s: ${ends.join(" ")}`;
}

/** Runs until both ends are closed, and checks that each received exactly what the other one sent. */
function finish(lab: Lab, pair: { client: App; server: App }, limit = 600 * SECOND): void {
  const { client, server } = pair;
  const done = lab.world.run(() => client.closed && server.closed, limit);
  ok(done, `not closed: ${report(lab, client, server)}`);
  intact(lab, client, server);
}

function intact(lab: Lab, client: App, server: App): void {
  strictEqual(client.wrongAt, -1, "first wrong byte at the client");
  strictEqual(server.wrongAt, -1, "first wrong byte at the server");
  strictEqual(server.received, client.sent, report(lab, client, server));
  strictEqual(client.received, server.sent, report(lab, client, server));
  strictEqual(client.error, undefined);
  strictEqual(server.error, undefined);
}

/** After TIME-WAIT: no connection, no buffer. */
function clean(lab: Lab): void {
  lab.world.run(() => false, 300 * SECOND);
  for (const { stack, pool } of [lab.client, lab.server]) {
    const left = stack.snapshot().sockets.filter((socket) => socket.state !== "LISTEN");
    strictEqual(left.length, 0, `sockets left: ${JSON.stringify(left)}`);
    strictEqual(pool.held, 0, "buffers left");
  }
}

const WIRES: [name: string, there: Partial<WireSpec>, back: Partial<WireSpec>][] = [
  ["a good wire", {}, {}],
  ["5 % loss towards the server", { loss: 0.05 }, {}],
  ["5 % loss towards the client", {}, { loss: 0.05 }],
  ["5 % loss both ways", { loss: 0.05 }, { loss: 0.05 }],
  ["reordering", { reorder: 0.05 }, { reorder: 0.05 }],
  ["duplicates", { duplicate: 0.1 }, { duplicate: 0.1 }],
  [
    "loss, reordering and duplicates at once",
    { loss: 0.02, reorder: 0.05, duplicate: 0.05 },
    { loss: 0.02, reorder: 0.05, duplicate: 0.05 },
  ],
  ["corruption", { corrupt: 0.03 }, { corrupt: 0.03 }],
  ["a bottleneck with a short queue", { rate: 2_000_000, queue: 20_000 }, {}],
];
for (const [name, there, back] of WIRES) {
  test(`Stack sends 10 MB intact over ${name}`, () => {
    const it = lab(there, back);
    finish(it, it.connect({ send: 10 * MEGABYTE }, {}));
    clean(it);
  });
}

test("Stack receives 10 MB intact over 5 % loss both ways", () => {
  const it = lab({ loss: 0.05 }, { loss: 0.05 });
  finish(it, it.connect({}, { send: 10 * MEGABYTE }));
  clean(it);
});

test("Stack sends both ways at once over a bad wire", () => {
  const bad = { loss: 0.01, reorder: 0.02, duplicate: 0.02 };
  const it = lab(bad, bad);
  finish(it, it.connect({ send: 5 * MEGABYTE }, { send: 5 * MEGABYTE }));
  clean(it);
});

const OFFLOAD = { txChecksum: true, rxChecksum: true, gsoMaxSize: 65_536 };

const VARIANTS: [name: string, more: Partial<LabOptions>][] = [
  ["IPv6", { family: 6 }],
  ["the least MTU of IPv6", { family: 6, mtu: 1280 }],
  ["the least MTU", { mtu: 576 }],
  ["a large MTU", { mtu: 65_520 }],
  ["super-packets on the wire", { capabilities: OFFLOAD }],
  ["super-packets on the wire of IPv6", { capabilities: OFFLOAD, family: 6 }],
  ["a receive buffer of 8 KiB", { tcp: { receiveBuffer: 8_192, receiveBufferMax: 8_192 } }],
  ["a receive buffer below one segment", { tcp: { receiveBuffer: 1_000, receiveBufferMax: 1_000 } }],
  ["a send buffer of 4 KiB", { tcp: { sendBuffer: 4_096, sendBufferMax: 4_096 } }],
  ["Nagle off", { tcp: { noDelay: true } }],
  ["ECN", { tcp: { ecn: "request" } }],
  ["Reno", { tcp: { congestion: "reno" } }],
  ["no SACK", { tcp: { sack: false } }],
  ["no timestamps", { tcp: { timestamps: false } }],
  ["no window scale", { tcp: { windowScale: false } }],
  ["no options at all", { tcp: { sack: false, timestamps: false, windowScale: false } }],
  ["no delayed acknowledgements", { tcp: { delayedAck: false } }],
];
for (const [name, more] of VARIANTS) {
  test(`Stack sends 2 MB intact with ${name} over a bad wire`, () => {
    const bad = { loss: 0.01, reorder: 0.02, duplicate: 0.02 };
    const it = lab(bad, bad, more);
    finish(it, it.connect({ send: 2 * MEGABYTE }, {}));
    clean(it);
  });
}

test("Stack half-closes: what the server sends after the client's FIN arrives", () => {
  const it = lab({ loss: 0.02 }, { loss: 0.02 });
  const { client, server } = it.connect({ send: MEGABYTE }, { send: 0, shutdown: false });
  ok(
    it.world.run(() => server.peerClosed && server.received === MEGABYTE, 60 * SECOND),
    report(it, client, server),
  );
  it.world.run(() => client.connection!.state === "fin-wait-2", 10 * SECOND);
  strictEqual(server.connection!.state, "close-wait");
  strictEqual(client.closed, false);
  // Linux' tcp_fin_timeout is for orphans: while the client still holds its end, it may wait for ever.
  it.world.run(() => false, 120 * SECOND);
  strictEqual(client.connection!.state, "fin-wait-2");
  server.send(2 * MEGABYTE, it.world.now);
  finish(it, { client, server });
  strictEqual(client.received, 2 * MEGABYTE);
  clean(it);
});

test("Stack closes simultaneously", () => {
  for (const loss of [0, 0.3]) {
    const it = lab({ loss }, { loss });
    const { client, server } = it.connect({ shutdown: false }, { shutdown: false });
    ok(it.world.run(() => client.established && server.established, 60 * SECOND), report(it, client, server));
    client.connection!.shutdown(it.world.now);
    server.connection!.shutdown(it.world.now);
    finish(it, { client, server });
    clean(it);
  }
});

test("Stack waits for a reader that does not read, and goes on when it does", () => {
  const it = lab({ loss: 0.01 }, { loss: 0.01 });
  const { client, server } = it.connect({ send: 20 * MEGABYTE }, { shutdown: false });
  server.paused = true;
  it.world.run(() => false, 300 * SECOND);
  ok(server.connection!.receiveQueue.length > 0 && client.sent < 20 * MEGABYTE, report(it, client, server));
  strictEqual(client.connection!.state, "established");
  const probes = it.there.counts.sent;
  it.world.run(() => false, 300 * SECOND);
  ok(it.there.counts.sent - probes < 30, "window probes back off");
  server.paused = false;
  server.read(it.world.now);
  server.send(0, it.world.now);
  finish(it, { client, server });
  clean(it);
});

test("Stack gives up on a black hole in bounded time and with bounded traffic", () => {
  const it = lab({}, {});
  const { client, server } = it.connect({ send: 10 * MEGABYTE }, {});
  ok(it.world.run(() => server.received > MEGABYTE, 10 * SECOND));
  it.there.spec = { ...GOOD, loss: 1 };
  const sent = it.there.counts.sent;
  const start = it.world.now;
  ok(it.world.run(() => client.closed, 3600 * SECOND), report(it, client, server));
  // Linux' 15 retries take a quarter of an hour. By then the neighbour is gone as well, which is the better reason.
  strictEqual(client.error, "host-unreachable");
  const minutes = (it.world.now - start) / (60 * SECOND);
  ok(minutes > 10 && minutes < 30, `after ${minutes} minutes`);
  ok(it.there.counts.sent - sent < 4000, `${it.there.counts.sent - sent} frames into the hole`);
});

test("Stack refuses a connection to a port where nobody listens", () => {
  const it = lab({}, {});
  const { client } = it.connect({}, {});
  const other = it.dial(1);
  ok(it.world.run(() => client.established && other.closed, SECOND));
  strictEqual(other.error, "refused");
});

test("Stack opens and closes 500 connections, many at a time", () => {
  const it = lab({ loss: 0.02 }, { loss: 0.02 });
  const pairs: { client: App; server: App }[] = [];
  for (let batch = 0; batch < 10; batch++) {
    for (let i = 0; i < 50; i++) pairs.push(it.connect({ send: 3000 }, { send: 7000 }));
    it.world.run(() => false, 50 * MILLISECOND);
  }
  const done = () => pairs.every(({ client, server }) => client.closed && server.closed);
  ok(
    it.world.run(done, 300 * SECOND),
    report(it, ...pairs.flatMap((p) => [p.client, p.server]).filter((a) => !a.closed)),
  );
  for (const { client, server } of pairs) intact(it, client, server);
  clean(it);
});
