import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { askInstance, type Instance, Instances } from "../../lib/cli/instances.ts";
import { createApi } from "../../lib/control/api.ts";
import { UNIX_HOSTS } from "../../lib/control/middleware/host_allow_list.ts";
import { serveHttp } from "../../lib/host/http_server.ts";
import { FakeEngine } from "../control/fake_engine.ts";

/** An empty runtime directory for one test. */
async function withDirectory(
  body: (instances: Instances, directory: string) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(`${tmpdir()}/sluice-instances-`);
  try {
    await body(new Instances(directory), directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return {
    id,
    pid: process.pid,
    api: null,
    network: "none",
    attach: "tap",
    command: ["true"],
    started: `2026-01-01T00:00:0${id.length % 10}Z`,
    ...more,
  };
}

test("Instances.register() tells others, privately, until it is taken back", async () => {
  await withDirectory(async (instances, directory) => {
    const unregister = instances.register(instance("one"), "a-secret-token");
    equal(statSync(`${directory}/one.json`).mode & 0o777, 0o600);
    deepEqual(await instances.list(), [{ ...instance("one"), token: "a-secret-token" }]);
    unregister();
    deepEqual(await instances.list(), []);
    equal(existsSync(`${directory}/one.json`), false);
  });
});

test("Instances.list() skips and removes what a dead instance left", async () => {
  await withDirectory(async (instances, directory) => {
    const good = instances.register(instance("good"));
    const text = readFileSync(`${directory}/good.json`, "utf8");
    const leave = (id: string, change: (text: string) => string) => {
      writeFileSync(`${directory}/${id}.json`, change(text.replace('"id":"good"', `"id":"${id}"`)));
      writeFileSync(`${directory}/${id}.sock`, "");
    };
    leave("gone", (entry) => entry.replace(`"pid":${process.pid}`, '"pid":4194304'));
    // The number runs, but it is another process by now.
    leave("reused", (entry) => entry.replace(/"processStart":"[0-9]+"/, '"processStart":"1"'));
    leave("deaf", (entry) => entry.replace('"api":null', `"api":"${directory}/deaf.sock"`));
    deepEqual((await instances.list()).map(({ id }) => id), ["good"]);
    for (const id of ["gone", "reused", "deaf"]) {
      equal(existsSync(`${directory}/${id}.json`), false, id);
      equal(existsSync(`${directory}/${id}.sock`), false, id);
    }
    good();
  });
});

test("Instances.list() leaves alone what it does not understand", async () => {
  await withDirectory(async (instances, directory) => {
    writeFileSync(`${directory}/broken.json`, "{");
    writeFileSync(`${directory}/null.json`, "null");
    writeFileSync(`${directory}/huge.json`, " ".repeat(1 << 20));
    writeFileSync(`${directory}/notes.txt`, "");
    symlinkSync("/etc/passwd", `${directory}/link.json`);
    deepEqual(await instances.list(), []);
    equal(existsSync(`${directory}/broken.json`), true);
    equal(existsSync(`${directory}/notes.txt`), true);
  });
});

test("Instances.pick() takes a name, its beginning, or the only one", async () => {
  await withDirectory(async (instances) => {
    await rejects(instances.pick(), /Cannot find an instance: none runs/);
    const undo = [instances.register(instance("alpha"))];
    equal((await instances.pick()).id, "alpha");
    undo.push(instances.register(instance("alphabet")), instances.register(instance("beta")));
    equal((await instances.pick("b")).id, "beta");
    equal((await instances.pick("alpha")).id, "alpha");
    equal((await instances.pick("alphab")).id, "alphabet");
    await rejects(instances.pick(), /which instance is meant: running are beta, alpha, alphabet/);
    await rejects(instances.pick("al"), /which instance is meant: running are alpha, alphabet/);
    await rejects(instances.pick("x"), /Cannot find instance "x": running are/);
    for (const unregister of undo) unregister();
  });
});

test("Instances.claim() refuses a name that runs, and names that are paths", async () => {
  await withDirectory(async (instances) => {
    const unregister = instances.register(instance("mine"));
    await rejects(instances.claim("mine"), /Cannot use id mine: an instance of that name runs/);
    unregister();
    await instances.claim("mine");
    for (const id of ["", "../x", "a/b", ".hidden", "x".repeat(65), "a b"]) {
      await rejects(instances.claim(id), /Cannot use id/);
    }
  });
});

test("Instances.claim() makes room where a killed instance left its socket", async () => {
  await withDirectory(async (instances, directory) => {
    const unregister = instances.register(instance("mine"));
    const text = readFileSync(`${directory}/mine.json`, "utf8");
    unregister();
    writeFileSync(`${directory}/mine.json`, text.replace(/"processStart":"[0-9]+"/, '"processStart":"1"'));
    writeFileSync(`${directory}/mine.sock`, "");
    await instances.claim("mine");
    equal(existsSync(`${directory}/mine.sock`), false);
  });
});

test("Instances does not trust a directory that others can write", async () => {
  if (process.getuid?.() !== 0) return;
  await withDirectory(async (instances, directory) => {
    const { chmodSync, chownSync } = await import("node:fs");
    chmodSync(directory, 0o777);
    await rejects(instances.list(), /is not a directory that only you can write/);
    chmodSync(directory, 0o700);
    chownSync(directory, 12345, 12345);
    await rejects(instances.claim("x"), /is not a directory that only you can write/);
  });
});

test("askInstance() reaches the API on its unix socket, and hands on its words", async () => {
  await withDirectory(async (instances) => {
    const path = instances.socketPath("one");
    const app = createApi({ engine: new FakeEngine(), settings: {}, id: "one", allowedHosts: UNIX_HOSTS });
    const server = serveHttp({ unix: path }, (request) => app.fetch(request));
    equal(statSync(path).mode & 0o777, 0o600);
    const unregister = instances.register(instance("one", { api: path }));
    const found = await instances.pick("one");
    const health = await askInstance<{ id: string }>(found, "/v1/health");
    equal(health.id, "one");
    await rejects(askInstance(found, "/v1/addr?family=5"), (error: Error) => {
      match(error.message, /^Cannot ask one: Cannot read family "5"/);
      return true;
    });
    server.close();
    equal(existsSync(path), false);
    unregister();
    await rejects(askInstance(found, "/v1/health"), /Cannot reach .*\/one\.sock: /);
    await rejects(askInstance(instance("off"), "/v1/health"), /it runs with --api off/);
  });
});
