import { equal, match, ok, rejects, throws } from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { askHttp, HttpUnreachable } from "../../lib/host/http_client.ts";
import { serveHttp } from "../../lib/host/http_server.ts";
import { processStart } from "../../lib/host/runtime_files.ts";

async function withDirectory(body: (directory: string) => Promise<void> | void): Promise<void> {
  const directory = mkdtempSync(`${tmpdir()}/sluice-http-`);
  try {
    await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const echo = async (request: Request) =>
  Response.json({
    method: request.method,
    path: new URL(request.url).pathname,
    host: request.headers.get("host"),
    token: request.headers.get("authorization"),
    body: await request.text(),
  }, { status: 201 });

test("serveHttp() and askHttp() meet on a unix socket that only its owner can open", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/api.sock`;
    const mask = process.umask();
    const server = serveHttp({ unix: path }, echo);
    equal(process.umask(), mask);
    equal(statSync(path).mode & 0o777, 0o600);
    const request = { method: "POST", headers: { authorization: "Bearer x" }, body: "hello" };
    const { status, text } = await askHttp(path, "/v1/x?y=1", request);
    equal(status, 201);
    equal(text, '{"method":"POST","path":"/v1/x","host":"sluice","token":"Bearer x","body":"hello"}');
    server.close();
    equal(existsSync(path), false);
    await rejects(askHttp(path, "/"), HttpUnreachable);
  });
});

test("serveHttp() and askHttp() meet on a TCP port", async () => {
  const server = serveHttp({ host: "127.0.0.1", port: 0 }, echo);
  ok(server.port > 0);
  const { text } = await askHttp(`http://127.0.0.1:${server.port}`, "/v1/x");
  match(text, /"method":"GET","path":"\/v1\/x","host":"127\.0\.0\.1:\d+"/);
  throws(() => serveHttp({ host: "127.0.0.1", port: server.port }, echo), { code: "EADDRINUSE" });
  server.close();
});

test("HttpServer.close() ends a stream that is open", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/api.sock`;
    const began = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    const server = serveHttp({ unix: path }, () => {
      began.resolve();
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
          cancel: () => gone.resolve(),
        }),
      );
    });
    const asked = askHttp(path, "/").then(() => "ended", () => "ended");
    await began.promise;
    server.close();
    equal(await asked, "ended");
    await gone.promise;
  });
});

test("serveHttp() refuses a path that is taken or too long", async () => {
  await withDirectory((directory) => {
    const path = `${directory}/api.sock`;
    const server = serveHttp({ unix: path }, echo);
    throws(() => serveHttp({ unix: path }, echo), { code: "EADDRINUSE" });
    server.close();
    throws(() => serveHttp({ unix: `${directory}/${"x".repeat(108)}` }, echo), /bytes, more than 107/);
  });
});

test("askHttp() says why nobody answers", async () => {
  await withDirectory(async (directory) => {
    await rejects(askHttp(`${directory}/none`, "/"), /Cannot reach .*\/none: there is no such socket/);
    writeFileSync(`${directory}/file`, "");
    await rejects(askHttp(`${directory}/file`, "/"), HttpUnreachable);
    const path = `${directory}/slow.sock`;
    const server = serveHttp({ unix: path }, () => new Promise<Response>(() => {}));
    await rejects(askHttp(path, "/", { timeout: 50 }), /no answer in time/);
    server.close();
  });
});

test("processStart() names a process by when it began", () => {
  const ours = processStart(process.pid);
  ok(ours !== undefined && /^[0-9]+$/.test(ours));
  equal(processStart(process.pid), ours);
  equal(processStart(4194304 + 1), undefined);
});
