/**
 * One policy by flags, by Docker's daemon.json, by an annotation under a ceiling, by a pod's manifest and by a bundle:
 * each shapes what leaves the guest, on both attachments; what a tenant may not have does not start.
 */

import { test } from "node:test";
import { match, ok, strictEqual } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { run, type Scope, withScope } from "../support/e2e.ts";
import { User } from "../support/user.ts";
import { behind, IPV4, MACHINE, succeeded, USERS } from "../support/guest.ts";

/** Seconds that a guest sends; long enough for the rate to weigh more than the burst. */
const SECONDS = 1.2;

/** Sends for some seconds, then tells how much of it was taken. */
const SENDER = `
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end: s.sendall(bytes(16384))
s.close()
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

/** Listens on the host's loopback; tells what had arrived at every moment since the connection came. */
async function sink(
  scope: Scope,
): Promise<{ readonly port: number; readonly marks: [seconds: number, bytes: number][] }> {
  const marks: [number, number][] = [];
  const server = createServer((socket: Socket) => {
    const began = performance.now();
    let bytes = 0;
    socket.on("data", (chunk: Uint8Array) => {
      bytes += chunk.length;
      marks.push([(performance.now() - began) / 1000, bytes]);
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, IPV4.host, resolve));
  scope.defer(() => void server.close());
  return { port: (server.address() as { port: number }).port, marks };
}

for (const [i, [name, { rate, burst }, flags]] of SOURCES.entries()) {
  // Each source once, each attachment and each user several times.
  const attach = ["tap", "sockets"][i % 2]!;
  const { name: user, as } = USERS[(i >> 1) % 2]!;
  test(
    `what leaves the guest is shaped by ${name} (${attach}, ${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { port, marks } = await sink(scope);
        const argv = ["python3", "-c", SENDER, IPV4.gateway, `${port}`, `${SECONDS}`];
        succeeded(await behind(scope, { as }, argv, { flags: [...flags(scope), `--attach=${attach}`] }));
        for (const [seconds, bytes] of marks) {
          ok(bytes <= burst + rate * (seconds + 0.02), `${bytes} bytes in ${seconds} s`);
        }
        const [seconds, bytes] = marks.findLast(([at]) => at <= SECONDS)!;
        ok(bytes > 0.8 * (burst + rate * seconds), `only ${bytes} bytes in ${seconds} s`);
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
