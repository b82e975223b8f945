/** How a guest and sluice end, what of them is left, and how much memory they hold meanwhile. */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { chmodSync, chownSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import process from "node:process";
import { createServer } from "node:net";
import { join } from "node:path";
import { printed, run, type RunOptions, type Scope, start, userId, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { until } from "../support/tmux.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester");
const BWRAP = needs("root", "tun", "userns", "user:tester", "tool:bwrap");

/** Resident memory of an idle `sluice do`, bytes. */
const IDLE_LIMIT = 80e6;

/** A runtime directory of the test's own, so that what is left in it is this test's. */
function ownRuntime(scope: Scope, user: string | undefined): { directory: string; options: RunOptions } {
  const directory = scope.directory();
  const id = user === undefined ? 0 : userId(user);
  chownSync(directory, id, id);
  const argv = { XDG_RUNTIME_DIR: directory };
  return { directory: join(directory, "sluice"), options: { ...(user && { user }), env: argv } };
}

const SIGNALS: [name: NodeJS.Signals, number: number][] = [
  ["SIGTERM", 15],
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
  ["SIGUSR1", 10],
  ["SIGUSR2", 12],
];

/**
 * The exit status of a child, or the signal that ended it. Signal it by `process.kill`: in Deno a child that has been
 * signalled by `child.kill` counts as ended by that, whatever its status.
 */
function ended(child: ReturnType<typeof start>): Promise<number | string | null> {
  return new Promise((resolve) => child.once("close", (status, signal) => resolve(status ?? signal)));
}

const alive = (pid: number) => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return false;
  }
};

for (const user of [undefined, "tester"]) {
  const who = user ?? "root";

  test(`a signal to sluice alone reaches the program (${who})`, MACHINE, () =>
    withScope(async (scope) => {
      const { options } = ownRuntime(scope, user);
      // What is ignored at the beginning, as by `nohup`, no shell can trap.
      const sluice = ["env", "--default-signal", scope.binary(), "do", "--"];
      await Promise.all(SIGNALS.map(async ([signal, number]) => {
        const script = `trap 'echo caught; exit 3' ${number}; echo ready; while :; do sleep 0.05; done`;
        const handled = start(scope, [...sluice, "sh", "-c", script], options);
        await printed(handled, /ready/);
        const caught = printed(handled, /caught/);
        process.kill(handled.pid!, signal);
        await caught;
        strictEqual(await ended(handled), 3, signal);

        const fatal = start(scope, [...sluice, "sh", "-c", "echo ready; exec sleep 1000"], options);
        await printed(fatal, /ready/);
        process.kill(fatal.pid!, signal);
        strictEqual(await ended(fatal), 128 + number, signal);
      }));
    }));

  test(`nothing is left when the program has ended (${who})`, MACHINE, () =>
    withScope(async (scope) => {
      const { directory, options } = ownRuntime(scope, user);
      // A daemon by the book: forked twice, in a session of its own.
      const script =
        `sh -c 'setsid sh -c "echo \\$\\$; exec sleep 1000 >/dev/null 2>&1" &' | head -1; exit 4`;
      const result = await run([scope.binary(), "do", "--", "sh", "-c", script], options);
      strictEqual(result.status, 4, result.stderr);
      const pid = Number(/^\d+$/m.exec(result.stdout)![0]);
      if (alive(pid)) scope.defer(() => void process.kill(pid, "SIGKILL"));
      ok(!alive(pid), "the daemon lives");
      strictEqual(result.stderr, "");
      deepStrictEqual(readdirSync(directory), []);
    }));

  test(
    `who waits in a call when the program ends, ends by a signal and says nothing (${who})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { options } = ownRuntime(scope, user);
        const said = scope.directory();
        chmodSync(said, 0o777);
        const server =
          'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print("ready", flush=True); s.recv(1)';
        const script = `python3 -c '${server}' > "$0" & until [ -s "$0" ]; do :; done; exit 4`;
        for (const attach of ["sockets", "tap"]) {
          const argv = [scope.binary(), `--attach=${attach}`, "do", "--", "sh", "-c", script];
          const result = await run([...argv, join(said, attach)], options);
          deepStrictEqual([result.status, result.stderr], [4, ""], attach);
        }
      }),
  );

  test(`nothing is left of a start that fails (${who})`, MACHINE, () =>
    withScope(async (scope) => {
      const { directory, options } = ownRuntime(scope, user);
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      scope.defer(() => void server.close());
      const publish = `127.0.0.1:${(server.address() as { port: number }).port}:80`;
      const result = await run([scope.binary(), "-p", publish, "do", "--", "true"], options);
      strictEqual(result.status, 125, result.stderr);
      deepStrictEqual(readdirSync(directory), []);
    }));

  test(
    `kill -9 takes the program along, and ls clears up (${who})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { directory, options } = ownRuntime(scope, user);
        const sluice = scope.binary();
        const child = start(scope, [sluice, "do", "--", "sh", "-c", "echo $$; exec sleep 1000"], options);
        const pid = Number(await printed(child, /^\d+\n/));
        ok(alive(pid));
        const over = ended(child);
        process.kill(child.pid!, "SIGKILL");
        await over;
        await until(() => !alive(pid), () => `process ${pid} lives`);
        strictEqual(readdirSync(directory).length, 2);
        const listed = await run([sluice, "ls", "-j"], options);
        strictEqual(listed.stdout.trim(), "[]", listed.stderr);
        deepStrictEqual(readdirSync(directory), []);
      }),
  );

  const STREAMS: [what: string, redirection: string][] = [
    ["standard input", "<&-"],
    ["standard output", ">&-"],
    ["standard error", "2>&-"],
    ["all three", "<&- >&- 2>&-"],
  ];
  for (const [what, redirection] of STREAMS) {
    test(`do works without ${what} (${who})`, MACHINE, () =>
      withScope(async (scope) => {
        const { options } = ownRuntime(scope, user);
        const script = `exec "$0" do -- sh -c 'ip addr show eth0 >/dev/null && exit 7' ${redirection}`;
        const result = await run(["sh", "-c", script, scope.binary()], options);
        strictEqual(result.status, 7, result.stderr);
      }));
  }

  test(
    `a reader that goes away ends the program as in any pipeline (${who})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { options } = ownRuntime(scope, user);
        const script = `"$0" do -- yes | head -1; echo "\${PIPESTATUS[0]}"`;
        const result = await run(["bash", "-c", script, scope.binary()], options);
        strictEqual(result.stdout, "y\n141\n", result.stderr);
        strictEqual(result.stderr, "");
      }),
  );

  for (const network of ["sandbox-passthrough", "none", "host"]) {
    test(`the program inherits descriptors, ${network} (${who})`, MACHINE, () =>
      withScope(async (scope) => {
        const { options } = ownRuntime(scope, user);
        const script = `"$0" --network=${network} do -- sh -c 'cat "$1" /dev/fd/3 <&3; cat <&7' sh ` +
          `<(echo one) 3< <(echo two) 7< <(echo three)`;
        const result = await run(["bash", "-c", script, scope.binary()], options);
        strictEqual(result.stdout, "one\ntwo\nthree\n", result.stderr);
      }));
  }

  test(
    `an idle session holds at most ${IDLE_LIMIT / 1e6} MB (${who})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { options } = ownRuntime(scope, user);
        const child = start(
          scope,
          [scope.binary(), "do", "--", "sh", "-c", "echo ready; exec sleep 1000"],
          options,
        );
        await printed(child, /ready/);
        const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
        match(status, /^Name:\s+sluice$/m);
        const resident = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
        ok(resident <= IDLE_LIMIT, `${(resident / 1e6).toFixed(1)} MB`);
        strictEqual(readdirSync(`/proc/${child.pid}/task`).length > 1, true);
      }),
  );

  // Without `unshare` in PATH the namespaces are bubblewrap's work.
  test(`do works with bubblewrap alone (${who})`, BWRAP, () =>
    withScope(async (scope) => {
      const { options } = ownRuntime(scope, user);
      const path = scope.directory();
      symlinkSync("/usr/bin/bwrap", join(path, "bwrap"));
      const inside = `PATH=${
        process.env["PATH"]
      }; id -u; ip -br addr show eth0; ls /proc/self/fd | wc -l; exit 6`;
      const native = await run(["/bin/sh", "-c", inside], options);
      const argv = ["env", `PATH=${path}`, scope.binary(), "do", "--", "/bin/sh", "-c", inside];
      const result = await run(argv, options);
      strictEqual(result.stderr, "");
      strictEqual(result.status, 6);
      match(result.stdout, /^eth0.*10\.0\.2\.100\/24/m);
      strictEqual(result.stdout.replace(/^eth0.*\n/m, ""), native.stdout.replace(/^eth0.*\n/m, ""));

      const child = start(
        scope,
        [
          ...argv.slice(0, -1),
          "trap 'echo caught; exit 3' TERM; echo ready; while :; do /bin/sleep 0.05; done",
        ],
        options,
      );
      await printed(child, /ready/);
      process.kill(child.pid!, "SIGTERM");
      strictEqual(await ended(child), 3);
    }));
}
