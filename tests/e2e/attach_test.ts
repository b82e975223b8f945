/** `sluice attach`: a namespace that somebody else made, as slirp4netns serves it. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { chownSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { printed, run, type RunOptions, type Scope, start, userId, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester");

function optionsFor(scope: Scope, user: string): RunOptions {
  const directory = scope.directory();
  const id = user === "root" ? 0 : userId(user);
  chownSync(directory, id, id);
  return { ...(user === "root" ? {} : { user }), env: { XDG_RUNTIME_DIR: directory } };
}

/** A process in a network namespace of its own that sits there. */
async function hermit(scope: Scope, flags: string[], options: RunOptions): Promise<ChildProcess> {
  const child = start(scope, ["unshare", ...flags, "sh", "-c", "echo ready; exec sleep 1000"], options);
  await printed(child, /ready/);
  return child;
}

/** Attaches, and resolves when `--ready-fd` says that it works. */
async function attached(scope: Scope, words: string[], options: RunOptions): Promise<ChildProcess> {
  const child = start(scope, [scope.binary(), "attach", "--ready-fd", "1", ...words], options);
  let complaint = "";
  child.stderr!.on("data", (chunk: Uint8Array) => (complaint += new TextDecoder().decode(chunk)));
  await printed(child, /\n/).catch((error) => Promise.reject(new Error(`${error.message}${complaint}`)));
  return child;
}

/** Process.kill and not child.kill: see lifetime_test.ts. */
function endedBy(child: ChildProcess, signal: NodeJS.Signals, whom = child): Promise<number | null> {
  const over = new Promise<number | null>((resolve) => child.once("close", (status) => resolve(status)));
  process.kill(whom.pid!, signal);
  return over;
}

const NAMESPACES: [user: string, flags: string[], enter: string[]][] = [
  ["root", ["--net"], ["--net"]],
  ["tester", ["-U", "-r", "--net"], ["--user", "--preserve-credentials", "--net"]],
];

for (const [user, flags, enter] of NAMESPACES) {
  const inside = (target: ChildProcess, argv: string[], options: RunOptions) =>
    run(["nsenter", "-t", String(target.pid), ...enter, "--", ...argv], options);

  test(
    `attach --pid serves a namespace and leaves it as it was (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const options = optionsFor(scope, user);
        const target = await hermit(scope, flags, options);
        const sluice = await attached(scope, ["--pid", String(target.pid)], options);
        const ping = await inside(target, ["ping", "-q", "-c1", "-W5", "10.0.2.2"], options);
        match(ping.stdout, /1 received/, ping.stderr);
        const children = readFileSync(`/proc/${sluice.pid}/task/${sluice.pid}/children`, "utf8");
        strictEqual(children, "", "a stage is left");

        strictEqual(await endedBy(sluice, "SIGTERM"), 0);
        const links = await inside(target, ["ip", "-br", "link"], options);
        strictEqual(
          (await inside(target, ["ip", "-br", "link"], options)).stdout.match(/eth0/),
          null,
          links.stderr,
        );
        strictEqual(target.exitCode, null, "the process is not ours to end");
        strictEqual(existsSync(`/proc/${target.pid}`), true);
        strictEqual(readdirSync(join(options.env!["XDG_RUNTIME_DIR"]!, "sluice")).length, 0);

        // And once more, because the device is gone.
        const again = await attached(scope, ["--pid", String(target.pid)], options);
        strictEqual(await endedBy(again, "SIGINT"), 0);
      }),
  );

  test(`attach --pid ends with the process (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      const options = optionsFor(scope, user);
      const target = await hermit(scope, flags, options);
      const sluice = await attached(scope, ["--pid", String(target.pid)], options);
      strictEqual(await endedBy(sluice, "SIGKILL", target), 0);
    }));

  test(
    `attach refuses a namespace that is served already (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const options = optionsFor(scope, user);
        const target = await hermit(scope, flags, options);
        await attached(scope, ["--pid", String(target.pid)], options);
        const second = await run([scope.binary(), "attach", "--pid", String(target.pid)], options);
        strictEqual(second.status, 125);
        match(second.stderr, /^sluice: cannot make interface eth0: .*\(somebody else has .* open\)\n$/);
        const ping = await inside(target, ["ping", "-q", "-c1", "-W5", "10.0.2.2"], options);
        match(ping.stdout, /1 received/, "the first one still serves");
      }),
  );
}

test("attach --netns serves a namespace of ip-netns (root)", MACHINE, () =>
  withScope(async (scope) => {
    const options = optionsFor(scope, "root");
    const name = `sluice-test-${process.pid}`;
    await run(["ip", "netns", "add", name]);
    scope.defer(async () => void await run(["ip", "netns", "del", name]));
    const sluice = await attached(scope, ["--netns", `/run/netns/${name}`], options);
    const ping = await run(["ip", "netns", "exec", name, "ping", "-q", "-c1", "-W5", "fd00::2"]);
    match(ping.stdout, /1 received/, ping.stderr);
    strictEqual(await endedBy(sluice, "SIGTERM"), 0);
    const links = await run(["ip", "-n", name, "-br", "link"]);
    strictEqual(links.stdout.includes("eth0"), false);
  }));

const REFUSALS: [why: string, user: string, words: string[], status: number, line: RegExp][] = [
  [
    "a process that is gone",
    "root",
    ["--pid", "4194304"],
    125,
    /^sluice: cannot attach to process 4194304: it does not exist, or it is not yours\n$/,
  ],
  [
    "somebody else's process",
    "tester",
    ["--pid", "1"],
    125,
    /^sluice: cannot attach to process 1: it does not exist, or it is not yours\n$/,
  ],
  [
    "a path that is not there",
    "root",
    ["--netns", "/run/netns/none"],
    125,
    /^sluice: .*\/run\/netns\/none.*No such file.*\n$/,
  ],
  [
    "a path that is no namespace",
    "root",
    ["--netns", "/etc/passwd"],
    125,
    /^sluice: cannot .*Invalid argument.*\n$/,
  ],
  ["no target", "root", [], 2, /^sluice: cannot attach: name either --pid PID or --netns PATH\n$/],
  ["two targets", "root", ["--pid", "1", "--netns", "/x"], 2, /^sluice: cannot attach: name either .*\n$/],
  [
    "a word for a process",
    "root",
    ["--pid", "self"],
    2,
    /^sluice: cannot attach: --pid self is not a process id\n$/,
  ],
  [
    "a process that shares our network",
    "root",
    ["--pid", String(process.pid)],
    125,
    /^sluice: cannot attach to process \d+: its network namespace is the one that sluice is in \(.*\)\n$/,
  ],
  [
    "our own network namespace",
    "root",
    ["--netns", "/proc/self/ns/net"],
    125,
    /^sluice: cannot attach to \S+: its network namespace is the one that sluice is in \(.*\)\n$/,
  ],
];

for (const [why, user, words, status, line] of REFUSALS) {
  test(`attach says in one line what is wrong with ${why}`, MACHINE, () =>
    withScope(async (scope) => {
      const result = await run([scope.binary(), "attach", ...words], optionsFor(scope, user));
      match(result.stderr, line);
      strictEqual(result.status, status);
    }));
}
