/** Raw sockets on the attachment `sockets`: none without `--net-raw`, and with it those of a kernel. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT, run, withScope } from "../support/e2e.ts";
import { behind, IPV4, IPV6, succeeded, USERS } from "../support/guest.ts";
import { needs } from "../support/capability.ts";

const MACHINE = needs("root", "userns", "user:tester", "netns", "tool:python3");
const PYTHON = ["python3", "-c", readFileSync(join(PROJECT, "tests/attach/sockets/raw.py"), "utf8")];
const RAW = ["--attach=sockets", "--net-raw"];

for (const { name, as } of USERS) {
  test(`raw sockets are those of a kernel's loopback (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const host = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", ...PYTHON];
      const [kernel, ours] = await Promise.all([
        run(host, { limit: 20_000 }),
        behind(scope, { as }, PYTHON, { flags: RAW }),
      ]);
      strictEqual(succeeded(ours).stdout, succeeded(kernel).stdout);
    }));

  for (const family of [IPV4, IPV6]) {
    test(
      `a raw ping reaches the gateway over ${family.name} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const ping = [
            "busybox",
            family === IPV4 ? "ping" : "ping6",
            "-c",
            "1",
            "-W",
            "5",
            family.gateway,
          ];
          const { stdout } = succeeded(await behind(scope, { as }, ping, { flags: RAW }));
          match(stdout, /1 packets transmitted, 1 packets received/);
        }),
    );
  }

  test(`without --net-raw there are no raw sockets (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const script = `
import socket
for family, protocol in (2, 1), (10, 58), (2, 255), (17, 0):
    try: socket.socket(family, socket.SOCK_RAW, protocol)
    except PermissionError: print("EPERM")
`;
      const { stdout } = succeeded(
        await behind(scope, { as }, ["python3", "-c", script], { flags: ["--attach=sockets"] }),
      );
      strictEqual(stdout, "EPERM\n".repeat(4));
    }));
}
