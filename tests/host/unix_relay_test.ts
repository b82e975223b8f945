import { ok, rejects, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RELAY_CONNECTIONS, relayUnix } from "../../lib/host/unix_relay.ts";

async function withRelay(
  patience: number,
  body: (path: string, to: string, counters: () => { refused: number; late: number }) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-relay-"));
  const [path, to] = [join(directory, "outer"), join(directory, "inner")];
  const relay = await relayUnix(path, to, patience);
  try {
    await body(path, to, () => relay.counters());
  } finally {
    relay.close();
    ok(!existsSync(path));
    rmSync(directory, { recursive: true });
  }
}

/** Everything that comes back for `bytes`, which the client ends with. */
function exchange(path: string, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let seen = "";
    const socket = createConnection({ path, allowHalfOpen: true }, () => socket.end(bytes));
    socket.on("data", (chunk: Uint8Array) => seen += Buffer.from(chunk).toString("latin1"));
    socket.on("error", () => resolve(seen));
    socket.on("close", () => resolve(seen));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve) => server.listen(path, resolve));
}

test("connections wait for who is to serve them, and lose nothing on either way", () =>
  withRelay(30_000, async (path, to) => {
    strictEqual(statSync(path).mode & 0o777, 0o600);
    const bulk = "0123456789".repeat(100_000);
    const early = exchange(path, bulk);
    // Speaks first, and sends back what it gets.
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.write("hello ");
      socket.pipe(socket);
    });
    await listen(server, to);
    ok(await early === `hello ${bulk}`);
    ok(await exchange(path, bulk) === `hello ${bulk}`);
    server.close();
  }));

test("one who is hung up on before anything is said is tried again, a few times", () =>
  withRelay(30_000, async (path, to, counters) => {
    let connections = 0;
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      if (connections++ < 2) socket.destroy();
      else socket.pipe(socket);
    });
    await listen(server, to);
    strictEqual(await exchange(path, "said once"), "said once");
    strictEqual(connections, 3);
    server.close();
    strictEqual(counters().late, 0);
  }));

test("nobody waits for ever", () =>
  withRelay(100, async (path, _to, counters) => {
    strictEqual(await exchange(path, "anybody?"), "");
    strictEqual(counters().late, 1);
  }));

test("a file is not replaced", () =>
  withRelay(100, async (path) => {
    const file = `${path}.txt`;
    writeFileSync(file, "precious");
    await rejects(relayUnix(file, "/nowhere"), /the file exists, and is no socket/);
  }));

test("one connection too many is closed at once, and counted (`ssh.connection-limit`)", () =>
  withRelay(30_000, async (path, to, counters) => {
    const server = createServer((socket) => void socket.pipe(socket));
    await listen(server, to);
    const held = await Promise.all(
      Array.from({ length: RELAY_CONNECTIONS }, () =>
        new Promise<Socket>((resolve) => {
          const socket = createConnection(path, () => resolve(socket));
        })),
    );
    strictEqual(await exchange(path, "one more"), "");
    strictEqual(counters().refused, 1);
    await new Promise<void>((resolve) => {
      held[0]!.once("data", () => resolve());
      held[0]!.write("those that are there are served");
    });
    for (const socket of held) socket.destroy();
    server.close();
  }));
