/**
 * One policy by flags, by Docker's daemon.json, by an annotation under a ceiling, by a pod's manifest and by a bundle:
 * each shapes what leaves the guest, on both attachments; what a tenant may not have does not start.
 */

import { test } from "node:test";
import { match, ok, strictEqual } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { printed, run, type Scope, start, withScope } from "../support/e2e.ts";
import { User } from "../support/user.ts";
import { behind, IPV4, MACHINE, succeeded, USERS } from "../support/guest.ts";

/** Seconds that a guest sends; long enough for the rate to weigh more than the burst. */
const SECONDS = 1.2;

/** Sends for some seconds; tells when it began. */
const SENDER = `
import socket, sys, time
end = time.monotonic() + float(sys.argv[3])
print(end - float(sys.argv[3]))
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
while time.monotonic() < end: s.sendall(bytes(16384))
s.close()
`;

/** Takes one connection on the host's loopback; tells when it had how many bytes, by the clock that the sender reads. */
const SINK = `
import json, socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
marks = [[0, 0]]
while size := len(connection.recv(1 << 20)): marks.append([time.monotonic(), marks[-1][1] + size])
print(json.dumps(marks[1:]), flush=True)
`;

interface Policy {
  readonly rate: number;
  readonly burst: number;
}
const SMALL: Policy = { rate: 1_000_000, burst: 131_072 };
/** gVisor's own example. */
const EXAMPLE: Policy = { rate: 12_500_000, burst: 1_048_576 };

const annotations = ({ rate, burst }: Policy) => ({
  "dev.gvisor.flag.qdisc": "tbf",
  "dev.gvisor.flag.qdisc-tbf-rate": `${rate}`,
  "dev.gvisor.flag.qdisc-tbf-burst": `${burst}`,
});
const flagsOf = ({ rate, burst }: Policy) => [`--qdisc-tbf-rate=${rate}`, `--qdisc-tbf-burst=${burst}`];

function file(scope: Scope, name: string, text: string): string {
  const path = join(scope.directory(), name);
  writeFileSync(path, text);
  return path;
}

const SOURCES: readonly [name: string, policy: Policy, flags: (scope: Scope) => readonly string[]][] = [
  ["flags", SMALL, () => ["--qdisc=tbf", ...flagsOf(SMALL)]],
  ["Docker's daemon.json", EXAMPLE, (scope) => {
    const runtimeArgs = ["--network=sandbox", "--qdisc=tbf", ...flagsOf(EXAMPLE)];
    const path = file(
      scope,
      "daemon.json",
      JSON.stringify({ runtimes: { runsc: { path: "/x", runtimeArgs } } }),
    );
    return ["--config", path, "--runtime", "runsc", "--network=sandbox-passthrough"];
  }],
  ["containerd's [runsc_config]", SMALL, (scope) => {
    const text =
      `[runsc_config]\nqdisc = "tbf"\nqdisc-tbf-rate = "${SMALL.rate}"\nqdisc-tbf-burst = "${SMALL.burst}"\n`;
    return ["--config", file(scope, "runsc.toml", text)];
  }],
  ["annotations under a ceiling", SMALL, () => [
    ...flagsOf(EXAMPLE),
    ...Object.entries(annotations(SMALL)).flatMap(([key, value]) => ["--annotation", `${key}=${value}`]),
  ]],
  ["a pod's manifest under a ceiling", SMALL, (scope) => {
    const lines = Object.entries(annotations(SMALL)).map(([key, value]) => `        ${key}: "${value}"`);
    const text =
      `kind: Service\n---\nkind: Deployment\nspec:\n  template:\n    metadata:\n      annotations:\n`;
    return [...flagsOf(EXAMPLE), "--pod", file(scope, "pod.yaml", `${text}${lines.join("\n")}\n`)];
  }],
  ["an OCI bundle under a ceiling", SMALL, (scope) => {
    const bundle = join(scope.directory(), "bundle");
    mkdirSync(bundle);
    writeFileSync(join(bundle, "config.json"), JSON.stringify({ annotations: annotations(SMALL) }));
    return [...flagsOf(EXAMPLE), "--bundle", bundle];
  }],
];

for (const [i, [name, { rate, burst }, flags]] of SOURCES.entries()) {
  // Each source once, each attachment and each user several times.
  const attach = ["tap", "sockets"][i % 2]!;
  const { name: user, as } = USERS[(i >> 1) % 2]!;
  test(
    `what leaves the guest is shaped by ${name} (${attach}, ${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const sink = start(scope, ["python3", "-c", SINK]);
        const port = (await printed(sink, /^\d+\n/)).trim();
        const said = printed(sink, /^\[.*\]\n/);
        const argv = ["python3", "-c", SENDER, IPV4.gateway, port, `${SECONDS}`];
        const options = { flags: [...flags(scope), `--attach=${attach}`] };
        const began = Number(succeeded(await behind(scope, { as }, argv, options)).stdout);
        const marks = (JSON.parse(await said) as [number, number][]).map(([at, bytes]) =>
          [at - began, bytes] as const
        );
        // No sooner than the bucket allows; how much later is the machine's affair, but for another rate.
        for (const [seconds, bytes] of marks) {
          ok(bytes <= burst + rate * seconds, `${bytes} bytes in ${seconds} s`);
        }
        const [seconds, bytes] = marks.findLast(([at]) => at <= SECONDS)!;
        ok(bytes > 0.5 * (burst + rate * seconds), `only ${bytes} bytes in ${seconds} s`);
      }),
  );
}

test(
  "what a tenant may not have does not start, and config check says all of it",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const sluice = scope.binary();
      const pod = file(
        scope,
        "pod.yaml",
        `kind: Pod\nmetadata:\n  annotations:\n    dev.gvisor.flag.qdisc: fifo\n` +
          `    dev.gvisor.flag.qdisc-tbf-rate: "2000000"\n    dev.gvisor.flag.network: host\n`,
      );
      const flags = [...flagsOf(SMALL), "--pod", pod];
      const started = await run([sluice, ...flags, "do", "--", "echo", "started"]);
      strictEqual(started.status, 125);
      strictEqual(started.stdout, "");
      match(
        started.stderr,
        /^sluice: cannot use the configuration: \S+pod\.yaml:6:5: error setting flag network="host"/,
      );
      const checked = await run([sluice, ...flags, "config", "check"]);
      strictEqual(checked.status, 1);
      match(checked.stderr, /setting qdisc="fifo" requires flag "allow-flag-override" to be enabled/);
      match(
        checked.stderr,
        /qdisc-tbf-rate=2000000 exceeds runtime-configured rate 1000000; raising the limit requires/,
      );
      strictEqual(checked.stderr.trimEnd().split("\n").length, 3);
      const lifted = await run([sluice, "--allow-flag-override", ...flags, "do", "--", "echo", "started"]);
      strictEqual(lifted.stdout, "started\n", lifted.stderr);
    }),
);

test(
  "a rate that changes while the guest runs stays below the ceiling",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const user = new User(scope, "tester");
      const tenant = Object.entries(annotations(SMALL)).flatMap((
        [key, value],
      ) => ["--annotation", `${key}=${value}`]);
      await user.guest([...flagsOf(EXAMPLE), ...tenant]);
      const patch = (rate: number) => {
        const body = JSON.stringify({ rate, burst: EXAMPLE.burst });
        const words = ["-X", "PATCH", "-H", "Content-Type: application/json", "-d", body];
        return user.curl("/v1/qdisc/eth0", ...words);
      };
      strictEqual((await patch(EXAMPLE.rate)).status, 200);
      const above = await patch(EXAMPLE.rate + 1);
      strictEqual(above.status, 403);
      match(
        above.body,
        /qdisc-tbf-rate=12500001 exceeds runtime-configured rate 12500000; raising the limit requires/,
      );
    }),
);
