/** External networks whose two ends leave checksums and cutting to each other, as far as both are told. */

import { test } from "node:test";
import { deepStrictEqual, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { needs } from "../support/capability.ts";
import { run, type Scope, withScope } from "../support/e2e.ts";
import { succeeded } from "../support/guest.ts";
import { payload } from "../support/payload.ts";
import { Served } from "../support/served.ts";

const FILE = payload(3_000_000);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const FEATURES = ["CSUM", "GUEST_CSUM", "GUEST_TSO4", "GUEST_TSO6", "HOST_TSO4", "HOST_TSO6"]
  .map((name) => `VIRTIO_NET_F_${name}`).join("|");

/** A web server on the host's loopback: gives the file out, and says what it was given. */
async function webServer(scope: Scope): Promise<number> {
  const server = createServer((request, response) => {
    const hash = createHash("sha256");
    request.on("data", (part) => hash.update(part));
    request.on("end", () => response.end(request.method === "PUT" ? hash.digest("hex") : FILE));
  });
  scope.defer(() => server.closeAllConnections());
  scope.defer(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

test(
  "a guest and its provider exchange long frames, with and without headers, and a file either way",
  needs("root", "tun", "userns", "tool:curl"),
  () =>
    withScope(async (scope) => {
      const served = new Served(scope, {});
      const port = await webServer(scope);
      const [stream, gram, bare] = ["stream", "gram", "bare"].map((name) => served.path(name));
      await served.serve(
        "--host-loopback",
        `--listen=unixstream://${stream},features=${FEATURES},vnet_hdr=true`,
        `--listen=unixgram://${gram},features=${FEATURES},vnet_hdr=true`,
        `--listen=unixgram://${bare},features=${FEATURES}`,
      );
      const url = `http://192.168.127.1:${port}/`;
      const script = `curl -sS -m 20 ${url} > $TMPDIR/got && sha256sum < $TMPDIR/got | cut -d' ' -f1
        curl -sS -m 20 -T $TMPDIR/got ${url}; echo; cat /sys/class/net/eth0/statistics/rx_packets`;
      for (
        const [attachment, wire] of [
          ["tap", `socket=${stream},mode=unixstream,vnet_hdr=true`],
          ["tap", `socket=${bare},mode=unixgram,vfkit=true`],
          ["sockets", `socket=${gram},mode=unixgram,vnet_hdr=true`],
        ] as const
      ) {
        const network = `${wire},features=${FEATURES},mac=02:00:00:00:00:01,dhcp=true`;
        const flags = ["--attach", attachment, "--external-network", network];
        const { stdout } = succeeded(
          await run([served.binary, ...flags, "do", "--", "sh", "-c", script], served.as),
        );
        const [down, up, packets] = stdout.trim().split("\n");
        deepStrictEqual([down, up], [sha256(FILE), sha256(FILE)], wire);
        if (attachment === "sockets") continue; // Whose interface is none of the kernel's.
        ok(Number(packets) > 0 && Number(packets) < FILE.length / 1_500, `${packets} packets`);
      }
    }),
);
