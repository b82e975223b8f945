/**
 * `sluice serve` in the place of gvproxy: its flags, its HTTP API with curl, tunnels, forwards, names, and what is left when
 * it ends. Guests are programs behind `sluice do` on its sockets, as root and as an ordinary user.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { needs } from "../support/capability.ts";
import { printed, run, start, withScope } from "../support/e2e.ts";
import { USERS } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { payload } from "../support/payload.ts";
import { Served } from "../support/served.ts";

const NEEDS = needs("root", "userns", "user:tester", "tool:curl", "tool:dig", "tool:python3");
const MAC = "5a:94:ef:e4:0c:ee";
/** Port 80 says who the client is, port 7 sends back what it gets, after all of it has come. */
const SERVER = `
import socketserver, threading, http.server
class Who(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(self.client_address[0].encode())
    def log_message(self, *_): pass
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        all = b""
        while block := self.request.recv(65536): all += block
        self.request.sendall(all)
for server in (http.server.ThreadingHTTPServer(("", 80), Who), socketserver.ThreadingTCPServer(("", 7), Echo)):
    threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
`;

const curl = (...argv: string[]) => run(["curl", "-sS", "--max-time", "10", ...argv]);

/** Everything that comes back by a connection which sends `bytes` and then its end. */
async function exchange(path: string, bytes: Uint8Array): Promise<Buffer> {
  const socket = createConnection({ path, allowHalfOpen: true });
  const chunks: Uint8Array[] = [];
  socket.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  socket.end(bytes);
  await once(socket, "end");
  return Buffer.concat(chunks);
}

for (const { name, as } of USERS) {
  test(
    `serve takes gvproxy's place: flags, HTTP API, forwards, tunnels, names (${name})`,
    NEEDS,
    () =>
      withScope(async (scope) => {
        const served = new Served(scope, as);
        const [ssh, published, udp] = [await freePort(), await freePort(), 0];
        strictEqual(udp, 0);
        // deno-fmt-ignore
        const server = await served.serve(
        "-mtu", "1500", "-ssh-port", String(ssh), "-listen-vfkit", `unixgram://${served.path("vfkit.sock")}`,
        "-listen-qemu", `unix://${served.path("qemu.sock")}`, "-listen", `unix://${served.path("api.sock")}`,
        "-pid-file", served.path("pid"), "-log-file", served.path("log"),
      );
        strictEqual(readFileSync(served.path("pid"), "utf8"), String(server.pid));
        await printed(start(scope, served.guest(MAC, ["python3", "-c", SERVER]), served.as), /^ready$/m);

        const leases = { "192.168.127.1": "5a:94:ef:e4:0c:dd", "192.168.127.2": MAC };
        deepStrictEqual(await served.json("/services/dhcp/leases"), leases);
        deepStrictEqual(Object.keys(await served.json("/cam")), [MAC]);
        const stats = await served.json<Record<string, number>>("/stats");
        strictEqual(stats["BytesSent"]! > 0 && stats["BytesReceived"]! > 0, true);

        // TCP, as gvproxy's default for ssh and as asked for.
        const local = `127.0.0.1:${published}`;
        const expose = (fields: object) => served.ask("/services/forwarder/expose", fields);
        deepStrictEqual(await expose({ local, remote: "192.168.127.2:80" }), [200, ""]);
        strictEqual((await curl(`http://${local}/`)).stdout, "192.168.127.1");
        deepStrictEqual(await expose({ local, remote: "192.168.127.2:80" }), [
          500,
          `listen tcp ${local}: bind: address already in use\n`,
        ]);
        // A unix socket.
        const unix = served.path("to-guest.sock");
        deepStrictEqual(await expose({ local: unix, remote: "tcp://192.168.127.2:80", protocol: "unix" }), [
          200,
          "",
        ]);
        strictEqual((await curl("--unix-socket", unix, "http://guest/")).stdout, "192.168.127.1");
        const [, refused] = await expose({
          local: served.path("pid"),
          remote: "tcp://192.168.127.2:80",
          protocol: "unix",
        });
        match(refused, /the file exists, and is no socket/);
        deepStrictEqual(
          await served.json("/services/forwarder/all"),
          [
            { local: unix, remote: "tcp://192.168.127.2:80", protocol: "unix" },
            { local, remote: "192.168.127.2:80", protocol: "tcp" },
            { local: `127.0.0.1:${ssh}`, remote: "192.168.127.2:22", protocol: "tcp" },
          ].sort((a, b) => a.local < b.local ? -1 : 1),
        );
        const unexpose = (fields: object) => served.ask("/services/forwarder/unexpose", fields);
        deepStrictEqual(await unexpose({ local, protocol: "tcp" }), [200, ""]);
        deepStrictEqual(await unexpose({ local: unix, protocol: "unix" }), [200, ""]);
        deepStrictEqual(await unexpose({ local, protocol: "tcp" }), [500, "proxy not found\n"]);
        strictEqual((await curl(`http://${local}/`)).status, 7);
        strictEqual(existsSync(unix), false);

        // A tunnel: all of it there, and back after the end.
        const bulk = Buffer.from(payload(300_000));
        const head = Buffer.from("POST /tunnel?ip=192.168.127.2&port=7 HTTP/1.1\r\nHost: gvproxy\r\n\r\n");
        const echoed = await exchange(served.path("api.sock"), Buffer.concat([head, bulk]));
        strictEqual(echoed.subarray(0, 2).toString(), "OK");
        strictEqual(echoed.subarray(2).equals(bulk), true);
        deepStrictEqual(await served.ask("/tunnel?port=7"), [500, "ip is mandatory\n"]);

        // Names, asked by a second guest, which comes by datagrams.
        const zone = {
          Name: "crc.testing.",
          Records: [
            { Name: "api", IP: "192.168.127.77" },
            ...Array.from({ length: 200 }, (_, i) => ({ Name: "many", IP: `10.0.0.${i}` })),
          ],
          DefaultIP: "",
        };
        deepStrictEqual(await served.ask("/services/dns/add", zone), [200, ""]);
        const dig = "for n in api.crc.testing gateway.containers.internal host.docker.internal; do" +
          " dig +short +tries=1 +time=5 $n; done; dig no.crc.testing;" +
          " dig +tries=1 +time=5 many.crc.testing; dig +tcp +keepopen +tries=1 +time=5 host.docker.internal api.crc.testing";
        const asked = await run(
          served.guest("02:00:00:00:00:09", ["sh", "-c", dig], "mode=unixgram,vfkit=true", "vfkit.sock"),
          served.as,
        );
        match(
          asked.stdout,
          /^192\.168\.127\.77\n192\.168\.127\.1\n192\.168\.127\.254\n[^]*NXDOMAIN/,
          asked.stderr,
        );
        match(asked.stdout, /Truncated, retrying in TCP mode\.[^]*ANSWER: 200,[^]*\(TCP\)/);
        match(asked.stdout, /\s192\.168\.127\.254\n[^]*\s192\.168\.127\.77\n[^]*\(TCP\)/);

        server.kill("SIGTERM");
        await once(server, "exit");
        deepStrictEqual(readdirSync(served.directory).filter((file) => file !== "log"), []);
      }),
  );
}
