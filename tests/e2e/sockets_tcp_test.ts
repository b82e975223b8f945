/** TCP on attachment `sockets`: the interface's answers, and real programs that talk to each other inside. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { cpSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { needs } from "../support/capability.ts";
import { run, type Scope, withScope } from "../support/e2e.ts";
import { sameAnswers } from "./conformance/differences.ts";

const MACHINE = needs("tool:python3");
const PYTHON = "/usr/bin/python3";

/** A copy of a file that every user can read. */
function shared(scope: Scope, name: string): string {
  const path = join(scope.directory(), name);
  cpSync(fileURLToPath(new URL(`conformance/${name}`, import.meta.url)), path);
  return path;
}

function inside(scope: Scope, ...argv: string[]): string[] {
  return [scope.binary(), "--attach=sockets", "--network=none", "do", "--", ...argv];
}

for (const user of [undefined, "tester"]) {
  const options = user === undefined ? {} : { user };
  const machine = user === undefined ? MACHINE : needs("root", "user:tester", "tool:python3");

  test(
    `the socket interface answers for TCP as the kernel does (${user ?? "this user"})`,
    machine,
    () =>
      withScope(async (scope) => {
        const script = shared(scope, "tcp_api.py");
        const native = await run([PYTHON, script], options);
        const ours = await run(inside(scope, PYTHON, script), options);
        strictEqual(ours.status, 0, ours.stderr);
        sameAnswers(ours.stdout, native.stdout, 1_000);
      }),
  );
}

const CROWD = `
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(4096)
clients, peers = [], []
for i in range(5000):
    clients.append(socket.create_connection(server.getsockname())); peers.append(server.accept()[0])
for i, client in enumerate(clients): client.sendall(b"%d" % i)
print(all(peer.recv(100) == b"%d" % i for i, peer in enumerate(peers)))
for client in clients: client.close()
print(all(peer.recv(1) == b"" for peer in peers))
`;

test("five thousand connections live inside the sandbox", MACHINE, () =>
  withScope(async (scope) => {
    const result = await run(inside(scope, PYTHON, "-c", CROWD));
    strictEqual(result.stdout, "True\nTrue\n", result.stderr);
  }));

test(
  "socat and iperf3 find each other on 127.0.0.1",
  needs("tool:socat", "tool:iperf3"),
  () =>
    withScope(async (scope) => {
      const socat = "socat -u TCP-LISTEN:7777,reuseaddr - & " +
        "until echo hello | socat -u - TCP:127.0.0.1:7777 2>/dev/null; do :; done; wait";
      const said = await run(inside(scope, "sh", "-c", socat));
      strictEqual(said.stdout, "hello\n", said.stderr);
      const iperf3 = "iperf3 -s -1 -p 5999 >/dev/null & " +
        "until iperf3 -c 127.0.0.1 -p 5999 -n 20M 2>&1; do :; done; wait";
      const measured = await run(inside(scope, "sh", "-c", iperf3));
      match(measured.stdout, /receiver/, measured.stderr);
    }),
);

const NODE = `
const http = require("node:http"), net = require("node:net");
const server = http.createServer((request, response) => {
  let length = 0;
  request.on("data", (chunk) => length += chunk.length);
  request.on("end", () => response.end(String(length)));
});
server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  const bodies = Array.from({ length: 50 }, (_, i) => "x".repeat(i * 1000));
  const answers = await Promise.all(bodies.map(async (body) =>
    (await fetch("http://127.0.0.1:" + port, { method: "POST", body })).text()));
  console.log(answers.every((answer, i) => Number(answer) === bodies[i].length));
  net.connect(1, "127.0.0.1").on("error", (error) => {
    console.log(error.code);
    server.close();
    server.closeAllConnections();
  });
});
`;

test("node serves and fetches on 127.0.0.1", needs("tool:node"), () =>
  withScope(async (scope) => {
    const result = await run(inside(scope, "node", "-e", NODE));
    strictEqual(result.stdout, "true\nECONNREFUSED\n", result.stderr);
  }));
