/**
 * Names behind the stack, with dig and the resolver library. Each test has a host of its own, whose resolv.conf names a
 * server that the test starts.
 */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { type Finished, printed, type Scope, withScope } from "../support/e2e.ts";
import { MACHINE, succeeded, USERS } from "../support/guest.ts";
import { Lab } from "../support/lab.ts";

const SERVER = "tests/support/dns_server.ts";

type Run = (script: string, ...flags: string[]) => Promise<Finished>;

/** A lab with a server at each of `hosts`, and a shell behind the stack in it. */
async function names(
  scope: Scope,
  as: { readonly user?: string },
  hosts: readonly string[],
  resolvConf: string,
): Promise<{ lab: Lab; run: Run }> {
  const lab = await Lab.make(scope, resolvConf);
  if (hosts.length > 0) await lab.serve(SERVER, hosts);
  const sluice = scope.binary();
  const run: Run = (script, ...flags) =>
    lab.run([sluice, ...flags, "do", "--", "sh", "-c", script], { ...as, limit: 30_000 });
  return { lab, run };
}

/** Milliseconds; less than the gateway waits for one resolver. */
const AT_ONCE = 1_400;

const DIG = "dig +short +tries=1 +timeout=5";

const TRANSPORTS = [["UDP", "+notcp"], ["TCP", "+tcp"]] as const;
const RESOLVERS = [["127.0.0.1", "IPv4"], ["::1", "IPv6"]] as const;

for (const { name, as } of USERS) {
  test(`the guest finds a name server of each family (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const { run } = await names(scope, as, ["127.0.0.1"], "nameserver 127.0.0.1\n");
      const script = `grep ^nameserver /etc/resolv.conf
        ${DIG} @fd00::3 A www.test; ${DIG} +tcp @fd00::3 A www.test; ${DIG} @10.0.2.3 A www.test`;
      const { stdout } = succeeded(await run(script));
      const address = "198.51.100.7";
      deepStrictEqual(stdout.trim().split("\n"), [
        "nameserver 10.0.2.3",
        "nameserver fd00::3",
        address,
        address,
        address,
      ]);
    }));

  for (const [host, family] of RESOLVERS) {
    for (const [transport, flag] of TRANSPORTS) {
      test(
        `dig asks over ${transport} through a resolver of ${family} (${name})`,
        MACHINE,
        () =>
          withScope(async (scope) => {
            const { run } = await names(scope, as, [host], `nameserver ${host}\n`);
            const script = `dig() { command ${DIG} ${flag} "$@"; }
          dig A www.test; dig AAAA www.test; dig TXT www.test; dig MX www.test; dig A alias.test
          dig TXT large.test | tr -d '" \\n' | wc -c; dig TXT medium.test | wc -l`;
            const { stdout } = succeeded(await run(script));
            deepStrictEqual(stdout.split("\n"), [
              "198.51.100.7",
              "2001:db8::7",
              '"hello world"',
              "10 mail.test.",
              "www.test.",
              "198.51.100.7",
              "4000",
              "10",
              "",
            ]);
          }),
      );
    }
  }

  test(
    `dig comes back over TCP for an answer that is too long (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { run } = await names(scope, as, ["127.0.0.1"], "nameserver 127.0.0.1\n");
        const script = "dig +tries=1 TXT large.test; dig +tries=1 +ignore TXT large.test";
        const { stdout } = succeeded(await run(script));
        match(stdout, /Truncated, retrying in TCP mode/);
        match(stdout, /flags: qr aa tc rd ra;/);
      }),
  );

  test(`dig sees the codes that the server gave (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const { run } = await names(scope, as, ["127.0.0.1"], "nameserver 127.0.0.1\n");
      const script = "dig +tries=1 nowhere.test; dig +tries=1 servfail.test; dig +tcp servfail.test";
      const { stdout } = succeeded(await run(script));
      const codes = [...stdout.matchAll(/status: (\w+)/g)].map(([, code]) => code);
      deepStrictEqual(codes, ["NXDOMAIN", "SERVFAIL", "SERVFAIL"]);
    }));

  test(
    `dig is told SERVFAIL at once when nobody resolves (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { run } = await names(scope, as, [], "nameserver 127.0.0.1\n");
        const { stdout } = succeeded(await run("dig +tries=1 +timeout=9 www.test"));
        match(stdout, /status: SERVFAIL/);
        ok(Number(/Query time: (\d+) msec/.exec(stdout)![1]) < AT_ONCE, stdout);
        const tcp = await run("dig +tcp +tries=1 +timeout=9 www.test");
        match(tcp.stdout, /connection refused/);
      }),
  );

  test(
    `a dead resolver costs nothing, a silent one a moment (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        // Nobody at 127.0.0.2, nobody who answers at 127.0.0.3, and at ::1 the server.
        const resolvers = "nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver ::1\n";
        const { lab, run } = await names(scope, as, ["::1"], resolvers);
        const silent = lab.start(["socat", "-d", "-d", "UDP-RECV:53,bind=127.0.0.3", "STDOUT"]);
        await printed(silent, /starting data transfer loop/, "stderr");
        const dig = "dig +tries=1 +timeout=9 www.test";
        // The one that answered is asked first from then on.
        const { stdout } = succeeded(await run(`${dig}; ${dig}; ${DIG} +tcp www.test`));
        const times = [...stdout.matchAll(/Query time: (\d+) msec/g)].map(([, time]) => Number(time));
        strictEqual(times.length, 2, stdout);
        ok(times[0]! > 1_000, stdout);
        ok(times[1]! < times[0]! && times[1]! < AT_ONCE, stdout);
        match(stdout, /\n198\.51\.100\.7\n$/);
      }),
  );

  test(
    `a question that is never answered fails, and others do not wait for it (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { run } = await names(scope, as, ["127.0.0.1"], "nameserver 127.0.0.1\n");
        const script =
          `dig +tries=1 +timeout=10 silent.test >silent & ${DIG} www.test; wait; cat silent; rm silent`;
        const { stdout } = succeeded(await run(`cd "$(mktemp -d)"; ${script}; rmdir "$PWD"`));
        match(stdout, /^198\.51\.100\.7\n/);
        match(stdout, /status: SERVFAIL/);
      }),
  );

  test(
    `the resolver library and curl find hosts by name (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { lab, run } = await names(scope, as, ["127.0.0.1"], "nameserver 127.0.0.1\nsearch test\n");
        const web = "import http.server as h, socket, sys\n" +
          "class S(h.ThreadingHTTPServer):\n address_family = socket.AF_INET6\n" +
          "s = S(('::', 8080), h.SimpleHTTPRequestHandler); print('ready', flush=True); s.serve_forever()";
        const server = lab.start(["/usr/bin/python3", "-c", web], { cwd: scope.directory() });
        await new Promise((resolve) => server.stdout!.once("data", resolve));
        const curl = "curl -sS -o /dev/null -w '%{http_code} %{remote_ip}\\n' --max-time 9";
        const script =
          `getent ahostsv4 www | head -1 | cut -d' ' -f1; getent ahostsv6 www.test | head -1 | cut -d' ' -f1
      getent hosts nowhere.test; echo $?; ${curl} -4 http://gateway.test:8080/; ${curl} -6 http://gateway:8080/`;
        const { stdout } = succeeded(await run(script, "--host-loopback"));
        deepStrictEqual(stdout.split("\n"), [
          "198.51.100.7",
          "2001:db8::7",
          "2",
          "200 10.0.2.2",
          "200 fd00::2",
          "",
        ]);
      }),
  );
}
