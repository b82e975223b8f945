/**
 * Servers and their clients inside the sandbox, on the attachment `sockets`: what they print, and how they end, is what
 * the same script prints on the host.
 */

import { test } from "node:test";
import { strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT, run, withScope } from "../support/e2e.ts";
import { behind, succeeded, USERS } from "../support/guest.ts";
import { needs } from "../support/capability.ts";

const source = (name: string) => readFileSync(join(PROJECT, "tests/e2e/programs", `${name}.sh`), "utf8");

/** Name of the script, what it needs, and whether it does something else as root. */
const PROGRAMS = [
  ["nginx", ["nginx", "wrk", "ab"], true],
  ["redis", ["redis-server"], false],
  ["postgres", ["psql"], false],
  ["ssh", ["git"], false],
  ["netcats", ["socat", "busybox", "nc", "iperf3"], false],
] as const;

for (const { name, as } of USERS) {
  for (const [program, tools, root] of PROGRAMS) {
    if (as.user === undefined && !root) continue;
    test(
      `${program}.sh prints what it prints on the host (${name})`,
      needs("root", "userns", "user:tester", ...tools.map((tool) => `tool:${tool}` as const)),
      () =>
        withScope(async (scope) => {
          // Who is ended by it leaves nobody behind: the script has a trap.
          const script = ["timeout", "40", "bash", "-c", `${source("prelude")}\n${source(program)}`];
          const options = { limit: 60_000, ...as };
          const [host, ours] = await Promise.all([
            run(script, options),
            behind(scope, { as }, script, { ...options, flags: ["--attach=sockets"] }),
          ]);
          strictEqual(succeeded(ours).stdout, succeeded(host).stdout);
        }),
    );
  }
}
