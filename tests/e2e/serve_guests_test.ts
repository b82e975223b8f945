/** Guests of one `sluice serve` that come by different sockets, and a `serve` that dies and comes back. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { needs } from "../support/capability.ts";
import { printed, run, start, withScope } from "../support/e2e.ts";
import { USERS } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { Served } from "../support/served.ts";
import { VirtualMachine } from "../support/vm.ts";

const SERVER = `
import http.server, sys
class Who(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write((sys.argv[1] + " " + self.client_address[0]).encode())
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("", 80), Who)
print("ready", flush=True)
server.serve_forever()
`;
const MACS = ["02:00:00:00:00:21", "02:00:00:00:00:22"] as const;
const LEASES = MACS.map((mac, i) => `--lease=${mac}=192.168.127.${21 + i}`);

test(
  "three guests see each other: a machine by TCP, programs by a stream and by datagrams",
  needs("root", "kernel", "userns", "tool:qemu-system-x86_64", "tool:busybox", "tool:curl", "tool:python3"),
  () =>
    withScope(async (scope) => {
      const served = new Served(scope, {});
      const port = await freePort();
      const [stream, dgram] = [served.path("stream"), served.path("dgram")];
      await served.serve(
        `--listen=qemu+tcp://127.0.0.1:${port}`,
        `--listen=unixstream://${stream}`,
        `--listen=unixgram://${dgram}`,
        ...LEASES,
        "--lease=52:54:00:00:00:23=192.168.127.23",
      );
      const guest = (mac: string, name: string, attach: string, socket: string) =>
        printed(start(scope, served.guest(mac, ["python3", "-c", SERVER, name], attach, socket)), /^ready$/m);
      const [machine] = await Promise.all([
        VirtualMachine.boot(
          scope,
          `stream,server=off,addr.type=inet,addr.host=127.0.0.1,addr.port=${port}`,
          "52:54:00:00:00:23",
        ),
        guest(MACS[0], "a", "mode=unixstream", "stream"),
        guest(MACS[1], "b", "mode=unixgram", "dgram"),
      ]);
      strictEqual((await machine.dhcp())["ip"], "192.168.127.23");
      match(await machine.run("wget -q -O - http://192.168.127.21/"), /a 192\.168\.127\.23/);
      match(await machine.run("wget -q -O - http://192.168.127.22/"), /b 192\.168\.127\.23/);
      await machine.run("mkdir -p /srv; echo c > /srv/index.html; httpd -h /srv");
      const fourth = "curl -sS --max-time 10 http://192.168.127.2{1,2,3}/";
      const all = await run(
        served.guest("02:00:00:00:00:24", ["bash", "-c", fourth], "mode=unixgram", "dgram"),
      );
      match(all.stdout, /^a 192\.168\.127\.2b 192\.168\.127\.2c\n$/, all.stderr);
    }),
);

for (const { name, as } of USERS) {
  test(
    `a serve that was killed comes back in its own place, and so do its guests (${name})`,
    needs("root", "userns", "user:tester", "tool:curl", "tool:python3"),
    () =>
      withScope(async (scope) => {
        const served = new Served(scope, as);
        const port = await freePort();
        const flags = [
          `--listen=unixstream://${served.path("stream")}`,
          `--listen=unixgram://${served.path("dgram")}`,
          `--listen=unixpacket://${served.path("packet")}`,
          `--publish=127.0.0.1:${port}:192.168.127.21:80`,
          ...LEASES,
        ];
        const first = await served.serve(...flags);
        const argv = served.guest(MACS[0], ["python3", "-c", SERVER, "a"], "mode=unixstream", "stream");
        await printed(start(scope, argv, served.as), /^ready$/m);
        // Its connection is refused until it has an address again: curl tries for ten seconds.
        const fetch = async () =>
          (await run([
            "curl",
            "-sS",
            "--max-time",
            "2",
            "--retry",
            "10",
            "--retry-delay",
            "1",
            "--retry-all-errors",
            `http://127.0.0.1:${port}/`,
          ])).stdout;
        strictEqual(await fetch(), "a 192.168.127.1");
        first.kill("SIGKILL");
        await once(first, "exit");
        for (const socket of ["stream", "dgram", "packet"]) {
          strictEqual(existsSync(served.path(socket)), true);
        }

        const second = await served.serve(...flags);
        strictEqual(await fetch(), "a 192.168.127.1");
        second.kill("SIGTERM");
        await once(second, "exit");
        for (const socket of ["stream", "dgram", "packet"]) {
          strictEqual(existsSync(served.path(socket)), false);
        }
      }),
  );
}
