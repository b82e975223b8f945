/** Virtual machines with `sluice serve` for a network: QEMU, Debian's kernel, busybox. */

import { test } from "node:test";
import { match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";
import { needs } from "../support/capability.ts";
import { printed, run, type Scope, start, withScope } from "../support/e2e.ts";
import { freePort } from "../support/ports.ts";
import { payload } from "../support/payload.ts";
import { VirtualMachine } from "../support/vm.ts";

const MACHINE = needs("root", "kernel", "tool:qemu-system-x86_64", "tool:busybox", "tool:curl");

/** virtio-net joins buffers to what it receives, so a machine on datagrams takes frames of any length; nothing tells us. */
const LONG = "features=VIRTIO_NET_F_GUEST_CSUM|VIRTIO_NET_F_GUEST_TSO4|VIRTIO_NET_F_GUEST_TSO6";

interface Host {
  readonly stream: string;
  readonly dgram: string;
  /** Where a machine's datagram socket is. */
  readonly own: string;
  /** Leads to port 80 of 192.168.127.50. */
  readonly published: number;
}

async function serve(scope: Scope): Promise<Host> {
  const place = scope.directory();
  const [stream, dgram, own] = ["stream", "dgram", "own"].map((name) => join(place, name));
  const published = await freePort();
  const argv = [
    scope.binary(),
    "serve",
    "--host-loopback",
    `--listen=unixstream://${stream}`,
    `--listen=unixgram://${dgram},${LONG}`,
    "--lease=52:54:00:00:00:50=192.168.127.50",
    `--publish=127.0.0.1:${published}:192.168.127.50:80`,
    "--ready-fd=1",
  ];
  await printed(start(scope, argv, { env: { XDG_RUNTIME_DIR: place } }), /[^]/);
  return { stream: stream!, dgram: dgram!, own: own!, published };
}

/** A web server on the host's loopback with one file. */
async function fileServer(scope: Scope, address: string, bytes: Uint8Array): Promise<number> {
  const server = createServer((_request, response) => void response.end(bytes));
  scope.defer(() => server.closeAllConnections());
  scope.defer(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return (server.address() as { port: number }).port;
}

test(
  "machines get a network from serve: by a stream and by datagrams",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const host = await serve(scope);
      const file = payload(3_000_000);
      const sha256 = createHash("sha256").update(file).digest("hex");
      const port = await fileServer(scope, "127.0.0.1", file);
      const port6 = await fileServer(scope, "::1", file);
      const [a, b] = await Promise.all([
        VirtualMachine.boot(
          scope,
          `stream,server=off,addr.type=unix,addr.path=${host.stream}`,
          "52:54:00:00:00:50",
        ),
        VirtualMachine.boot(
          scope,
          `dgram,local.type=unix,local.path=${host.own},remote.type=unix,remote.path=${host.dgram}`,
          "52:54:00:00:00:51",
        ),
      ]);

      const lease = await a.dhcp();
      strictEqual(lease["ip"], "192.168.127.50");
      strictEqual(lease["router"], "192.168.127.1");
      strictEqual(lease["dns"], "192.168.127.1");
      strictEqual(lease["mtu"], "1500");
      const other = (await b.dhcp())["ip"]!;
      match(other, /^192\.168\.127\.\d+$/);

      for (const machine of [a, b]) {
        match(await machine.run("ping -c 1 -w 5 192.168.127.1"), /1 packets received/);
        const sum = await machine.run(`wget -q -O - http://192.168.127.1:${port}/ | sha256sum`);
        strictEqual(sum.slice(0, 64), sha256);
      }
      const packets = await b.run("cat /sys/class/net/eth0/statistics/rx_packets");
      ok(Number(packets) < file.length / 1_500, `${packets} packets for ${file.length} bytes`);
      // By router advertisement; an address that is still tentative is not used.
      await a.run(
        "until ip -6 addr show dev eth0 scope global | grep inet6 | grep -qv tentative; do sleep 0.1; done",
      );
      const sum6 = await a.run(`wget -q -O - http://[fd00::1]:${port6}/ | sha256sum`);
      strictEqual(sum6.slice(0, 64), sha256);

      // Machine to machine, both ways.
      match(await a.run(`ping -c 1 -w 5 ${other}`), /1 packets received/);
      await b.run("echo from b > /tmp/f; (while nc -l -p 7 < /tmp/f; do :; done) > /dev/null &");
      match(await a.run(`until nc -w 5 ${other} 7 < /dev/null; do sleep 0.1; done`), /from b/);

      // A published port, and who it is that comes.
      await a.run("mkdir -p /srv/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR' > /srv/cgi-bin/who");
      await a.run("chmod +x /srv/cgi-bin/who; httpd -h /srv");
      const client = await run([
        "curl",
        "-sS",
        "--max-time",
        "10",
        `http://127.0.0.1:${host.published}/cgi-bin/who`,
      ]);
      // The host's loopback stays the host's: it comes as the gateway.
      match(client.stdout, /192\.168\.127\.1\]/, client.stderr);
    }),
);
