/** A real gvproxy: what `sluice serve` does like it, and as the provider of networks for programs behind `sluice do`. */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { createServer as createHttp } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { needs } from "../support/capability.ts";
import { printed, run, type RunOptions, type Scope, start, withScope } from "../support/e2e.ts";
import { USERS } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { findGvproxy } from "../support/gvproxy.ts";
import { REQUESTS } from "../support/gvproxy_requests.ts";
import { payload } from "../support/payload.ts";
import { askPlainly } from "../support/plain_http.ts";

const NEEDS = needs(
  "root",
  "tun",
  "userns",
  "user:tester",
  "gvproxy",
  "tool:curl",
  "tool:dig",
  "tool:python3",
);
const MAC = "5a:94:ef:e4:0c:ee";
const SERVER = `
import http.server
class Who(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"guest")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("", 80), Who)
print("ready", flush=True)
server.serve_forever()
`;

/** A server of networks, real or ours, with a guest on its `-listen-qemu`. */
class World {
  readonly directory: string;
  readonly #scope: Scope;
  readonly #as: RunOptions;

  constructor(scope: Scope, as: RunOptions = {}) {
    this.#scope = scope;
    this.directory = scope.directory();
    chmodSync(this.directory, 0o777);
    this.#as = {
      ...as,
      cwd: this.directory,
      env: { XDG_RUNTIME_DIR: this.directory, TMPDIR: this.directory },
    };
  }

  /** Starts `command` with gvproxy's flags; resolves when its API answers. */
  async serve(command: readonly string[], sshPort: number): Promise<void> {
    const path = (name: string) => `unix://${join(this.directory, name)}`;
    const argv = [...command, "-mtu", "1500", "-ssh-port", `${sshPort}`, "-listen", path("api.sock")];
    const server = start(this.#scope, [...argv, "-listen-qemu", path("qemu.sock")], this.#as);
    let complaints = "";
    server.stderr!.on("data", (chunk: Uint8Array) => complaints += new TextDecoder().decode(chunk));
    while ((await this.ask("GET", "/leases")).status !== 200) {
      if (server.exitCode !== null) throw new Error(`${command[0]} has ended: ${complaints}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  ask(method: string, path: string, body = "", enough?: number) {
    return askPlainly(join(this.directory, "api.sock"), method, path, body, enough);
  }

  /** The command line of a guest. */
  guest(attach: string, command: readonly string[]): string[] {
    const network = `socket=${join(this.directory, "qemu.sock")},mode=unixstream,mac=${MAC},dhcp=true`;
    const flags = [
      "--attach",
      attach,
      "--api",
      "off",
      "--annotation",
      `io.containerd.nerdbox.network.0=${network}`,
    ];
    return [this.#scope.binary(), ...flags, "do", "--", ...command];
  }

  /**
   * A guest that runs a script and serves HTTP then; resolves to what the script printed. gvproxy on this socket has one
   * guest in its life.
   */
  async serveInside(attach: string, script = ""): Promise<string> {
    const guest = start(
      this.#scope,
      this.guest(attach, ["sh", "-c", `${script}\nexec python3 -c '${SERVER}'`]),
      this.#as,
    );
    return (await printed(guest, /^ready$/m)).replace(/ready\s*$/, "");
  }
}

function gvproxy(): string {
  const path = findGvproxy();
  if (path === undefined) throw new Error("Cannot find gvproxy: neither SLUICE_GVPROXY nor PATH name it");
  return path;
}

test("the HTTP API answers as gvproxy's does", NEEDS, () =>
  withScope(async (scope) => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    scope.defer(() => void taken.close());
    const names = new Map([["TAKEN", String((taken.address() as { port: number }).port)]]);
    for (let i = 1; i <= 6; i++) names.set(`P${i}`, String(await freePort()));
    const ssh = Number(names.get("P6"));

    const answersOf = async (command: readonly string[]) => {
      const answers: { status: number; type: string | undefined; body: string }[] = [];
      await withScope(async (inner) => {
        const world = new World(inner);
        writeFileSync(join(world.directory, "plain"), "");
        await world.serve(command, ssh);
        await world.serveInside("sockets");
        const filled = (text: string) => {
          for (const [name, value] of names) text = text.replaceAll(name, value);
          return text.replaceAll("DIR", world.directory);
        };
        for (const { method, path, body } of REQUESTS) {
          const { status, headers, body: text } = await world.ask(method, path, filled(body ?? ""), 0x10000);
          const type = headers["content-type"];
          answers.push({ status, type, body: text.replaceAll(world.directory, "DIR") });
        }
        const stats = JSON.parse((await world.ask("GET", "/stats")).body) as Record<string, number>;
        strictEqual(stats["BytesSent"]! > 0 && stats["BytesReceived"]! > 0, true);
        // Whoever hears this speaks to the guest; the host's side is tested with clients that do.
        const tunnel = await world.ask("POST", "/tunnel?ip=192.168.127.2&port=80", "", 2);
        deepStrictEqual([tunnel.status, tunnel.body], [0, "OK"]);
      });
      return answers;
    };
    const theirs = await answersOf([gvproxy()]);
    const ours = await answersOf([scope.binary(), "serve"]);
    REQUESTS.forEach(({ method, path, body, differs }, i) => {
      const what = `${method} ${path} ${body ?? ""}`;
      if (differs === undefined) return deepStrictEqual(ours[i], theirs[i], what);
      for (
        const [answer, [status, text]] of [[theirs[i]!, differs.theirs], [ours[i]!, differs.ours]] as const
      ) {
        strictEqual(answer.status, status, what);
        match(answer.body, text, what);
      }
    });
  }));

for (const { name, as } of USERS) {
  const attach = name === "root" ? "tap" : "sockets";
  test(
    `gvproxy is a provider of networks: lease, names, TCP both ways (${name}, ${attach})`,
    NEEDS,
    () =>
      withScope(async (scope) => {
        const world = new World(scope, as);
        const file = payload(3_000_000);
        const host = createHttp((_request, response) => void response.end(file));
        await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
        scope.defer(() => host.closeAllConnections());
        scope.defer(() => void host.close());
        const { port } = host.address() as { port: number };
        await world.serve([gvproxy()], await freePort());

        const script = `ip -4 -o addr show dev eth0 | awk '{print $4}'
        ip -4 route show default | awk '{print $3}'
        grep ^nameserver /etc/resolv.conf
        dig +short +tries=1 +time=5 host.containers.internal
        curl -sS --max-time 20 http://192.168.127.254:${port}/ | sha256sum | cut -d' ' -f1
        curl -sS --max-time 20 http://host.docker.internal:${port}/ | sha256sum | cut -d' ' -f1`;
        const sum = createHash("sha256").update(file).digest("hex");
        const stdout = await world.serveInside(attach, script);
        deepStrictEqual(stdout.trim().split("\n"), [
          "192.168.127.2/24",
          "192.168.127.1",
          "nameserver 192.168.127.1",
          "192.168.127.254",
          sum,
          sum,
        ]);

        const published = await freePort();
        const forward = JSON.stringify({ local: `127.0.0.1:${published}`, remote: "192.168.127.2:80" });
        strictEqual((await world.ask("POST", "/services/forwarder/expose", forward)).status, 200);
        const client = await run(["curl", "-sS", "--max-time", "10", `http://127.0.0.1:${published}/`]);
        strictEqual(client.stdout, "guest", client.stderr);
      }),
  );
}
