/** The attachment `sockets` and other sandboxes: inside of them, around them, and inside itself. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { run, type Scope, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { succeeded, USERS } from "../support/guest.ts";
import { Lab } from "../support/lab.ts";

const MACHINE = needs("root", "userns", "user:tester", "tool:bwrap", "tool:curl");
const BWRAP = ["bwrap", "--dev-bind", "/", "/"];

/** A web server on the host's loopback; returns what the guest calls it. */
async function hello(scope: Scope): Promise<string> {
  const server = createServer((_, response) => response.end("hello\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://10.0.2.2:${(server.address() as AddressInfo).port}/`;
}

const AROUND: readonly { name: string; around: readonly string[] }[] = [
  { name: "bwrap", around: [...BWRAP, "--unshare-user", "--"] },
  {
    name: "bwrap that forbids user namespaces",
    around: [...BWRAP, "--unshare-user", "--disable-userns", "--"],
  },
  {
    name: "bwrap with a process namespace",
    around: [...BWRAP, "--unshare-user", "--unshare-pid", "--proc", "/proc", "--"],
  },
  { name: "bwrap with its root read-only", around: ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--"] },
];
const INSIDE: readonly { name: string; inside: readonly string[] }[] = [
  { name: "nothing", inside: [] },
  { name: "bwrap", inside: [...BWRAP, "--unshare-user", "--unshare-pid", "--proc", "/proc", "--"] },
  { name: "unshare", inside: ["unshare", "--user", "--map-root-user", "--mount", "--ipc", "--"] },
];

for (const { name, as } of USERS) {
  test(
    `sluice without namespaces answers at the host's resolver's address (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const lab = await Lab.make(scope, "nameserver 127.0.0.1\n");
        await lab.serve("tests/support/dns_server.ts", ["127.0.0.1"]);
        const bare = [...BWRAP, "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--"];
        const sluice = [...bare, scope.binary(), "--attach=sockets", "do", "--"];
        const script = "cat /etc/resolv.conf; getent ahostsv4 www.test | head -1";
        const { stdout } = succeeded(
          await lab.run([...sluice, "sh", "-c", script], { ...as, limit: 20_000 }),
        );
        match(stdout, /^nameserver 127\.0\.0\.1\n198\.51\.100\.7 /);
      }),
  );

  for (const { name: outside, around } of AROUND) {
    test(`sluice in ${outside} has its network (${name})`, MACHINE, () =>
      withScope(async (scope) => {
        const url = await hello(scope);
        const sluice = [scope.binary(), "--attach=sockets", "--host-loopback", "do", "--"];
        const result = await run([...around, ...sluice, "curl", "-sS", url], { ...as, limit: 20_000 });
        strictEqual(succeeded(result).stdout, "hello\n");
      }));
  }
  for (const { name: within, inside } of INSIDE) {
    test(`${within} in sluice has our network (${name})`, MACHINE, () =>
      withScope(async (scope) => {
        const url = await hello(scope);
        const sluice = [scope.binary(), "--attach=sockets", "--host-loopback", "do", "--"];
        const result = await run([...sluice, ...inside, "curl", "-sS", url], { ...as, limit: 20_000 });
        strictEqual(succeeded(result).stdout, "hello\n");
      }));
  }

  test(
    `bwrap --unshare-all in sluice has a loopback and nothing else (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const url = await hello(scope);
        const script = `ip -br addr; curl -sS ${url}; echo $?`;
        const sluice = [scope.binary(), "--attach=sockets", "--host-loopback", "do", "--"];
        const inside = [...BWRAP, "--unshare-all", "--proc", "/proc", "--", "sh", "-c", script];
        const { stdout, stderr } = succeeded(await run([...sluice, ...inside], { ...as, limit: 20_000 }));
        match(stdout, /^lo +UNKNOWN +127\.0\.0\.1\/8 ::1\/128 *\n7\n$/);
        match(stderr, /curl: \(7\)/);
      }),
  );

  test(
    `who makes a network namespace gives its loopback addresses (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const script =
          `ip link set lo up; ip addr add 10.9.9.1/24 dev lo; ip addr add fd09::1/64 dev lo; ip -br addr
        ping -c 1 -W 5 10.9.9.1 >/dev/null; echo $?; ip link set lo down; echo $?`;
        const sluice = [scope.binary(), "--attach=sockets", "do", "--"];
        const inside = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script];
        const { stdout } = succeeded(await run([...sluice, ...inside], { ...as, limit: 20_000 }));
        match(stdout, /^lo +UNKNOWN +127\.0\.0\.1\/8 10\.9\.9\.1\/24 ::1\/128 fd09::1\/64 *\n0\n0\n$/);
      }),
  );

  test(
    `sluice in sluice says that a listener is there already (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const binary = scope.binary();
        const sluice = [binary, "--attach=sockets", "--api=off", "do", "--"];
        // The usual place for files of instances is hidden from guests; there are others.
        const result = await run([...sluice, binary, "do", "--", "true"], { ...as, limit: 20_000 });
        strictEqual(result.status, 125, result.stderr);
        match(
          result.stderr,
          /a seccomp supervisor watches us already \(if that is sluice, start that one with/,
        );
      }),
  );
}

test(
  "the loopback of a network that the guest makes takes 256 addresses",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const script =
        "seq 1 255 | sed 's|.*|addr add 10.1.0.&/32 dev lo|' | ip -batch -; ip -o addr show dev lo | wc -l";
      const sluice = [scope.binary(), "--attach=sockets", "--network=none", "do", "--"];
      const result = await run([
        ...sluice,
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        script,
      ]);
      strictEqual(result.stdout, "256\n", result.stderr);
      match(result.stderr, /^RTNETLINK answers: No buffer space available\nCommand failed -:255\n$/);
    }),
);
