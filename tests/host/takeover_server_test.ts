import { deepStrictEqual, match, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { askHttp } from "../../lib/host/http_client.ts";
import {
  BODY_MAX,
  CHUNKS_MAX,
  HEAD_MAX,
  readRequest,
  serveWithTakeover,
} from "../../lib/host/takeover_server.ts";

/** What comes back for `bytes`, which the client ends with. */
function exchange(path: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = "";
    const socket = createConnection({ path, allowHalfOpen: true }, () => socket.end(bytes));
    socket.on("data", (chunk: Uint8Array) => seen += Buffer.from(chunk).toString("latin1"));
    socket.on("end", () => resolve(seen));
    socket.on("error", reject);
  });
}

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "sluice-takeover-"));
  try {
    await body(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a request is answered, and its connection ends", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "api");
    const server = await serveWithTakeover({ unix: path }, async (request) => {
      const { pathname, search } = new URL(request.url);
      return Response.json([request.method, pathname + search, await request.text()], { status: 404 });
    });
    strictEqual(statSync(path).mode & 0o777, 0o600);
    const answer = await askHttp(path, "/a?b=c", { method: "POST", body: "x".repeat(70_000) });
    strictEqual(answer.status, 404);
    deepStrictEqual(JSON.parse(answer.text), ["POST", "/a?b=c", "x".repeat(70_000)]);
    match(await exchange(path, "nonsense\r\n\r\n"), /^HTTP\/1\.1 400 Bad Request\r\n/);
    match(
      await exchange(path, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
      /^HTTP\/1\.1 404 .*\r\nconnection: close\r\n\r\n\["GET","\/",""\]$/s,
    );
    server.close();
    ok(!existsSync(path));
  }));

/** The first bytes that come; undefined: none before the end. */
function firstOf(socket: Socket): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    socket.once("data", resolve);
    socket.once("close", () => resolve(undefined));
  });
}

/** Longer than any test: a client is given up, or refused, never both. */
const EVER = 600_000;

for (const patience of [EVER, 200]) {
  const what = patience === EVER ? "connections beyond the limit" : "requests that never come";
  test(`${what} are ended and counted`, () =>
    withDirectory(async (directory) => {
      const path = join(directory, "api");
      const limits = { connections: 1, takeovers: 1, patience };
      const server = await serveWithTakeover({ unix: path }, () => new Response(null), limits);
      const silent = createConnection({ path });
      const ended = new Promise<void>((resolve) => silent.once("close", () => resolve()));
      await new Promise<void>((resolve) => silent.once("connect", () => resolve()));
      silent.on("error", () => {}).write("GET / HTTP/1.1\r\n");
      if (patience === EVER) {
        strictEqual(await exchange(path, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").catch(() => ""), "");
        strictEqual(server.counters()["api.connection-limit"], 1);
        silent.destroy();
      } else {
        silent.resume();
        await ended;
        strictEqual(server.counters()["api.request-timeout"], 1);
      }
      server.close();
    }));
}

for (const request of ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "nonsense\r\n\r\n"]) {
  test(`a client that stays after the answer to ${JSON.stringify(request)} gives its place up`, () =>
    withDirectory(async (directory) => {
      const path = join(directory, "api");
      // Long enough for a request that is under way, whoever else wants the processor.
      const limits = { connections: 1, takeovers: 1, patience: 1_000 };
      const server = await serveWithTakeover({ unix: path }, () => new Response("yes"), limits);
      const stays = createConnection({ path, allowHalfOpen: true }).on("error", () => {});
      stays.write(request);
      await new Promise<void>((resolve) => stays.resume().once("end", () => resolve()));
      while (server.counters()["api.response-timeout"] === 0) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      match(await exchange(path, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), /^HTTP\/1\.1 200 /);
      stays.destroy();
      server.close();
    }));
}

test("a connection that is taken over is another one, each direction with its own end", () =>
  withDirectory(async (directory) => {
    const [path, unix] = [join(directory, "api"), join(directory, "other")];
    const echo = createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket));
    await new Promise<void>((resolve) => echo.listen(unix, resolve));
    let connected = 0;
    const server = await serveWithTakeover({ unix: path }, (request, takeOver) => {
      const there = new URL(request.url).pathname === "/there";
      takeOver({
        unix: there ? unix : join(directory, "no"),
        greeting: "OK",
        onConnected: () => connected++,
      });
      return new Response("never sent");
    });
    const head = (name: string) => `POST /${name} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const bulk = "0123456789".repeat(100_000);
    ok(await exchange(path, `${head("there")}${bulk}`) === `OK${bulk}`);
    strictEqual(connected, 1);
    strictEqual(await exchange(path, head("nowhere")).catch(() => ""), "");
    strictEqual(connected, 2);
    server.close();
    await new Promise((resolve) => echo.close(resolve));
  }));

test("connections that are taken over keep nobody from asking, and are bounded", () =>
  withDirectory(async (directory) => {
    const [path, unix] = [join(directory, "api"), join(directory, "other")];
    const echo = createServer((socket) => void socket.pipe(socket));
    await new Promise<void>((resolve) => echo.listen(unix, resolve));
    const limits = { connections: 1, takeovers: 2, patience: EVER };
    const server = await serveWithTakeover({ unix: path }, (request, takeOver) => {
      if (new URL(request.url).pathname === "/take") takeOver({ unix, greeting: "OK" });
      return new Response("yes");
    }, limits);
    const take = () => {
      const socket = createConnection({ path }).on("error", () => {});
      socket.write("POST /take HTTP/1.1\r\nHost: a\r\n\r\n");
      return socket;
    };
    const taken = [take()];
    await once(taken[0]!, "data");
    taken.push(take());
    await once(taken[1]!, "data");
    match(await exchange(path, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), /^HTTP\/1\.1 200 /);
    await once(take().resume(), "close");
    deepStrictEqual(server.counters(), {
      "api.connection-limit": 0,
      "api.takeover-limit": 1,
      "api.request-timeout": 0,
      "api.response-timeout": 0,
    });
    const gone = once(taken[0]!.resume(), "close");
    taken[0]!.destroy();
    await gone;
    // Its place is free as soon as the server knows.
    let again = take();
    for (let got = await firstOf(again); got === undefined; got = await firstOf(again)) again = take();
    server.close();
    await Promise.all([taken[1]!, again].map((socket) => once(socket.resume(), "close")));
    await new Promise((resolve) => echo.close(resolve));
  }));

test("a connection that ends with the other one is over at once", () =>
  withDirectory(async (directory) => {
    const [path, unix] = [join(directory, "api"), join(directory, "other")];
    const other = createServer({ allowHalfOpen: true }, (socket) => void socket.resume().end("bye"));
    await new Promise<void>((resolve) => other.listen(unix, resolve));
    const limits = { connections: 1, takeovers: 1, patience: EVER };
    const server = await serveWithTakeover({ unix: path }, (_, takeOver) => {
      takeOver({ unix, greeting: "", endsTogether: true });
      return new Response("never sent");
    }, limits);
    const head = "POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    // Hears the end and stays; his place is another's all the same.
    const stays = createConnection({ path, allowHalfOpen: true }).on("error", () => {});
    stays.write(head);
    await once(stays.resume(), "end");
    while (await exchange(path, head).catch(() => "") !== "bye");
    stays.destroy();
    server.close();
    await new Promise((resolve) => other.close(resolve));
  }));

test("readRequest(): what is incomplete waits, what is wrong is refused", async () => {
  const whole =
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\n\r\nrest";
  for (let n = 0; n < whole.length - 4; n++) {
    strictEqual(readRequest(Buffer.from(whole.slice(0, n))), undefined);
  }
  const read = readRequest(Buffer.from(whole))!;
  strictEqual(read.length, whole.length - 4);
  strictEqual(await read.request.text(), "abcde");
  const absolute = readRequest(Buffer.from("GET http://h/y?z HTTP/1.0\r\n\r\n"))!;
  strictEqual(absolute.request.url, "http://localhost/y?z");

  const wrong: readonly [string, RegExp][] = [
    ["GET  / HTTP/1.1\r\n\r\n", /request line/],
    ["GET / HTTP/2\r\n\r\n", /request line/],
    ["GET / HTTP/1.1\r\n\r\n", /Host/],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", /Host/],
    ["GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", /header field/],
    ["GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", /header field/],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", /Content-Length/],
    [
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      /Transfer-Encoding/,
    ],
    ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", /Transfer-Encoding/],
    ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", /chunk/],
    [
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${
        "1;a=b\r\nx\r\n".repeat(CHUNKS_MAX + 1)
      }`,
      /too many chunks/,
    ],
    [`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${BODY_MAX + 1}\r\n\r\n`, /body is too large/],
    ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", /body is too large/],
    ["x".repeat(HEAD_MAX), /header is too large/],
  ];
  for (const [text, why] of wrong) throws(() => readRequest(Buffer.from(text)), why, JSON.stringify(text));
});

test("what cannot be listened on is said", () =>
  rejects(serveWithTakeover({ unix: "/no/such/directory/api" }, () => new Response())));
