/** Names for a guest of `serve`, over TCP: those of its zones, and those of a name server of the host. */

import { test } from "node:test";
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { needs } from "../support/capability.ts";
import { printed, withScope } from "../support/e2e.ts";
import { succeeded } from "../support/guest.ts";
import { Lab } from "../support/lab.ts";

const NEEDS = needs("root", "userns", "tool:dig");
const SERVER = "tests/support/dns_server.ts";

test(
  "a guest asks for zones' names and others' over TCP, on one connection too",
  NEEDS,
  () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      await lab.serve(SERVER, ["127.0.0.1"]);
      const sluice = scope.binary(), path = `${scope.directory()}/guests.sock`;
      const records = Array.from({ length: 40 }, (_, i) => `--dns-record=many.internal=10.0.0.${i}`);
      const serve = [sluice, "serve", "--ready-fd=1", `--listen=unixstream://${path}`, ...records];
      await printed(lab.start(serve), /[^]/);
      // The first answer of each command is the zone's; +keepopen asks the rest of a resolver, on the same connection.
      const script = `
      dig +short +tcp +tries=1 many.internal | wc -l; dig +short +tries=1 many.internal | wc -l
      dig +short +tcp +tries=1 TXT large.test | tr -d '" \\n' | wc -c
      dig +short +tcp +keepopen +tries=1 nothing.many.internal many.internal www.test TXT www.test A large.test TXT | tail -n +41 | tr -d '" \\n' | wc -c
      dig +tcp +tries=1 nowhere.test | grep -c NXDOMAIN`;
      const network = `socket=${path},mode=unixstream,mac=02:00:00:00:00:07,dhcp=true`;
      const annotation = `io.containerd.nerdbox.network.0=${network}`;
      const argv = [sluice, "--attach", "sockets", "--api", "off", "--annotation", annotation, "do", "--"];
      const { stdout, stderr } = succeeded(await lab.run([...argv, "sh", "-c", script], { limit: 30_000 }));
      const short = "helloworld198.51.100.7".length;
      deepStrictEqual(stdout.trim().split("\n").map(Number), [40, 40, 4_000, short + 4_000, 1], stderr);
      strictEqual(stderr, "");
    }),
);
