/** What a guest sends is shaped, on both attachments; what it receives is not. */

import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { chownSync } from "node:fs";
import { createServer } from "node:net";
import { printed, run, type Scope, start, userId, withScope } from "../support/e2e.ts";
import { MACHINE, USERS } from "../support/guest.ts";

const RATE = 2_000_000;
const BURST = 200_000;
const BYTES = 3_000_000;

/** Takes what comes, and answers a single byte with many. */
async function host(scope: Scope): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    scope.defer(() => void client.destroy());
    client.on("error", () => {});
    let received = 0;
    client.on("data", (bytes) => received += bytes.length);
    client.on("end", () => void client.end(received === 1 ? new Uint8Array(BYTES) : ""));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  scope.defer(() => void server.close());
  return (server.address() as { port: number }).port;
}

const guest = (port: number) => `
import socket, time
def talk(bytes):
    s = socket.create_connection(("10.0.2.2", ${port}))
    s.sendall(bytes); s.shutdown(socket.SHUT_WR)
    n = 0
    while True:
        d = s.recv(1 << 20)
        if not d: return n
        n += len(d)
began = time.monotonic()
talk(bytes(${BYTES}))
print("uploaded in", time.monotonic() - began, flush=True)
print("received", talk(b"x"), flush=True)
time.sleep(1000)
`;

interface ShownQdisc {
  readonly dev: string;
  readonly bytes: number;
  readonly drops: number;
  readonly overlimits: number;
}

for (const { name, as } of USERS) {
  for (const attach of ["tap", "sockets"]) {
    test(
      `tbf shapes what leaves and only that (${attach}, ${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const binary = scope.binary();
          const port = await host(scope);
          const place = scope.directory();
          const id = name === "root" ? 0 : userId(name);
          chownSync(place, id, id);
          const options = { ...as, env: { XDG_RUNTIME_DIR: place } };
          const flags = ["--qdisc=tbf", `--qdisc-tbf-rate=${RATE}`, `--qdisc-tbf-burst=${BURST}`];
          const argv = [
            binary,
            "--host-loopback",
            `--attach=${attach}`,
            ...flags,
            "do",
            "--",
            "python3",
            "-c",
            guest(port),
          ];
          const child = start(scope, argv, options);
          const said = await printed(child, new RegExp(`received ${BYTES}`));
          const seconds = Number(/uploaded in (\S+)/.exec(said)![1]);
          // No sooner than the bucket allows; how much later is the machine's affair.
          ok(seconds >= (BYTES - BURST) / RATE * 0.99, `${BYTES} bytes took ${seconds} s`);
          const shown = await run([binary, "tc", "-s", "-j", "qdisc"], options);
          const qdisc = (JSON.parse(shown.stdout) as ShownQdisc[]).find(({ dev }) => dev === "eth0")!;
          ok(qdisc.overlimits > 0, shown.stdout);
          strictEqual(qdisc.drops, 0, "TCP feels back-pressure, not loss");
          // Both requests and what acknowledges the download, but not the download.
          ok(qdisc.bytes >= BYTES && qdisc.bytes < 1.5 * BYTES, shown.stdout);
        }),
    );
  }
}
