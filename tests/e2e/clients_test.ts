/** Clients that people write, in python, node and git, behind the stack. */

import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { printed, type Scope, start, withScope } from "../support/e2e.ts";
import { echoHttp, echoTcp, echoUdp } from "../support/echo_host.ts";
import { behind, type Family, MACHINE, SITUATIONS, succeeded } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { payload } from "../support/payload.ts";

const PYTHON = `
import asyncio, socket, sys, urllib.request
from concurrent.futures import ThreadPoolExecutor
host, url, http, tcp, udp = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
fetch = lambda i: urllib.request.urlopen(f'http://{url}:{http}/{i}', timeout=20).read().decode()
print(fetch('urllib'))

with ThreadPoolExecutor(200) as pool:
    print(sum(text == f'/{i}' for i, text in enumerate(pool.map(fetch, range(200)))))

with socket.create_connection((host, tcp), 20) as s:
    sent = bytes(range(256)) * 4096
    import threading
    threading.Thread(target=lambda: (s.sendall(sent), s.shutdown(socket.SHUT_WR))).start()
    got = b''.join(iter(lambda: s.recv(65536), b''))
    print(got == sent)

async def talk(i):
    reader, writer = await asyncio.open_connection(host, tcp)
    for round in range(10):
        line = f'{i} {round}\\n'.encode()
        writer.write(line)
        if await reader.readline() != line: return False
    writer.close(); await writer.wait_closed()
    return True
async def crowd(): return sum(await asyncio.gather(*map(talk, range(100))))
print(asyncio.run(crowd()))

s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20); s.connect((host, udp))
for size in (0, 1, 1472, 1473, 9000, 65000):
    s.send(b'x' * size); print(len(s.recv(70000)))

# No more at once than every buffer between takes.
def turn(first):
    for i in range(first, first + 32): s.send(b'%d ' % i + bytes(1300))
    return [int(s.recv(70000).split()[0]) for _ in range(32)] == list(range(first, first + 32))
print(all(turn(32 * i) for i in range(40)))
`;

const NODE = `
const net = require("node:net"), dgram = require("node:dgram");
const [host, url, http, tcp, udp] = process.argv.slice(1);
(async () => {
  console.log(await (await fetch("http://" + url + ":" + http + "/fetch")).text());
  const all = await Promise.all(Array.from({ length: 100 }, async (_, i) =>
    (await (await fetch("http://" + url + ":" + http + "/" + i)).text()) === "/" + i));
  console.log(all.filter(Boolean).length);
  const sent = Buffer.alloc(4 << 20, "0123456789abcdef!");
  const got = [];
  const socket = net.connect(Number(tcp), host, () => socket.end(sent));
  for await (const chunk of socket) got.push(chunk);
  console.log(Buffer.concat(got).equals(sent));
  const datagrams = dgram.createSocket(host.includes(":") ? "udp6" : "udp4");
  datagrams.send(Buffer.alloc(5000), Number(udp), host);
  datagrams.once("message", (bytes) => { console.log(bytes.length); datagrams.close(); });
})();
`;

for (const situation of SITUATIONS) {
  const { family } = situation;

  /** What both programs are told. */
  const servers = async (scope: Scope) => {
    const { host } = family;
    const ports = [await echoHttp(scope, host), await echoTcp(scope, host), await echoUdp(scope, host)];
    return [family.gateway, family.url, ...ports.map(String)];
  };

  test(`python's clients work (${situation.name})`, MACHINE, () =>
    withScope(async (scope) => {
      const argv = ["/usr/bin/python3", "-c", PYTHON, ...await servers(scope)];
      const { stdout } = succeeded(await behind(scope, situation, argv));
      strictEqual(stdout, "/urllib\n200\nTrue\n100\n0\n1\n1472\n1473\n9000\n65000\nTrue\n");
    }));

  test(`node's clients work (${situation.name})`, MACHINE, () =>
    withScope(async (scope) => {
      const argv = ["node", "-e", NODE, ...await servers(scope)];
      const { stdout } = succeeded(await behind(scope, situation, argv));
      strictEqual(stdout, "/fetch\n100\ntrue\n5000\n");
    }));

  test(
    `git clones over HTTP and its own protocol (${situation.name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { directory, head } = repository(scope);
        const [http, daemon] = [
          await serveFiles(scope, family, directory),
          await serveGit(scope, family, directory),
        ];
        const script = `set -e; cd "$(mktemp -d)"; trap 'rm -rf "$PWD"' EXIT
      git clone -q http://${family.url}:${http}/bare.git a; git -C a rev-parse HEAD; git -C a fsck
      git clone -q git://${family.url}:${daemon}/bare.git b; git -C b rev-parse HEAD; git -C b fsck`;
        const env = { HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1" };
        const { stdout } = succeeded(await behind(scope, situation, ["sh", "-c", script], { env }));
        strictEqual(stdout, `${head}\n${head}\n`);
      }),
  );
}

/** A bare repository with some weight. */
function repository(scope: Scope): { directory: string; head: string } {
  const directory = scope.directory();
  const [work, bare] = [join(directory, "work"), join(directory, "bare.git")];
  const git = (...argv: string[]) => execFileSync("git", argv, { encoding: "utf8" }).trim();
  git("init", "-q", work);
  writeFileSync(join(work, "big"), payload(4 * 1024 * 1024));
  git("-C", work, "add", "big");
  git("-C", work, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-q", "-m", "one");
  git("clone", "-q", "--bare", work, bare);
  git("-C", bare, "update-server-info");
  return { directory, head: git("-C", work, "rev-parse", "HEAD") };
}

async function serveFiles(scope: Scope, { host, python }: Family, directory: string): Promise<number> {
  const script = `import http.server as h, socket
class S(h.ThreadingHTTPServer): address_family = socket.${python}
s = S(('${host}', 0), h.SimpleHTTPRequestHandler); print(s.server_address[1], flush=True); s.serve_forever()`;
  const server = start(scope, ["/usr/bin/python3", "-c", script], { cwd: directory });
  return Number(await printed(server, /^\d+\n/));
}

async function serveGit(scope: Scope, { host }: Family, directory: string): Promise<number> {
  const port = await freePort();
  const where = [`--listen=${host}`, `--port=${port}`, `--base-path=${directory}`];
  const argv = [
    "git",
    "-c",
    "safe.directory=*",
    "daemon",
    "--verbose",
    "--export-all",
    "--reuseaddr",
    ...where,
  ];
  const server = start(scope, [...argv, directory]);
  await printed(server, /Ready to rumble/, "stderr");
  return port;
}
