/** curl and wget behind the stack against a real web server on the host's loopback. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { run, type Scope, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { payload } from "../support/payload.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester");

const SIZE = 64 * 1024 * 1024;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function hashOf(request: IncomingMessage): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of request) hash.update(chunk);
  return hash.digest("hex");
}

/** A server that hands out `/big`, and answers an upload with its hash. */
async function serve(scope: Scope, host: string, big: Uint8Array): Promise<number> {
  const server: Server = createServer(async (request, response) => {
    if (request.method === "PUT") response.end(await hashOf(request));
    else if (request.url === "/big") response.end(big);
    else response.end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  scope.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

const CASES: [name: string, host: string, gateway: string][] = [
  ["IPv4", "127.0.0.1", "10.0.2.2"],
  ["IPv6", "::1", "[fd00::2]"],
];

for (const user of [undefined, "tester"]) {
  const options = user === undefined ? {} : { user };
  for (const [name, host, gateway] of CASES) {
    test(
      `curl moves 64 MiB each way unharmed over ${name} (${user ?? "root"})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const big = payload(SIZE);
          const want = sha256(big);
          const port = await serve(scope, host, big);
          const script = `set -e; cd "$(mktemp -d)"; trap 'rm -rf "$PWD"' EXIT
          curl -sS -g -o big "http://${gateway}:${port}/big"
          sha256sum <big | cut -d' ' -f1
          curl -sS -g -T big "http://${gateway}:${port}/up"`;
          const result = await run(
            [scope.binary(), "--host-loopback", "do", "--", "sh", "-c", script],
            options,
          );
          strictEqual(result.stderr, "");
          strictEqual(result.stdout, `${want}\n${want}`);
        }),
    );

    test(
      `wget fetches over ${name} (${user ?? "root"})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const port = await serve(scope, host, new Uint8Array(0));
          const argv = ["wget", "-q", "-O", "-", `http://${gateway}:${port}/`];
          const result = await run([scope.binary(), "--host-loopback", "do", "--", ...argv], options);
          strictEqual(result.stdout, "hello", result.stderr);
        }),
    );
  }

  test(
    `the host's loopback is out of reach unless asked for (${user ?? "root"})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const port = await serve(scope, "127.0.0.1", new Uint8Array(0));
        const curl = ["curl", "-sS", "--max-time", "20", `http://10.0.2.2:${port}/`];
        const result = await run([scope.binary(), "do", "--", ...curl], options);
        strictEqual(result.status, 7, result.stdout); // CURLE_COULDNT_CONNECT
        match(result.stderr, /refused|Couldn't connect|Failed to connect/i);
      }),
  );

  test(`a refused port is refused at once (${user ?? "root"})`, MACHINE, () =>
    withScope(async (scope) => {
      const curl = ["curl", "-sS", "--max-time", "20", "http://10.0.2.2:1/"];
      const result = await run([scope.binary(), "--host-loopback", "do", "--", ...curl], options);
      strictEqual(result.status, 7);
      match(result.stderr, /refused|Couldn't connect|Failed to connect/i);
    }));
}
