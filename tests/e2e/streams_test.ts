/** Ends, resets and standstills of TCP as programs see them through the stack. */

import { test } from "node:test";
import { match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { printed, type Scope, start, withScope } from "../support/e2e.ts";
import { behind, type Family, MACHINE, SITUATIONS, succeeded, USERS } from "../support/guest.ts";
import { Lab, LAB4 } from "../support/lab.ts";
import { payload } from "../support/payload.ts";

/** A python server for one connection `c`; prints its port first. */
function serveOnce(scope: Scope, { host, python }: Family, body: string) {
  const script = `import socket, struct, hashlib
s = socket.socket(socket.${python}); s.bind(('${host}', 0)); s.listen(); s.settimeout(20)
print(s.getsockname()[1], flush=True)
c, _ = s.accept(); c.settimeout(20)
reset = lambda: (c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)), c.close())
${body}`;
  return start(scope, ["/usr/bin/python3", "-c", script]);
}

const port = async (server: ReturnType<typeof start>) => Number(await printed(server, /^\d+\n/));

/** A python client whose connection is `c`. */
const client = ({ gateway }: Family, at: number, body: string) => [
  "/usr/bin/python3",
  "-c",
  `import socket, struct, sys, hashlib
c = socket.create_connection(('${gateway}', ${at}), 20)
reset = lambda: (c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)), c.close())
${body}`,
];

for (const situation of SITUATIONS) {
  const { family } = situation;

  test(
    `socat hears the answer to its end of file (${situation.name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        // Says nothing before the guest's end of file has come, and then a lot.
        const server = serveOnce(
          scope,
          family,
          `got = b''.join(iter(lambda: c.recv(65536), b''))
c.sendall(hashlib.sha256(got).hexdigest().encode() + b'\\n' + b'x' * 3000000); c.close()`,
        );
        const input = "some line\n".repeat(200_000);
        const target = `TCP${family.socat}:${family.url}:${await port(server)}`;
        const { stdout } = succeeded(
          await behind(scope, situation, ["socat", "-t", "20", "-", target], { input }),
        );
        strictEqual(stdout.length, 65 + 3_000_000);
        strictEqual(stdout.slice(0, 64), createHash("sha256").update(input).digest("hex"));
      }),
  );

  test(
    `a program may go on sending after the other's end of file (${situation.name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const server = serveOnce(
          scope,
          family,
          `c.sendall(b'hello'); c.shutdown(socket.SHUT_WR)
print('got', sum(map(len, iter(lambda: c.recv(65536), b''))), flush=True)`,
        );
        const body =
          "assert b''.join(iter(lambda: c.recv(9), b'')) == b'hello'; c.sendall(b'x' * 3000000); c.close()";
        const at = await port(server);
        const said = printed(server, /got \d+\n/);
        succeeded(await behind(scope, situation, client(family, at, body)));
        match(await said, /got 3000000/);
      }),
  );

  test(`the host's reset is the guest's (${situation.name})`, MACHINE, () =>
    withScope(async (scope) => {
      const server = serveOnce(scope, family, "c.recv(1); reset()");
      const body = `c.send(b'x')
try: print('data', c.recv(1))
except ConnectionResetError: print('reset')`;
      const { stdout } = succeeded(await behind(scope, situation, client(family, await port(server), body)));
      strictEqual(stdout, "reset\n");
    }));

  test(`the guest's reset is the host's (${situation.name})`, MACHINE, () =>
    withScope(async (scope) => {
      const server = serveOnce(
        scope,
        family,
        `c.sendall(b'x')
try: print('data', c.recv(1), flush=True)
except ConnectionResetError: print('reset', flush=True)`,
      );
      const at = await port(server);
      const said = printed(server, /data|reset/);
      succeeded(await behind(scope, situation, client(family, at, "c.recv(1); reset()")));
      match(await said, /^reset/);
    }));

  test(
    `a connection that outlives its program ends (${situation.name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const server = serveOnce(
          scope,
          family,
          `c.sendall(b'x')
try: print('end' if c.recv(1) == b'' else 'data', flush=True)
except ConnectionResetError: print('reset', flush=True)`,
        );
        const at = await port(server);
        const said = printed(server, /data|reset|end/);
        const body = "c.recv(1); import os, signal; os.kill(os.getpid(), signal.SIGKILL)";
        const result = await behind(scope, situation, client(family, at, body));
        strictEqual(result.status, 128 + 9, result.stderr);
        match(await said, /^(reset|end)/);
      }),
  );

  test(
    `what a program sends last arrives after its end (${situation.name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        // More than the buffers between hold, so that most of it is still on the way when the program has gone; the server
        // reads only when the other connection says that it has.
        const server = serveOnce(
          scope,
          family,
          `b, _ = s.accept(); b.settimeout(20); assert b.recv(1) == b''
print('got', sum(map(len, iter(lambda: c.recv(65536), b''))), flush=True)`,
        );
        const at = await port(server);
        const body = `b = socket.create_connection(('${family.gateway}', ${at}), 20)
c.setblocking(False); c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
print(c.send(b'x' * 2000000), flush=True)
import os; os._exit(0)`;
        const said = printed(server, /got \d+\n/);
        const { stdout } = succeeded(await behind(scope, situation, client(family, at, body)));
        strictEqual(await said, `got ${stdout}`);
      }),
  );

  test(
    `a reader that stands still stops its own connection only (${situation.name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const directory = scope.directory();
        const big = payload(32 * 1024 * 1024);
        writeFileSync(join(directory, "big"), big);
        const script = `import http.server as h, socket
class S(h.ThreadingHTTPServer): address_family = socket.${family.python}
s = S(('${family.host}', 0), h.SimpleHTTPRequestHandler); print(s.server_address[1], flush=True); s.serve_forever()`;
        const server = start(scope, ["/usr/bin/python3", "-c", script], { cwd: directory });
        const at = await port(server);
        // The first stands still from the beginning until the second, a slow one and a fast one are done.
        const body = `import urllib.request, subprocess
url = 'http://${family.url}:${at}/big'
sha = lambda f: hashlib.file_digest(f, 'sha256').hexdigest()
c.sendall(b'GET /big HTTP/1.0\\r\\n\\r\\n')
slow = subprocess.Popen(['curl', '-sSg', '--limit-rate', '16M', url], stdout=subprocess.PIPE)
print(sha(urllib.request.urlopen(url, timeout=20)))
print(sha(slow.stdout))
f = c.makefile('rb')
while f.readline() != b'\\r\\n': pass
print(sha(f))`;
        const { stdout } = succeeded(await behind(scope, situation, client(family, at, body)));
        const want = createHash("sha256").update(big).digest("hex");
        strictEqual(stdout, `${want}\n`.repeat(3));
      }),
  );
}

for (const { name, as } of USERS) {
  test(
    `destinations that swallow everything delay nobody (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const lab = await Lab.make(scope);
        // A neighbour that does not exist and that nobody has to ask for: the cable takes it all in silence.
        const hole = "198.51.100.77";
        succeeded(await lab.run(["ip", "neigh", "add", hole, "lladdr", "02:00:00:00:00:77", "dev", "up0"]));
        const directory = scope.directory();
        writeFileSync(join(directory, "big"), payload(32 * 1024 * 1024));
        const web = `import http.server as h
s = h.ThreadingHTTPServer(('${LAB4}', 0), h.SimpleHTTPRequestHandler); print(s.server_address[1], flush=True)
s.serve_forever()`;
        const at = await port(lab.start(["/usr/bin/python3", "-c", web], { cwd: directory }));
        const script = `for i in $(seq 50); do curl -s --max-time 5 http://${hole}:$i/ & done
      for i in 1 2 3; do curl -sS -w '%{time_total}\\n' -o /dev/null http://${LAB4}:${at}/big; done
      curl -s --max-time 3 http://${hole}/; echo "status $?"; wait`;
        const { stdout } = succeeded(
          await lab.run([scope.binary(), "do", "--", "sh", "-c", script], { ...as, limit: 40_000 }),
        );
        const [times, status] = [stdout.trim().split("\n"), stdout.trim().split("\n").pop()];
        strictEqual(status, "status 28"); // CURLE_OPERATION_TIMEDOUT, as without us
        strictEqual(times.length, 4, stdout);
        for (const time of times.slice(0, 3)) ok(Number(time) < 4, stdout);
      }),
  );
}
