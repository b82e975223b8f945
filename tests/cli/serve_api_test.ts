import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { type CommandContext } from "../../lib/cli/command.ts";
import { NO_FLAGS } from "../../lib/cli/arguments.ts";
import { askInstance, Instances } from "../../lib/cli/instances.ts";
import { serveApi } from "../../lib/cli/serve_api.ts";
import { FLAG } from "../../lib/config/origin.ts";
import { resolve } from "../../lib/config/resolve.ts";
import { askHttp } from "../../lib/host/http_client.ts";
import { readTextFileSync } from "../../lib/host/runtime.ts";
import { FakeEngine } from "../control/fake_engine.ts";

interface World {
  readonly directory: string;
  readonly instances: Instances;
  /** What was said on stderr. */
  readonly said: string[];
  context(flags: Readonly<Record<string, string>>): CommandContext;
}

async function withWorld(body: (world: World) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(`${tmpdir()}/sluice-serve-`);
  const said: string[] = [];
  try {
    await body({
      directory,
      said,
      instances: new Instances(directory),
      context(flags) {
        const assignments = Object.entries(flags).map(([flag, text]) => ({ flag, text, origin: FLAG }));
        const resolved = resolve(assignments);
        return {
          resolved,
          problems: [],
          settings: resolved.settings,
          args: [],
          flags: NO_FLAGS,
          stdout: () => {},
          stderr: (text) => void said.push(text),
          env: {},
          readText: readTextFileSync,
          runtime: "test",
        };
      },
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const SESSION = { command: ["curl", "example.org"] };

test("serveApi() listens on a unix socket beside its entry, and takes both back", async () => {
  await withWorld(async ({ directory, instances, context, said }) => {
    const served = await serveApi(context({ id: "one" }), SESSION, new FakeEngine(), instances);
    const found = await instances.pick("one");
    deepEqual([found.api, found.command, found.network], [
      `${directory}/one.sock`,
      SESSION.command,
      "sandbox-passthrough",
    ]);
    equal((await askInstance<unknown[]>(found, "/v1/addr")).length, 2);
    match(JSON.stringify(await askInstance(found, "/v1/config")), /"qdisc"/);
    served.close();
    equal(existsSync(`${directory}/one.sock`), false);
    deepEqual(await instances.list(), []);
    deepEqual(said, []);
  });
});

test("serveApi() makes up a name, and refuses one that is taken", async () => {
  await withWorld(async ({ instances, context }) => {
    const first = await serveApi(context({}), SESSION, new FakeEngine(), instances);
    match(first.id, /^[0-9a-f]{8}$/);
    const again = serveApi(context({ id: first.id }), SESSION, new FakeEngine(), instances);
    await rejects(again, /an instance of that name runs/);
    first.close();
  });
});

test("serveApi() on TCP asks for a token that it says once", async () => {
  await withWorld(async ({ instances, context, said }) => {
    const api = { id: "tcp", api: "127.0.0.1:0" };
    const served = await serveApi(context(api), SESSION, new FakeEngine(), instances);
    const [, url = "", token = ""] =
      /^sluice: control API at (http:\/\/127\.0\.0\.1:\d+)\/\?token=([0-9a-f]{64})\n$/.exec(said.join("")) ??
        [];
    equal((await askHttp(url, "/v1/health")).status, 401);
    equal((await askHttp(url, "/v1/health", { headers: { Authorization: `Bearer ${token}` } })).status, 200);
    equal((await askHttp(url, `/?token=${token}`)).status, 200);
    equal((await askInstance<{ id: string }>(await instances.pick("tcp"), "/v1/health")).id, "tcp");

    const other = context({ id: "other", api: url.replace("http://", "") });
    await rejects(
      serveApi(other, SESSION, new FakeEngine(), instances),
      /on 127\.0\.0\.1:\d+: the address is in use/,
    );
    served.close();
    deepEqual(await instances.list(), []);
  });
});

test("serveApi() takes a token from a file, and does not repeat it", async () => {
  await withWorld(async ({ directory, instances, context, said }) => {
    const path = `${directory}/token`;
    const flags = { id: "tcp", api: "127.0.0.1:0", "api-token-file": path };
    writeFileSync(path, "short\n");
    await rejects(
      serveApi(context(flags), SESSION, new FakeEngine(), instances),
      /at least 16 printable characters/,
    );
    writeFileSync(path, "a-token-that-is-long\n");
    const served = await serveApi(context(flags), SESSION, new FakeEngine(), instances);
    equal(said.join("").includes("a-token"), false);
    equal((await askInstance<{ id: string }>(await instances.pick("tcp"), "/v1/health")).id, "tcp");
    served.close();
  });
});

test("serveApi() with --api off is only listed", async () => {
  await withWorld(async ({ directory, instances, context }) => {
    const served = await serveApi(context({ id: "quiet", api: "off" }), SESSION, new FakeEngine(), instances);
    const found = await instances.pick("quiet");
    equal(found.api, null);
    equal(existsSync(`${directory}/quiet.sock`), false);
    await rejects(askInstance(found, "/v1/addr"), /it runs with --api off/);
    served.close();
  });
});
