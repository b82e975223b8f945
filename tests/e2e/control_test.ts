/** The control API and the commands that read it, against a guest that runs. */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { printed, run, start, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { freePort } from "../support/ports.ts";
import { User } from "../support/user.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester", "tool:curl", "tool:jq");
const TSHARK = needs("root", "tun", "userns", "user:tester", "tool:tshark");

const SERVER = `python3 -c '
import socket
s = socket.create_server(("0.0.0.0", 8080))
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"from the guest\\n")
    c.close()
'`;

for (const name of ["root", "tester"]) {
  test(`every resource of the API answers in JSON (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const user = new User(scope, name);
      await user.guest(["--id", "alpha"]);
      strictEqual(statSync(await user.socket()).mode & 0o777, 0o600);
      for (const resource of ["addr", "link", "route", "neigh", "qdisc", "sockets", "flows", "forwards"]) {
        const { status, body } = await user.curl(`/v1/${resource}`);
        strictEqual(status, 200, body);
        ok(Array.isArray(JSON.parse(body)), body);
      }
      for (const resource of ["/v1/stats", "/v1/config", "/v1/health", "/openapi.json"]) {
        const { status, body } = await user.curl(resource);
        strictEqual(status, 200, body);
        strictEqual(typeof JSON.parse(body), "object");
      }
      match((await user.curl("/metrics")).body, /^sluice_info\{id="alpha"/m);
      match((await user.curl("/")).body, /^<!doctype html>/i);
      strictEqual((await user.curl("/v1/none")).status, 404);
      const events = ["curl", "-sSN", "--unix-socket", await user.socket(), "http://sluice/v1/events"];
      await printed(start(scope, events, user.options), /hello/);
      strictEqual((await user.curl("/v1/addr", "-H", "Host: evil.example")).status, 403);
    }));

  test(`ip, tc and ss print as text and as JSON (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const user = new User(scope, name);
      // The stack that is shown is the gateway's.
      await user.guest(["--attach=tap", "--id", "alpha"]);
      const COMMANDS: [words: string[], text: RegExp][] = [
        [["ip", "addr"], /inet 10\.0\.2\.2\/24/],
        [["ip", "link"], /eth0: .*mtu 65520/],
        [["ip", "route"], /^10\.0\.2\.0\/24 dev eth0/m],
        [["ip", "neigh"], /^/],
        [["tc", "-s", "qdisc"], /dev eth0 root.*\n Sent \d+ bytes/],
        [["ss", "-uan"], /10\.0\.2\.3:53/],
      ];
      for (const [words, text] of COMMANDS) {
        const plain = await user.run(...words);
        strictEqual(plain.status, 0, plain.stderr);
        match(plain.stdout, text);
        const [command, ...rest] = words;
        const json = await user.run(command!, "-j", ...rest, "al");
        strictEqual(json.status, 0, json.stderr);
        ok(Array.isArray(JSON.parse(json.stdout)));
      }
    }));

  test(
    `a port is published and withdrawn while the guest runs (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const user = new User(scope, name);
        await user.guest([], SERVER);
        const port = await freePort();
        const body = JSON.stringify({ spec: `127.0.0.1:${port}:8080` });
        const json = ["-H", "Content-Type: application/json", "-d", body];
        const added = await user.curl("/v1/forwards", "-X", "POST", ...json);
        strictEqual(added.status, 201, added.body);
        const client = () =>
          run([
            "python3",
            "-c",
            `import socket; print(socket.create_connection(("127.0.0.1", ${port}), 5).recv(99))`,
          ]);
        match((await client()).stdout, /from the guest/);
        strictEqual((await user.curl("/v1/forwards", "-X", "POST", ...json)).status, 409);
        strictEqual((await user.curl("/v1/forwards", "-X", "DELETE", ...json)).status, 200);
        match((await client()).stderr, /ConnectionRefusedError/);
      }),
  );

  test(
    `the rate of tbf is changed while the guest runs (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const user = new User(scope, name);
        await user.guest(["--qdisc=tbf", "--qdisc-tbf-rate=1000000", "--qdisc-tbf-burst=100000"]);
        const body = JSON.stringify({ rate: 500_000, burst: 90_000 });
        const words = ["-X", "PATCH", "-H", "Content-Type: application/json", "-d", body];
        const patched = await user.curl("/v1/qdisc/eth0", ...words);
        strictEqual(patched.status, 200, patched.body);
        const shown = JSON.parse((await user.run("tc", "-j", "qdisc")).stdout).find((one: { dev: string }) =>
          one.dev === "eth0"
        );
        strictEqual(shown.options.rate, 500_000);
      }),
  );

  test(`a guest cannot reach the API (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const user = new User(scope, name);
      const look = `d=$XDG_RUNTIME_DIR/sluice; ls -A "$d"; cat /proc/net/unix | grep -c '@'
        for p in $PPID $(cut -d' ' -f4 /proc/$PPID/stat); do ls -A /proc/$p/root$d 2>/dev/null; done
        umount "$d" 2>/dev/null; unshare -Um sh -c "umount $d; ls -A $d" 2>/dev/null; echo over`;
      const guest = await run([user.sluice, "do", "--", "sh", "-c", look], user.options);
      // Root in a guest is root on the machine: from it the directory is only hidden.
      if (name === "root") match(guest.stdout, /^0\n/);
      else strictEqual(guest.stdout, "0\nover\n", guest.stderr);
    }));

  test(`the API on TCP wants its token (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const user = new User(scope, name);
      const argv = [user.sluice, "--api", "127.0.0.1:0", "do", "--", "sleep", "1000"];
      const child = start(scope, argv, user.options);
      const said = await printed(child, /control API at \S+\n/, "stderr");
      const [, url, token] = /at (http:\/\/127\.0\.0\.1:\d+)\/\?token=(\w+)/.exec(said)!;
      const ask = async (...words: string[]) =>
        (await run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", ...words, `${url}/v1/addr`]))
          .stdout;
      strictEqual(await ask(), "401");
      strictEqual(await ask("-H", "Authorization: Bearer wrong"), "401");
      strictEqual(await ask("-H", `Authorization: Bearer ${token}`), "200");
      match((await user.run("ip", "addr")).stdout, /10\.0\.2\.2/);
    }));

  test(`instances have names (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const user = new User(scope, name);
      strictEqual((await user.run("ls", "-j")).stdout.trim(), "[]");
      match((await user.run("ip", "addr")).stderr, /^sluice: cannot find an instance: none runs \(.*\)\n$/);
      await user.guest(["--id", "alpha"]);
      await user.guest(["--id", "beta"]);
      const listed = JSON.parse((await user.run("ls", "-j")).stdout);
      deepStrictEqual(listed.map(({ id }: { id: string }) => id).sort(), ["alpha", "beta"]);
      match((await user.run("ls")).stdout, /^alpha .*\n.*sleep 1000/m);
      match((await user.run("ip", "addr", "b")).stdout, /10\.0\.2\.2/);
      const unclear = await user.run("ip", "addr");
      strictEqual(unclear.status, 2);
      match(unclear.stderr, /^sluice: cannot tell which instance is meant: running are .*\n$/);
      const twice = await user.run("--id", "alpha", "do", "--", "true");
      strictEqual(twice.status, 125);
      match(twice.stderr, /^sluice: cannot use id alpha: an instance of that name runs .*\n$/);
    }));

  test(
    `--api off leaves nothing to ask, and ls still lists (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const user = new User(scope, name);
        await user.guest(["--api", "off", "--id", "quiet"]);
        const [one] = JSON.parse((await user.run("ls", "-j")).stdout);
        strictEqual(one?.id, "quiet");
        strictEqual(one.api, null);
        match((await user.run("ip", "addr")).stderr, /^sluice: cannot ask quiet: it runs with --api off\n$/);
      }),
  );

  test(
    `--pcap-log is a capture that tshark reads, --log-packets a line per packet (${name})`,
    TSHARK,
    () =>
      withScope(async (scope) => {
        const user = new User(scope, name);
        const place = user.options.env!["XDG_RUNTIME_DIR"]!;
        const capture = join(place, "a.pcapng"), log = join(place, "a.log");
        const flags = ["--pcap-log", capture, "--log-packets", "--debug-log", log, "--log-format", "json"];
        const result = await user.run(...flags, "do", "--", "ping", "-q", "-c2", "-i0.2", "10.0.2.2");
        strictEqual(result.status, 0, result.stderr);
        const read = await run([
          "tshark",
          "-n",
          "-r",
          capture,
          "-Y",
          "icmp",
          "-T",
          "fields",
          "-e",
          "icmp.type",
        ]);
        strictEqual(read.stdout, "8\n0\n8\n0\n", read.stderr);
        strictEqual(read.stderr.replace(/^Running as user.*\n/, ""), "");
        const lines = readFileSync(log, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
        strictEqual(lines.filter(({ msg }) => /ICMP echo request/.test(msg)).length, 2);
        strictEqual(lines.filter(({ msg }) => /ICMP echo reply/.test(msg)).length, 2);
      }),
  );
}

test("flows show what the guest talks to, while it does", MACHINE, () =>
  withScope(async (scope) => {
    const user = new User(scope, "tester");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    scope.defer(() => void server.close());
    server.on("connection", (socket) => socket.on("error", () => {}));
    const { port } = server.address() as { port: number };
    const script = `exec 3<>/dev/tcp/10.0.2.2/${port}; echo ready; exec sleep 1000`;
    const argv = [user.sluice, "--attach=tap", "--host-loopback", "do", "--", "bash", "-c", script];
    await printed(start(scope, argv, user.options), /ready/);
    const { body } = await user.curl("/v1/flows");
    match(body, new RegExp(`${port}`));
    match(
      (await user.run("ss", "-tn")).stdout,
      new RegExp(`ESTAB.*10\\.0\\.2\\.2:${port}.*10\\.0\\.2\\.100:`),
    );
  }));

test("config show names the origin of every value", () =>
  withScope(async (scope) => {
    const user = new User(scope, "root");
    const { stdout, status } = await user.run("--mtu=9000", "config", "show");
    strictEqual(status, 0);
    match(stdout, /^mtu\s.*9000\s.*(flag|command line)/m);
    match(stdout, /^network\s.*sandbox-passthrough\s.*default/m);
    strictEqual(JSON.parse((await user.run("config", "show", "-j")).stdout).mtu.value, 65520);
  }));

test("version and help answer", () =>
  withScope(async (scope) => {
    const user = new User(scope, "root");
    match((await user.run("version")).stdout, /^sluice \d+\.\d+\.\d+ \(bun /);
    strictEqual((await user.run("--version")).stdout, (await user.run("version")).stdout);
    match((await user.run("help")).stdout, /^usage: sluice /m);
    match((await user.run("help", "attach")).stdout, /--netns PATH/);
    match((await user.run("do", "--help")).stdout, /^usage: sluice \[flags\] do/m);
  }));
