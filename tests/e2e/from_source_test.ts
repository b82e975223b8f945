/** The core cases once more without the binary: `deno run -A cli.ts`, as a developer of the project does. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { printed, PROJECT, run, type Scope, start, withScope } from "../support/e2e.ts";
import { echoHttp } from "../support/echo_host.ts";
import { IPV4, IPV6, MACHINE, succeeded, USERS } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";

/** The command line of sluice from source. An ordinary user cannot write to the project, nor to root's cache. */
function fromSource(scope: Scope, user: string | undefined): string[] {
  const deno = process.versions["deno"] === undefined
    ? join(PROJECT, "node_modules/.bin/deno")
    : process.execPath;
  const cache = user === undefined
    ? []
    : ["env", "-u", "XDG_RUNTIME_DIR", `DENO_DIR=${scope.directory()}/none`];
  return [...cache, deno, "run", "-A", "--no-check", join(PROJECT, "cli.ts")];
}

for (const { name, as } of USERS) {
  for (const family of [IPV4, IPV6]) {
    test(`cli.ts fetches over ${family.name} (${name})`, MACHINE, () =>
      withScope(async (scope) => {
        const port = await echoHttp(scope, family.host);
        const curl = ["curl", "-sSg", `http://${family.url}:${port}/hello`];
        const argv = [...fromSource(scope, as.user), "--host-loopback", "do", "--", ...curl];
        const { stdout } = succeeded(await run(argv, { ...as, limit: 30_000 }));
        strictEqual(stdout, "/hello");
      }));

    test(`cli.ts pings the gateway over ${family.name} (${name})`, MACHINE, () =>
      withScope(async (scope) => {
        const ping = ["ping", family.flag, "-n", "-c", "2", "-i", "0.1", family.gateway];
        const argv = [...fromSource(scope, as.user), "do", "--", ...ping];
        match(succeeded(await run(argv, { ...as, limit: 30_000 })).stdout, /, 2 received, 0% packet loss/);
      }));
  }

  test(`cli.ts gives the program's status (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const sluice = fromSource(scope, as.user);
      const statuses = [];
      for (const script of ["exit 7", "kill -TERM $$"]) {
        statuses.push((await run([...sluice, "do", "--", "sh", "-c", script], as)).status);
      }
      statuses.push((await run([...sluice, "do", "--", "/no/such/program"], as)).status);
      strictEqual(statuses.join(), "7,143,127");
    }));

  test(`cli.ts publishes a port (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const port = await freePort();
      const server = `require("node:http").createServer((request, response) => response.end("from inside"))
        .listen(8000, () => console.log("ready"))`;
      const flags = ["-p", `127.0.0.1:${port}:8000`];
      const session = start(scope, [
        ...fromSource(scope, as.user),
        ...flags,
        "do",
        "--",
        "node",
        "-e",
        server,
      ], as);
      await printed(session, /^ready/);
      strictEqual(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "from inside");
    }));
}
