/** Mode `tsi`: sockets of the host stand for the guest's, relayed and handed off. */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { cpSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { printed, run, type RunOptions, type Scope, start, withScope } from "../support/e2e.ts";
import { sameAnswers } from "./conformance/differences.ts";
import { needs } from "../support/capability.ts";
import { echoTcp, echoUdp } from "../support/echo_host.ts";
import { succeeded } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { Lab, LAB4 } from "../support/lab.ts";
import { payload } from "../support/payload.ts";

const MACHINE = needs("root", "userns", "user:tester", "tool:python3", "tool:curl");
const PYTHON = "/usr/bin/python3";
const WAYS = [
  { way: "relayed", flags: [] },
  { way: "handed off", flags: ["--tsi-handoff"] },
] as const;

function tsi(scope: Scope, flags: readonly string[], ...argv: string[]): string[] {
  return [scope.binary(), "--network=tsi", ...flags, "do", "--", ...argv];
}

/** A copy of a file of this folder that every user can read. */
function shared(scope: Scope, name: string): string {
  const path = join(scope.directory(), "copy.py");
  cpSync(fileURLToPath(new URL(name, import.meta.url)), path);
  return path;
}

for (const { way, flags } of WAYS) {
  if (way === "relayed") {
    test("groups on the guest's own loopback are the kernel's", MACHINE, () =>
      withScope(async (scope) => {
        const argv = [PYTHON, shared(scope, "conformance/udp_api.py"), "groups_on_the_loopback"];
        const [native, ours] = [await run(argv), await run(tsi(scope, flags, ...argv))];
        sameAnswers(succeeded(ours).stdout, succeeded(native).stdout, 15);
      }));
  }
  for (const protocol of ["tcp", "udp"]) {
    // UDP is relayed always.
    if (protocol === "udp" && way === "handed off") continue;
    test(
      `the socket interface answers for ${protocol} on sockets of the host (${way})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const script = shared(scope, `conformance/${protocol}_api.py`);
          const [native, ours] = [
            await run([PYTHON, script]),
            await run(tsi(scope, [...flags, "--publish-all"], PYTHON, script)),
          ];
          // A published socket is the host's, and the guest's groups stay inside.
          const besides = (said: string) => said.replaceAll(/^groups_on_the_loopback: .*\n/gm, "");
          sameAnswers(besides(succeeded(ours).stdout), besides(succeeded(native).stdout), 200);
        }),
    );
  }

  for (const as of [{}, { user: "tester" }] satisfies RunOptions[]) {
    test(
      `a guest reaches the host, and itself, on 127.0.0.1 (${way}, ${as.user ?? "root"})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const four = await echoTcp(scope, "127.0.0.1"), six = await echoTcp(scope, "::1");
          const udp = await echoUdp(scope, "127.0.0.1");
          const script = `
import errno, select, socket
for host, port in (("127.0.0.1", ${four}), ("::1", ${six})):
    s = socket.create_connection((host, port)); s.sendall(b"x" * 300000); s.shutdown(socket.SHUT_WR)
    n = 0
    while d := s.recv(65536): n += len(d)
    print(n, s.getpeername()[:2] == (host, port) if n == 0 else True)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b"to the host", ("127.0.0.1", ${udp}))
print(u.recvfrom(99) == (b"to the host", ("127.0.0.1", ${udp})))
server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname())
peer, name = server.accept(); client.sendall(b"inside"); print(peer.recv(9), name == client.getsockname())
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.bind(("127.0.0.1", 0))
u.sendto(b"inside", one.getsockname()); print(one.recvfrom(9)[0])
try: socket.create_connection(("127.0.0.1", 1))
except OSError as error: print(error.errno)
# Watched before it is connected, as nginx does it: the one that is watched must be the one that connects.
early = socket.socket(); early.setblocking(False)
watch = select.epoll(); watch.register(early, select.EPOLLOUT | select.EPOLLET)
print(early.connect_ex(server.getsockname()) == errno.EINPROGRESS)
while not any(events & select.EPOLLOUT and not events & select.EPOLLHUP for _, events in watch.poll(9)): pass
peer, name = server.accept()
print(early.getpeername() == server.getsockname(), name == early.getsockname(), early.getsockopt(1, 4))
early.send(b"early"); print(peer.recv(9)); peer.sendall(b"y" * 300000); peer.close()
early.setblocking(True); n = 0
while d := early.recv(65536): n += len(d)
print(n)
`;
          const { stdout } = succeeded(await run(tsi(scope, flags, PYTHON, "-c", script), as));
          strictEqual(
            stdout,
            "300000 True\n300000 True\nTrue\nb'inside' True\nb'inside'\n111\n" +
              "True\nTrue True 0\nb'early'\n300000\n",
          );
        }),
    );
  }

  test(
    `what a guest listens on is seen on the host as far as it is published (${way})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const directory = scope.directory();
        writeFileSync(join(directory, "big"), payload(4 * 1024 * 1024));
        const [shown, hidden, udp] = [
          await freePort(),
          await freePort(),
          await freePort(),
        ];
        const script = `
import functools, http.server, socket, threading
def serve(port):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="${directory}")
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
serve(80); serve(${hidden})
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("0.0.0.0", 53))
import urllib.request
for port in (80, ${hidden}): print(len(urllib.request.urlopen(f"http://127.0.0.1:{port}/big").read()))
print("ready", u.getsockname(), flush=True)
while True:
    data, source = u.recvfrom(99); u.sendto(repr(source).encode(), source)
`;
        const publish = ["-p", `127.0.0.1:${shown}:80`, "-p", `127.0.0.1:${udp}:53/udp`];
        const guest = start(scope, tsi(scope, [...flags, ...publish], PYTHON, "-u", "-c", script));
        const said = await printed(guest, /ready .*\n/);
        strictEqual(said, "4194304\n4194304\nready ('0.0.0.0', 53)\n".replace("0.0.0.0", "127.0.0.1"));
        const fetched = succeeded(
          await run(["sh", "-c", `curl -sS http://127.0.0.1:${shown}/big | cmp - ${directory}/big`]),
        );
        strictEqual(fetched.stdout, "");
        // curl: 7, couldn't connect.
        strictEqual((await run(["curl", "-s", `http://127.0.0.1:${hidden}/`])).status, 7);
        const ask = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(9); s.sendto(b"x", ("127.0.0.1", ${udp}))
print(s.recv(99).decode() == repr(("127.0.0.1", s.getsockname()[1])))`;
        strictEqual(succeeded(await run([PYTHON, "-c", ask])).stdout, "True\n");
      }),
  );

  test(`five thousand connections leave the sandbox (${way})`, MACHINE, () =>
    withScope(async (scope) => {
      const server = start(scope, [PYTHON, "-u", "-c", CROWD_SERVER]);
      const port = (await printed(server, /\d+\n/)).trim();
      const result = await run(tsi(scope, flags, PYTHON, "-c", CROWD, port));
      strictEqual(result.stdout, "True\nTrue\n", result.stderr);
    }));
}

const CROWD_SERVER = `
import resource, selectors, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
ready = selectors.DefaultSelector(); server = socket.create_server(("127.0.0.1", 0), backlog=4096)
server.setblocking(False); ready.register(server, selectors.EVENT_READ); print(server.getsockname()[1], flush=True)
while True:
    for key, _ in ready.select():
        if key.fileobj is server:
            client, _ = server.accept(); ready.register(client, selectors.EVENT_READ)
        elif data := key.fileobj.recv(65536): key.fileobj.sendall(data)
        else: ready.unregister(key.fileobj); key.fileobj.close()
`;

const CROWD = `
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
clients = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(5000)]
for i, client in enumerate(clients): client.sendall(b"%d" % i)
print(all(client.recv(100) == b"%d" % i for i, client in enumerate(clients)))
for client in clients: client.shutdown(socket.SHUT_WR)
print(all(client.recv(1) == b"" for client in clients))
`;

test("the host's loopback is out of reach when that is said", MACHINE, () =>
  withScope(async (scope) => {
    const port = await echoTcp(scope, "127.0.0.1"), udp = await echoUdp(scope, "127.0.0.1");
    const script = `
import socket
try: socket.create_connection(("127.0.0.1", ${port}))
except OSError as error: print(error.errno)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.connect(("127.0.0.1", ${udp}))
u.send(b"x"); u.settimeout(2)
try: print(u.recvfrom(9))
except OSError as error: print(error.errno)
`;
    for (const { flags } of WAYS) {
      const result = await run(tsi(scope, [...flags, "--host-loopback=false"], PYTHON, "-c", script));
      strictEqual(succeeded(result).stdout, "111\n111\n");
    }
  }));

test(
  "a socket in the guest's own hands leads nowhere that policy forbids",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      const server = lab.start([PYTHON, "-u", "-c", WITNESS]);
      const port = (await printed(server, /\d+\n/)).trim();
      const script = shared(scope, "hostile/tsi_escape.py");
      for (const as of [{}, { user: "tester" }] satisfies RunOptions[]) {
        const argv = tsi(scope, ["--tsi-handoff", "--host-loopback=false"], PYTHON, script, LAB4, port);
        const { stdout } = succeeded(await lab.run(argv, as));
        const answers = Object.fromEntries(stdout.trimEnd().split("\n").map((line) => line.split(": ")));
        deepStrictEqual(answers, {
          "connect": "ECONNREFUSED",
          "mapped connect": "ECONNREFUSED",
          "unspecified connect": "ECONNREFUSED",
          "link-local connect": "ENETUNREACH",
          "sendto with MSG_FASTOPEN": "ENOTSUP",
          "sendmsg with MSG_FASTOPEN": "ENOTSUP",
          "connect after AF_UNSPEC": "ECONNREFUSED",
          "connect after SCM_RIGHTS": "ECONNREFUSED",
          "listen when connected": "EINVAL",
          "source route": "EPERM",
          "SO_MARK": "EPERM",
          "IP_TRANSPARENT": "EPERM",
          "TCP_REPAIR": "EPERM",
          "changing name": "0",
          "changing descriptor": "0 ENOTCONN",
        });
      }
      const asked =
        `import socket; s = socket.create_connection(("127.0.0.1", ${port})); s.sendall(b"?"); print(s.recv(9))`;
      // Nobody but this one has come to 127.0.0.1.
      strictEqual(succeeded(await lab.run([PYTHON, "-c", asked])).stdout, "b'1'\n");
    }),
);

/** Listens on every address, and tells who asks how many have come to 127.0.0.1. */
const WITNESS = `
import socket, threading
server = socket.create_server(("0.0.0.0", 0), backlog=1024); print(server.getsockname()[1], flush=True)
came = 0
while True:
    client, _ = server.accept()
    if client.getsockname()[0] == "127.0.0.1":
        came += 1; client.sendall(b"%d" % came)
    client.close()
`;

test("ss and the flows show what stands for the guest's sockets", MACHINE, () =>
  withScope(async (scope) => {
    const port = await echoTcp(scope, "127.0.0.1");
    for (const { flags } of WAYS) {
      const binary = scope.binary();
      const id = `tsi${flags.length}${port}`;
      const script =
        `import socket; s = socket.create_connection(("127.0.0.1", ${port})); s.sendall(b"x"); s.recv(1); print("ready", flush=True); input()`;
      const argv = [binary, "--network=tsi", `--id=${id}`, ...flags, "do", "--", PYTHON, "-c", script];
      const guest = start(scope, argv);
      await printed(guest, /ready/);
      const { stdout } = succeeded(await run([binary, "ss", "-tn", id]));
      match(stdout, new RegExp(`ESTAB.*127\\.0\\.0\\.1:${port}\\b`), stdout);
      guest.stdin!.end("\n");
    }
  }));
