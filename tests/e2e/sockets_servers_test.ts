/**
 * Servers and their clients inside the sandbox, on the attachment `sockets`: what they print, and how they end, is what
 * the same script prints on the host.
 */

import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printed, PROJECT, run, start, withScope } from "../support/e2e.ts";
import { behind, IPV4, succeeded, USERS } from "../support/guest.ts";
import { needs } from "../support/capability.ts";

const source = (name: string) => readFileSync(join(PROJECT, "tests/e2e/programs", name), "utf8");

/** An ordinary user may be unable to read the project, so scripts bring their files along. */
const files = (names: readonly string[]) =>
  names.map((name) => `cat >${name} <<'end of ${name}'\n${source(name)}end of ${name}\n`).join("");

/** Name of the script, what it needs, its files, and whether it does something else as root. */
const PROGRAMS = [
  ["nginx", ["nginx", "wrk", "ab"], [], true],
  ["redis", ["redis-server"], [], false],
  ["postgres", ["psql"], [], false],
  ["ssh", ["git"], [], false],
  ["netcats", ["socat", "busybox", "nc", "iperf3"], [], false],
  ["caddy", ["caddy", "dnsmasq", "ab"], [], false],
  ["java", ["java"], ["Sockets.java"], false],
  ["chromium", ["chromium-headless-shell", "node"], ["page.mjs"], false],
] as const;

for (const { name, as } of USERS) {
  for (const [program, tools, needed, root] of PROGRAMS) {
    if (as.user === undefined && !root) continue;
    test(
      `${program}.sh prints what it prints on the host (${name})`,
      needs("root", "userns", "user:tester", ...tools.map((tool) => `tool:${tool}` as const)),
      () =>
        withScope(async (scope) => {
          // Who is ended by it leaves nobody behind: the script has a trap.
          const text = `${source("prelude.sh")}\n${files(needed)}\n${source(`${program}.sh`)}`;
          const script = ["timeout", "100", "bash", "-c", text];
          const options = { limit: 120_000, ...as };
          const [host, ours] = await Promise.all([
            run(script, options),
            behind(scope, { as }, script, { ...options, flags: ["--attach=sockets"] }),
          ]);
          strictEqual(succeeded(ours).stdout, succeeded(host).stdout);
        }),
    );
  }
}

/** Clients, and the servers on the host's loopback that they are told of in `$FAR`. */
const CLIENTS = [
  ["packages", ["npm", "curl", "wget"], ["/usr/bin/python3", "registry.py"]],
  ["chromium", ["chromium-headless-shell"], ["node", "page.mjs"]],
] as const;

for (const [program, tools, [interpreter, server]] of CLIENTS) {
  test(
    `${program}.sh gets from the host what it gets on the host`,
    needs("root", "userns", "user:tester", ...tools.map((tool) => `tool:${tool}` as const)),
    () =>
      withScope(async (scope) => {
        const serving = start(scope, [interpreter, join(PROJECT, "tests/e2e/programs", server)]);
        const port = Number(await printed(serving, /^\d+\n/));
        const text = `${source("prelude.sh")}\n${source(`${program}.sh`)}`;
        const script = (host: string) => ["env", `FAR=${host}:${port}`, "timeout", "100", "bash", "-c", text];
        const as = { user: "tester" };
        const [host, ours] = await Promise.all([
          run(script(IPV4.host), { limit: 120_000, ...as }),
          behind(scope, { as, attach: "sockets" }, script(IPV4.gateway), { limit: 120_000 }),
        ]);
        strictEqual(succeeded(ours).stdout, succeeded(host).stdout);
      }),
  );
}
