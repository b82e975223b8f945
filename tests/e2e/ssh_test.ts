/** ssh behind the stack, to an sshd that the test starts: a command, a terminal, a file each way. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { printed, type Scope, start, withScope } from "../support/e2e.ts";
import { behind, type Family, MACHINE, type Situation, SITUATIONS, succeeded } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { payload } from "../support/payload.ts";

const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

interface Server {
  readonly port: number;
  readonly key: string;
  readonly directory: string;
}

/** sshd as its user would run it: keys and configuration of its own, nothing of the machine's. */
async function serve(scope: Scope, { host }: Family, situation: Situation): Promise<Server> {
  const directory = scope.directory();
  const at = (name: string) => join(directory, name);
  for (const name of ["host_key", "user_key"]) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(name)]);
  }
  copyFileSync(at("user_key.pub"), at("authorized_keys"));
  if (situation.as.user !== undefined) {
    const id = Number(execFileSync("id", ["-u", situation.as.user], { encoding: "utf8" }));
    chownSync(at("user_key"), id, id);
  }
  const port = await freePort();
  writeFileSync(
    at("sshd_config"),
    [
      `ListenAddress ${host.includes(":") ? `[${host}]` : host}:${port}`,
      `HostKey ${at("host_key")}`,
      `AuthorizedKeysFile ${at("authorized_keys")}`,
      `PidFile ${at("sshd.pid")}`,
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin yes",
      "PrintMotd no",
      "PrintLastLog no",
      "Subsystem sftp internal-sftp",
      "",
    ].join("\n"),
  );
  execFileSync("mkdir", ["-p", "/run/sshd"]); // its privilege separation wants it to exist
  const sshd = start(scope, ["/usr/sbin/sshd", "-D", "-e", "-f", at("sshd_config")]);
  await printed(sshd, /Server listening/, "stderr");
  return { port, key: at("user_key"), directory };
}

function options({ key }: Server): string[] {
  const settings = {
    IdentityFile: key,
    IdentitiesOnly: "yes",
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: "/dev/null",
    LogLevel: "ERROR",
    BatchMode: "yes",
    ConnectTimeout: "10",
  };
  return [
    "-F",
    "/dev/null",
    ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
  ];
}

for (const situation of SITUATIONS) {
  const { family } = situation;

  test(
    `ssh runs a command with its input, output and status (${situation.name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const server = await serve(scope, family, situation);
        const argv = ["ssh", ...options(server), "-p", `${server.port}`, `root@${family.gateway}`];
        const remote = "tr a-z A-Z; echo done >&2; exit 42";
        const input = "a line of text\n".repeat(50_000);
        const result = await behind(scope, situation, [...argv, remote], { input });
        strictEqual(result.status, 42, result.stderr);
        strictEqual(result.stderr, "done\n");
        strictEqual(result.stdout, input.toUpperCase());
      }),
  );

  test(`ssh -tt types in a terminal (${situation.name})`, MACHINE, () =>
    withScope(async (scope) => {
      const server = await serve(scope, family, situation);
      const target = ["-p", `${server.port}`, `root@${family.gateway}`];
      const argv = ["ssh", "-tt", ...options(server), ...target, "sh"];
      const session = start(scope, [
        scope.binary(),
        `--attach=${situation.attach}`,
        "--host-loopback",
        "do",
        "--",
        ...argv,
      ], situation.as);
      // A conversation: each line is typed only when the one before it has been answered.
      const say = async (line: string, answer: RegExp) => {
        session.stdin!.write(line);
        return await printed(session, answer);
      };
      await say("PS1='you? '\n", /you\? $/);
      match(await say("tty; stty size; echo first $((1 + 1))\n", /first 2\r\nyou\? $/), /\/dev\/pts\/\d+/);
      await say("cat\n", /cat\r\n/);
      await say("an echo\n", /an echo\r\nan echo\r\n/);
      // The terminal's own Ctrl-C ends the program there and not the session.
      await say("\x03", /you\? $/);
      await say("echo second $((2 + 2))\n", /second 4\r\nyou\? $/);
      session.stdin!.write("exit 5\n");
      strictEqual(await new Promise((resolve) => session.once("close", resolve)), 5);
    }));

  test(`scp moves 32 MiB each way unharmed (${situation.name})`, MACHINE, () =>
    withScope(async (scope) => {
      const server = await serve(scope, family, situation);
      const here = scope.directory();
      chmodSync(here, 0o777);
      const [source, back, there] = [
        join(here, "source"),
        join(here, "back"),
        join(server.directory, "there"),
      ];
      writeFileSync(source, payload(32 * 1024 * 1024));
      const scp = ["scp", "-q", ...options(server), "-P", `${server.port}`].join(" ");
      const remote = `root@${family.url}:${there}`;
      const script = `set -e; ${scp} ${source} '${remote}'; ${scp} '${remote}' ${back}`;
      succeeded(await behind(scope, situation, ["sh", "-c", script], { limit: 60_000 }));
      strictEqual(sha256(there), sha256(source));
      strictEqual(sha256(back), sha256(source));
    }));
}
