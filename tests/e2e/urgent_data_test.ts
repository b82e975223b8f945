/** Urgent data of TCP: what a program sees of it in the sandbox is what it sees on the host. */

import { test } from "node:test";
import { deepStrictEqual, ok } from "node:assert/strict";
import { cpSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { needs } from "../support/capability.ts";
import { printed, run, type RunOptions, type Scope, start, withScope } from "../support/e2e.ts";
import { IPV4, succeeded } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";

const PYTHON = "/usr/bin/python3";
const MACHINE = needs("root", "tun", "userns", "user:tester", "tool:python3");

/** The conformance program, where every user can read it. */
function program(scope: Scope): string[] {
  const path = join(scope.directory(), "tcp_urgent.py");
  cpSync(fileURLToPath(new URL("conformance/tcp_urgent.py", import.meta.url)), path);
  return [PYTHON, path];
}

/** Its answers on the host's kernel. */
async function expected(argv: readonly string[], as: RunOptions): Promise<string[]> {
  const answers = succeeded(await run(argv, as)).stdout.split("\n");
  ok(answers.length > 40, answers.join("\n"));
  return answers;
}

/** Starts the far end on the host; returns its port. */
async function served(scope: Scope, argv: readonly string[]): Promise<string> {
  const far = start(scope, [...argv, "serve"]);
  return (await printed(far, /\d+\n/)).trim();
}

/** Where the program runs, and the flags that it takes to reach the host at that address; none: it talks to itself. */
const PLACES:
  readonly (readonly [what: string, flags: readonly string[], host: string | undefined, user?: string])[] = [
    ["on its own loopback", ["--network=none"], undefined],
    ["on its own loopback", ["--network=none"], undefined, "tester"],
    [
      "towards the host, by attachment sockets",
      ["--attach=sockets", "--host-loopback"],
      IPV4.gateway,
      "tester",
    ],
    ["towards the host, by attachment tap", ["--attach=tap", "--host-loopback"], IPV4.gateway, "tester"],
    ["towards the host, relayed by tsi", ["--network=tsi"], IPV4.host, "tester"],
    ["towards the host, handed off by tsi", ["--network=tsi", "--tsi-handoff"], IPV4.host, "tester"],
  ];

for (const [what, flags, host, user] of PLACES) {
  test(
    `urgent data is the kernel's ${what} (${user ?? "this user"})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const as = { limit: 30_000, ...(user !== undefined && { user }) };
        const argv = program(scope);
        const native = await expected(argv, as);
        const far = host === undefined ? [] : [host, await served(scope, argv)];
        const ours = succeeded(await run([scope.binary(), ...flags, "do", "--", ...argv, ...far], as)).stdout;
        deepStrictEqual(ours.split("\n"), native);
      }),
  );
}

test(
  "urgent data is the kernel's for who serves on a published port",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const argv = program(scope);
      const port = await freePort();
      const guest = [scope.binary(), "-p", `${IPV4.host}:${port}:7777`, "do", "--", ...argv, "serve", "7777"];
      await printed(start(scope, guest, { user: "tester" }), /7777\n/);
      const ours = succeeded(await run([...argv, IPV4.host, String(port)], { limit: 30_000 })).stdout;
      deepStrictEqual(ours.split("\n"), await expected(argv, {}));
    }),
);
