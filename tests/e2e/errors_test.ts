/** Starts that cannot succeed: one line that says what failed, why, and what to do. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { run, type Scope, userId, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester", "tool:bwrap");

interface Case {
  readonly name: string;
  /** A script whose "$@" is the command that fails; runs as root, in a mount namespace of its own. */
  readonly before?: string;
  /** As whom; `AS` in a script is a command that becomes that user. */
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments, `{dir}` for an empty directory that `user` owns. */
  readonly args: readonly string[];
  readonly status: number;
  readonly line: RegExp;
  arrange?(scope: Scope, directory: string): Promise<Readonly<Record<string, string>> | void>;
}

const DO = ["do", "--", "/bin/true"];
/** The attachment that needs a device and a namespace. */
const TAP = ["--attach=tap", ...DO];

const CASES: readonly Case[] = [
  ...["root", "tester"].map((user): Case => ({
    name: `no /dev/net/tun (${user})`,
    before: `mount -t tmpfs none /dev/net; $AS "$@"`,
    user,
    args: TAP,
    status: 125,
    line: /^sluice: cannot open \/dev\/net\/tun: .*no such file.* \(.*(modprobe|load).*tun.*\)$/i,
  })),
  {
    name: "a /dev/net/tun that is root's alone",
    before: `mount -t tmpfs none /dev/net; mknod -m 600 /dev/net/tun c 10 200; $AS "$@"`,
    user: "tester",
    args: TAP,
    status: 125,
    line: /^sluice: cannot open \/dev\/net\/tun: .*permission denied.* \(.*chmod.*\)$/i,
  },
  {
    name: "user namespaces that are switched off",
    before:
      `$AS unshare --user --map-current-user --keep-caps sh -c 'echo 0 >/proc/sys/user/max_user_namespaces
      exec setpriv --inh-caps=-all --ambient-caps=-all "$@"' sh "$@"`,
    user: "tester",
    args: TAP,
    status: 125,
    line:
      /^sluice: cannot make the guest's namespaces: .*no space left.* \(.*user\.max_user_namespaces.*\)$/i,
  },
  {
    name: "neither unshare nor bwrap",
    env: { PATH: "/nonexistent" },
    args: TAP,
    status: 125,
    line: /^sluice: cannot make a network namespace: neither unshare nor bwrap .*\(install .*\)$/,
  },
  {
    name: "a kernel that does not trap system calls",
    // The number of seccomp(2), and "no such call": what older kernels, and filters of containers, say.
    before: `words=$(mktemp); python3 -c "
import platform, struct, sys
number = 317 if platform.machine() == 'x86_64' else 277
for words in (0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x00050026), (6, 0, 0, 0x7fff0000):
    sys.stdout.buffer.write(struct.pack('HBBI', *words))
" >"$words"; exec 9<"$words"; rm "$words"; $AS bwrap --seccomp 9 --dev-bind / / -- "$@"`,
    user: "tester",
    args: DO,
    status: 125,
    line: /^sluice: cannot answer the program's socket calls: .*ENOSYS.* \(use --attach=tap\)$/,
  },
  {
    name: "a published port that is taken",
    async arrange(scope) {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      scope.defer(() => void server.close());
      return { port: String((server.address() as { port: number }).port) };
    },
    args: ["-p", "127.0.0.1:{port}:80", ...DO],
    status: 125,
    line: /^sluice: cannot (listen on|publish).*127\.0\.0\.1:\d+.*in use.*$/,
  },
  {
    name: "a configuration that is not there",
    args: ["--config", "{dir}/none.toml", ...DO],
    status: 125,
    line: /^sluice: cannot .*\/none\.toml: .*no such file or directory/,
  },
  {
    name: "a configuration that may not be read",
    user: "tester",
    arrange(_, directory) {
      writeFileSync(`${directory}/secret.toml`, "", { mode: 0o600 });
      return Promise.resolve();
    },
    args: ["--config", "{dir}/secret.toml", ...DO],
    status: 125,
    line: /^sluice: cannot .*\/secret\.toml: .*permission denied/,
  },
  {
    name: "a configuration that is not TOML",
    arrange(_, directory) {
      writeFileSync(`${directory}/bad.toml`, 'mtu = 1500\nnetwork = "none\n');
      return Promise.resolve();
    },
    args: ["--config", "{dir}/bad.toml", ...DO],
    status: 125,
    line: /^sluice: cannot use the configuration: .*\/bad\.toml:2/,
  },
  {
    name: "a configuration with an unknown key",
    arrange(_, directory) {
      writeFileSync(`${directory}/odd.toml`, '# mine\nnetwrok = "none"\n');
      return Promise.resolve();
    },
    args: ["--config", "{dir}/odd.toml", ...DO],
    status: 125,
    line: /^sluice: cannot use the configuration: .*\/odd\.toml:2.*netwrok.*network/,
  },
  {
    name: "an unknown flag",
    args: ["--netwrok=none", ...DO],
    status: 2,
    line: /^sluice: wrong usage: unknown flag --netwrok \(did you mean --network\?\)$/,
  },
  {
    name: "an unknown command",
    args: ["od", "--", "true"],
    status: 2,
    line: /^sluice: wrong usage: unknown command "od" \(.*\)$/,
  },
  { name: "no command at all", args: [], status: 2, line: /^sluice: wrong usage: .*\(.*sluice help\)$/ },
  {
    name: "no program",
    args: ["do"],
    status: 2,
    line: /^sluice: cannot run a program: none is named \(.*\)$/,
  },
  ...["67", "65522", "0", "big"].map((mtu): Case => ({
    name: `an MTU of ${mtu}`,
    args: ["--mtu", mtu, ...DO],
    status: 2,
    line: /^sluice: wrong usage: .*mtu/,
  })),
  {
    name: "runtime directories that cannot be written",
    before: `mount -t tmpfs -o ro none /dev/shm; mount --bind -o ro /tmp /tmp; $AS "$@"`,
    user: "tester",
    env: { XDG_RUNTIME_DIR: "{dir}" },
    args: DO,
    status: 125,
    line: /^sluice: cannot make \/\S+\/sluice: read-only file system \(.*XDG_RUNTIME_DIR.*\)$/,
  },
  {
    name: "a capture that cannot be written",
    args: ["--pcap-log", "{dir}/none/a.pcapng", ...DO],
    status: 125,
    line: /^sluice: cannot write \/\S+\/none\/a\.pcapng: .*no such file or directory/i,
  },
  {
    name: "a log that cannot be written",
    args: ["--debug-log", "{dir}/none/a.log", ...DO],
    status: 125,
    line: /^sluice: cannot write \/\S+\/none\/a\.log: .*no such file or directory/i,
  },
  {
    name: "a network that another attachment cannot have",
    args: ["--network=sandbox", "--attach=tap", ...DO],
    status: 2,
    line:
      /^sluice: wrong usage: attach=tap cannot be used with network=sandbox, which needs attach=sockets \(/,
  },
  {
    name: "a working directory that is not there",
    args: ["do", "--cwd", "{dir}/none", "--", "true"],
    status: 125,
    line: /^sluice: cannot .*\/none: .*no such file or directory/i,
  },
  {
    name: "a bucket smaller than a packet",
    args: ["--qdisc=tbf", "--qdisc-tbf-rate=1000000", "--qdisc-tbf-burst=1000", ...DO],
    status: 125,
    line: /^sluice: burst \(1000 bytes\) is smaller than link's max GSO packet size \(\d+ bytes\); /,
  },
  {
    name: "a bucket smaller than a packet of a link that cuts nothing",
    args: [
      "--gso=false",
      "--mtu=1500",
      "--qdisc=tbf",
      "--qdisc-tbf-rate=1000000",
      "--qdisc-tbf-burst=1000",
      ...DO,
    ],
    status: 125,
    line: /^sluice: burst \(1000 bytes\) is smaller than max packet length \(1514 bytes\)$/,
  },
];

for (const { name, before = `$AS "$@"`, user = "root", env = {}, args, status, line, arrange } of CASES) {
  test(`sluice says in one line what is wrong with ${name}`, MACHINE, () =>
    withScope(async (scope) => {
      const sluice = scope.binary();
      const directory = scope.directory();
      const id = user === "root" ? 0 : userId(user);
      chownSync(directory, id, id);
      const values = { dir: directory, ...await arrange?.(scope, directory) };
      const filled = (text: string) =>
        Object.entries(values).reduce((so, [key, value]) => so.replaceAll(`{${key}}`, value), text);
      const variables = Object.entries(env).map(([key, value]) => `${key}=${filled(value)}`);
      const script = `AS="setpriv --reuid=${id} --regid=${id} --clear-groups --"; ${before}`;
      const result = await run(
        ["unshare", "--mount", "sh", "-c", script, "sh", "env", "-u", "XDG_RUNTIME_DIR", ...variables]
          .concat([sluice, ...args.map(filled)]),
      );
      match(result.stderr.trimEnd(), line);
      strictEqual(result.stderr.split("\n").length, 2, `not one line: ${result.stderr}`);
      strictEqual(result.status, status, result.stderr);
      strictEqual(result.stdout, "");
    }));
}

for (const user of ["root", "tester"]) {
  test(
    `sluice takes a command line of runsc inside bwrap (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const directory = scope.directory();
        mkdirSync(`${directory}/run`);
        const id = user === "root" ? 0 : userId(user);
        const script = `exec 20<"$0"; exec bwrap --args 20 -- "$@"`;
        const words = ["--dev-bind", "/", "/"];
        writeFileSync(`${directory}/words`, words.join("\0") + "\0");
        const line = "-platform=kvm -rootless -ignore-cgroups -network=sandbox-passthrough -host-uds=all " +
          "-host-fifo=open -file-access=shared -overlay2=none do -force-overlay=false -- bash -c";
        const result = await run(
          ["setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups", "--", "bash", "-c", script]
            .concat([
              `${directory}/words`,
              scope.binary(),
              ...line.split(" "),
              "ip -br addr show eth0; exit 3",
            ]),
        );
        strictEqual(result.status, 3, result.stderr);
        match(result.stdout, /10\.0\.2\.100\/24/);
        match(result.stderr, /^sluice: ignored flags of runsc that mean nothing here: --platform, .*\n$/);
      }),
  );
}
