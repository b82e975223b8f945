/**
 * Programs that know nothing of us, on the attachment `sockets`: they fetch, serve, and talk to each other inside. Each does
 * what it does on a host.
 */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Finished,
  printed,
  run,
  type RunOptions,
  type Scope,
  start,
  withScope,
} from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { echoTcp, echoUdp } from "../support/echo_host.ts";
import { behind, type Family, IPV4, SITUATIONS, succeeded, USERS } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { payload } from "../support/payload.ts";

const MACHINE = needs("root", "userns", "user:tester");
const FLAGS = ["--attach=sockets"];
const CASES = SITUATIONS.map(({ family, as }) => ({
  family,
  as,
  name: `${family.name}, ${as.user ?? "root"}`,
}));
const SIZE = 16 * 1024 * 1024;
const MESSAGE = "unmodified";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function hashOf(request: IncomingMessage): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of request) hash.update(chunk);
  return hash.digest("hex");
}

/** `/big`; an upload is answered with its hash, anything else with a word. */
async function serve(scope: Scope, host: string, big: Uint8Array): Promise<number> {
  const server = createServer(async (request, response) => {
    if (request.method === "PUT") response.end(await hashOf(request));
    else response.end(request.url === "/big" ? big : MESSAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  scope.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

function guest(
  scope: Scope,
  as: RunOptions,
  argv: readonly string[],
  options: RunOptions & { readonly flags?: readonly string[] } = {},
): Promise<Finished> {
  return behind(scope, { as }, argv, { ...options, flags: [...FLAGS, ...options.flags ?? []] });
}

/** Programs that fetch one small thing and print it. `URL` is where it is. */
const FETCHERS: readonly (readonly [name: string, argv: (url: string) => readonly string[]])[] = [
  ["curl", (url) => ["curl", "-sS", "-g", url]],
  ["wget", (url) => ["wget", "-q", "-O", "-", url]],
  ["busybox wget, a static program", (url) => ["busybox", "wget", "-q", "-O", "-", url]],
  [
    "python urllib",
    (
      url,
    ) => ["python3", "-c", `import urllib.request as u; print(u.urlopen("${url}").read().decode(), end="")`],
  ],
  [
    "node fetch",
    (url) => ["node", "-e", `fetch("${url}").then(async (r) => process.stdout.write(await r.text()))`],
  ],
  [
    "a pool of threads",
    (url) => [
      "python3",
      "-c",
      `import urllib.request as u
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(16) as pool:
    seen = set(pool.map(lambda _: u.urlopen("${url}").read().decode(), range(100)))
print(*seen, end="")`,
    ],
  ],
];

for (const { name, family, as } of CASES) {
  for (const [program, argv] of FETCHERS) {
    test(`${program} fetches (${name})`, MACHINE, () =>
      withScope(async (scope) => {
        const port = await serve(scope, family.host, new Uint8Array(0));
        const result = succeeded(await guest(scope, as, argv(`http://${family.url}:${port}/`)));
        strictEqual(result.stdout, MESSAGE);
      }));
  }

  test(`curl moves 16 MiB each way unharmed (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const big = payload(SIZE);
      const url = `http://${family.url}:${await serve(scope, family.host, big)}`;
      const script = `set -e; cd "$(mktemp -d)"; trap 'rm -rf "$PWD"' EXIT
        curl -sS -g -o big ${url}/big; sha256sum <big | cut -d' ' -f1; curl -sS -g -T big ${url}/up`;
      const result = succeeded(await guest(scope, as, ["sh", "-c", script]));
      strictEqual(result.stdout, `${sha256(big)}\n${sha256(big)}`);
    }));

  test(`a refused port is refused at once (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const port = await freePort();
      const result = await guest(scope, as, ["curl", "-sS", "-g", `http://${family.url}:${port}/`]);
      strictEqual(result.status, 7, result.stderr); // CURLE_COULDNT_CONNECT
    }));

  test(
    `socat sends a stream, half-closes it, and reads the echo to its end (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const port = await echoTcp(scope, family.host);
        const argv = ["socat", "-t", "20", "-", `TCP${family.socat}:${family.url}:${port}`];
        const result = succeeded(await guest(scope, as, argv, { input: MESSAGE }));
        strictEqual(result.stdout, MESSAGE);
      }),
  );

  test(`node exchanges datagrams (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const port = await echoUdp(scope, family.host);
      const script = `const s = require("dgram").createSocket("udp${family.socat}");
        s.on("message", (m, from) => { console.log(m.toString(), from.address, from.port); s.close(); });
        s.send("${MESSAGE}", ${port}, "${family.gateway}")`;
      const result = succeeded(await guest(scope, as, ["node", "-e", script]));
      strictEqual(result.stdout, `${MESSAGE} ${family.gateway} ${port}\n`);
    }));

  test(`asyncio talks to 50 connections at once (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const port = await echoTcp(scope, family.host);
      const script = `import asyncio
async def one(i):
    reader, writer = await asyncio.open_connection("${family.gateway}", ${port})
    text = str(i).encode() * 10000
    writer.write(text); writer.write_eof()
    same = await reader.read(-1) == text
    writer.close(); await writer.wait_closed()
    return same
async def main():
    print(all(await asyncio.gather(*[one(i) for i in range(50)])))
asyncio.run(main())`;
      const result = succeeded(await guest(scope, as, ["python3", "-c", script]));
      strictEqual(result.stdout, "True\n");
    }));

  test(`iperf3 measures both directions (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      for (const direction of [[], ["-R"]]) {
        const port = await freePort();
        const server = start(scope, [
          "iperf3",
          "-s",
          "-1",
          "-B",
          family.host,
          "-p",
          `${port}`,
          "--forceflush",
        ]);
        await printed(server, /listening/);
        const argv = ["iperf3", "-c", family.gateway, "-p", String(port), "-n", "64M", "-J", ...direction];
        const result = await guest(scope, as, argv);
        const report = JSON.parse(result.stdout) as {
          error?: string;
          end: { sum_received: { bytes: number } };
        };
        strictEqual(report.error, undefined, result.stdout);
        // What is still on its way when the sender is done is not counted.
        ok(report.end.sum_received.bytes >= 50e6, result.stdout);
      }
    }));

  test(`ping reaches the gateway (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const argv = ["ping", family.flag, "-n", "-c", "2", "-i", "0.2", family.gateway];
      match(succeeded(await guest(scope, as, argv)).stdout, /2 packets transmitted, 2 received/);
    }));

  test(`git clones over http (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const directory = scope.directory();
      const script = `set -e; cd ${directory}; git init -q work; cd work
        git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first
        cd ..; git clone -q --bare work served.git; cd served.git; git update-server-info; chmod -R a+rX ..`;
      succeeded(await run(["sh", "-c", script]));
      const port = await freePort();
      const argv = ["python3", "-u", "-m", "http.server", String(port), "-b", family.host, "-d", directory];
      await printed(start(scope, argv), /Serving/);
      const url = `http://${family.url}:${port}/served.git`;
      const clone =
        `set -e; cd "$(mktemp -d)"; git clone -q ${url} c; git -C c log --format=%s; rm -rf "$PWD"`;
      strictEqual(succeeded(await guest(scope, as, ["sh", "-c", clone])).stdout, "first\n");
    }));

  test(`a published port leads to a server inside (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const port = await freePort();
      const directory = join(scope.directory(), "www");
      mkdirSync(directory);
      writeFileSync(join(directory, "file"), MESSAGE);
      chmodSync(directory, 0o755);
      const host = family.host.includes(":") ? `[${family.host}]` : family.host;
      const bind = family === IPV4 ? "0.0.0.0" : "::";
      const server = start(scope, [
        ...[scope.binary(), ...FLAGS, `--publish=${host}:${port}:8000`, "do", "--"],
        ...["python3", "-u", "-m", "http.server", "8000", "-b", bind, "-d", directory],
      ], as);
      await printed(server, /Serving/);
      const answer = await fetch(`http://${host}:${port}/file`);
      strictEqual(await answer.text(), MESSAGE);
    }));
}

/** Servers of the guest that it talks to itself. */
const INSIDE: readonly (readonly [name: string, argv: (family: Family) => readonly string[]])[] = [
  [
    "python's http.server and curl",
    ({ host }) => [
      "sh",
      "-c",
      `cd "$(mktemp -d)" && printf ${MESSAGE} >file
       python3 -u -m http.server 8000 -b ${host} >log 2>&1 & server=$!
       until grep -q Serving log; do :; done
       curl -sS -g http://${host.includes(":") ? `[${host}]` : host}:8000/file
       kill $server; wait $server; rm -rf "$PWD"`,
    ],
  ],
  [
    "node's http server and its fetch",
    ({ host }) => [
      "node",
      "-e",
      `const s = require("http").createServer((q, r) => r.end("${MESSAGE}")).listen(0, "${host}", async () => {
        const { port } = s.address();
        const r = await fetch("http://${host.includes(":") ? `[${host}]` : host}:" + port);
        process.stdout.write(await r.text()); s.closeAllConnections(); s.close(); });`,
    ],
  ],
  [
    "datagrams",
    ({ host, python }) => [
      "python3",
      "-c",
      `import socket
a, b = (socket.socket(socket.${python}, socket.SOCK_DGRAM) for _ in "ab")
a.bind(("${host}", 0)); b.sendto(b"${MESSAGE}", a.getsockname())
data, who = a.recvfrom(99); a.sendto(data, who); print(b.recv(99).decode(), end="")`,
    ],
  ],
];

for (const { name, family, as } of CASES) {
  for (const [what, argv] of INSIDE) {
    for (const network of ["sandbox-passthrough", "none"]) {
      test(`${what} meet inside, --network=${network} (${name})`, MACHINE, () =>
        withScope(async (scope) => {
          const command = [scope.binary(), ...FLAGS, `--network=${network}`, "do", "--", ...argv(family)];
          const result = succeeded(await run(command, { limit: 30_000, ...as }));
          strictEqual(result.stdout, MESSAGE);
        }));
    }
  }
}

/** Programs whose whole output must be what it is without us. */
const SAME: readonly (readonly [name: string, argv: readonly string[]])[] = [
  ["getent hosts localhost", ["getent", "hosts", "localhost"]],
  ["getent services", ["getent", "services", "ssh"]],
  ["a refused connection", [
    "python3",
    "-c",
    "import socket; print(socket.socket().connect_ex(('127.0.0.1', 1)), socket.socket(10).connect_ex(('::1', 1)))",
  ]],
  ["an address that is not ours", [
    "python3",
    "-c",
    `import socket
try: socket.socket().bind(("192.0.2.1", 0))
except OSError as error: print(error)`,
  ]],
];

/** Not what root has put in front of it. */
const PATH = "/usr/local/bin:/usr/bin:/bin";

for (const { name: user, as } of USERS) {
  const options = { ...as, env: { PATH } };
  for (const [name, argv] of SAME) {
    test(`${name} is the same as on the host (${user})`, MACHINE, () =>
      withScope(async (scope) => {
        const [here, there] = [await run(argv, options), await guest(scope, options, argv)];
        deepStrictEqual([there.stdout, there.stderr, there.status], [here.stdout, here.stderr, here.status]);
      }));
  }
}
