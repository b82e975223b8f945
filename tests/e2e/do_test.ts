/** `sluice do` as a user meets it: exit status, signals, what the program inherits. */

import { test } from "node:test";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { deepStrictEqual, doesNotMatch, match, strictEqual } from "node:assert/strict";
import { run, start, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester");

const USERS = [undefined, "tester"] as const;
const who = (user: string | undefined) => user ?? "root";

for (const user of USERS) {
  const options = user === undefined ? {} : { user };

  const STATUSES: [why: string, argv: string[], want: number][] = [
    ["is the program's own", ["sh", "-c", "exit 7"], 7],
    ["is 0 for true", ["true"], 0],
    ["is 128+n for a program ended by signal n", ["sh", "-c", "kill -TERM $$"], 143],
    ["is 127 for a program that is not there", ["/no/such/program"], 127],
    ["is 126 for a program that cannot be executed", ["/etc/passwd"], 126],
  ];
  for (const [why, argv, want] of STATUSES) {
    for (const network of ["sandbox-passthrough", "none", "host"]) {
      test(`do exit status ${why} (${network}, ${who(user)})`, MACHINE, () =>
        withScope(async (scope) => {
          const result = await run([scope.binary(), `--network=${network}`, "do", "--", ...argv], options);
          strictEqual(result.status, want, result.stderr);
          strictEqual(result.stdout, "");
        }));
    }
  }

  test(
    `do keeps identity, directory, environment and descriptors (${who(user)})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const sluice = scope.binary();
        const script = "id -u; id -g; pwd; echo $MARK; ulimit -n; ls /proc/self/fd | wc -l; " +
          "grep -E '^(SigBlk|CapEff)' /proc/self/status";
        const how = { ...options, cwd: "/usr", env: { MARK: "kept" } };
        const native = await run(["sh", "-c", script], how);
        const ours = await run([sluice, "do", "--", "sh", "-c", script], how);
        strictEqual(ours.stderr, "");
        deepStrictEqual(ours.stdout.split("\n"), native.stdout.split("\n"));
      }),
  );

  test(
    `do takes nothing from the directory that it is started in (${who(user)})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const cwd = scope.directory();
        writeFileSync(join(cwd, ".env"), "MARK=taken\n");
        writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./preload.js"]\n');
        writeFileSync(join(cwd, "preload.js"), 'console.log("taken");\n');
        const argv = [scope.binary(), "do", "--", "sh", "-c", "echo ${MARK-absent}"];
        const result = await run(argv, { ...options, cwd });
        strictEqual(result.stdout, "absent\n", result.stderr);
      }),
  );

  test(
    `do lets the compilers of its runtime wait, unseen by the program (${who(user)})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        // It begins anew for that, and so before it has read what can be read only once.
        const config = join(scope.directory(), "config.toml");
        execFileSync("mkfifo", ["-m", "666", config]);
        start(scope, ["sh", "-c", `echo 'network = "none"' > ${config}`]);
        const argv = [
          scope.binary(),
          "--config",
          config,
          "do",
          "--",
          "sh",
          "-c",
          'ls /sys/class/net; env; echo "<$0>"',
          "",
        ];
        const { stdout, stderr } = await run(argv, { ...options, env: { BUN_JSC_dumpOptions: "1" } });
        match(stderr, /thresholdForFTLOptimizeAfterWarmUp=640000 /);
        match(stdout, /^lo\n[^]*\n<>\n$/);
        doesNotMatch(stdout, /FTL|SLUICE_COMPILER/);
      }),
  );

  test(`do needs few descriptors (${who(user)})`, MACHINE, () =>
    withScope(async (scope) => {
      const script = 'ulimit -n 48; exec "$0" do -- sh -c "ulimit -n; echo here"';
      const result = await run(["sh", "-c", script, scope.binary()], options);
      strictEqual(result.stdout, "48\nhere\n", result.stderr);
    }));

  test(
    `do hands standard input and output through (${who(user)})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const input = "line\n".repeat(100_000);
        const result = await run([scope.binary(), "do", "--", "cat"], { ...options, input });
        strictEqual(result.status, 0, result.stderr);
        strictEqual(result.stdout, input);
      }),
  );

  test(
    `do shows one interface with the addresses of the manual (${who(user)})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const result = await run([scope.binary(), "do", "--", "ip", "-br", "addr"], options);
        match(result.stdout, /^lo\s+\S+\s+127\.0\.0\.1\/8 ::1\/128\s*$/m);
        match(result.stdout, /^eth0\s+(?:UP|UNKNOWN)\s+10\.0\.2\.100\/24 .*fd00::64\/64/m);
        strictEqual(result.stdout.trim().split("\n").length, 2);
      }),
  );

  const IGNORED: [why: string, trap: string, want: string][] = [
    ["nothing ignored", "", "0000000000000000"],
    ["what nohup ignores", "trap '' HUP;", "0000000000000001"],
  ];
  for (const [why, trap, want] of IGNORED) {
    test(`do starts the program with ${why} (${who(user)})`, MACHINE, () =>
      withScope(async (scope) => {
        const script = `${trap} exec "$0" do -- grep SigIgn /proc/self/status`;
        const result = await run(["env", "--default-signal", "sh", "-c", script, scope.binary()], options);
        strictEqual(result.stdout, `SigIgn:\t${want}\n`, result.stderr);
      }));
  }
}
