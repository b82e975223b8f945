/** Servers behind the stack, reached through published ports of a host that the test makes. */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { printed, type Scope, withScope } from "../support/e2e.ts";
import { MACHINE, succeeded, USERS } from "../support/guest.ts";
import { Lab, LAB4, LAB6, WORLD4, WORLD6 } from "../support/lab.ts";
import { payload } from "../support/payload.ts";

type As = { readonly user?: string };

/** The host's address, how a client's shows behind it, and how python and socat name the family. */
const FAMILIES = [
  {
    name: "IPv4",
    any: "0.0.0.0",
    loopback: "127.0.0.1",
    gateway: "10.0.2.2",
    lab: LAB4,
    world: WORLD4,
    python: "AF_INET",
  },
  {
    name: "IPv6",
    any: "::",
    loopback: "[::1]",
    gateway: "fd00::2",
    lab: `[${LAB6}]`,
    world: WORLD6,
    python: "AF_INET6",
  },
] as const;

const PORT = 8000;

/** A program behind the stack with published ports, once it has printed `ready`. */
async function publish(
  lab: Lab,
  scope: Scope,
  as: As,
  ports: readonly string[],
  argv: readonly string[],
): Promise<ChildProcess> {
  const flags = ports.flatMap((port) => ["-p", port]);
  const session = lab.start([scope.binary(), ...flags, "do", "--", ...argv], as);
  let errors = "";
  session.stderr!.on("data", (chunk: Uint8Array) => errors += new TextDecoder().decode(chunk));
  await printed(session, /^ready/m).catch((error) => {
    throw new Error(`${error.message}\n${errors}`);
  });
  return session;
}

/** Tells everybody who connects where they come from. */
const WHO_TCP = (family: string, any: string) => [
  "/usr/bin/python3",
  "-c",
  `import socket
s = socket.socket(socket.${family}); s.bind(('${any}', ${PORT})); s.listen(); print('ready', flush=True)
while True:
    c, a = s.accept(); c.sendall(f'{a[0]} {a[1]}\\n'.encode()); c.close()`,
];

const WHO_UDP = (family: string, any: string) => [
  "/usr/bin/python3",
  "-c",
  `import socket
s = socket.socket(socket.${family}, socket.SOCK_DGRAM); s.bind(('${any}', ${PORT})); print('ready', flush=True)
while True:
    d, a = s.recvfrom(65536); s.sendto(f'{a[0]} {len(d)}\\n'.encode(), a)`,
];

for (const { name: user, as } of USERS) {
  for (const { name, any, loopback, gateway, lab: labAddress, world, python } of FAMILIES) {
    test(
      `python's web server is reached through a published port over ${name} (${user})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          const directory = scope.directory();
          writeFileSync(join(directory, "big"), payload(8 * 1024 * 1024));
          const server =
            `cd ${directory}; echo ready; exec /usr/bin/python3 -u -m http.server --bind ${any} ${PORT}`;
          await publish(lab, scope, as, [`${loopback}:18080:${PORT}`], ["sh", "-c", server]);
          // The server may still be starting: until it listens, a connection is refused.
          const fetch = ["curl", "-sS", "-g", "--retry", "40", "--retry-connrefused", "--retry-all-errors"];
          const argv = [...fetch, "--retry-delay", "1", `http://${loopback}:18080/big`];
          const script = `${argv.join(" ")} | sha256sum; sha256sum <${directory}/big`;
          const { stdout } = succeeded(await lab.run(["sh", "-c", script]));
          const [ours, want] = stdout.trim().split("\n");
          strictEqual(ours, want);
        }),
    );

    test(`a server sees who connects over ${name} (${user})`, MACHINE, () =>
      withScope(async (scope) => {
        const lab = await Lab.make(scope);
        await publish(lab, scope, as, [`18080:${PORT}`], WHO_TCP(python, any));
        const bind = name === "IPv4" ? world : `[${world}]`;
        const client = `TCP${name === "IPv4" ? 4 : 6}:${labAddress}:18080,bind=${bind}:45678,reuseaddr`;
        strictEqual(await answer(lab.startOutside(["socat", "-u", client, "STDOUT"])), `${world} 45678\n`);
        // The host's own loopback means nothing to the guest; such a client is the gateway's.
        const local = `TCP${name === "IPv4" ? 4 : 6}:${loopback}:18080`;
        match(await answer(lab.start(["socat", "-u", local, "STDOUT"])), new RegExp(`^${gateway} \\d+\\n$`));
      }));

    test(`a UDP server sees who asks over ${name} (${user})`, MACHINE, () =>
      withScope(async (scope) => {
        const lab = await Lab.make(scope);
        await publish(lab, scope, as, [`18080:${PORT}/udp`], WHO_UDP(python, any));
        const ask = (address: string) =>
          `import socket
s = socket.socket(socket.${python}, socket.SOCK_DGRAM); s.settimeout(9); s.connect(('${address}', 18080))
for size in (10, 1400, 9000, 60000):
    s.send(b'x' * size); print(s.recv(100).decode(), end='')`;
        const bare = (address: string) => address.replace(/[[\]]/g, "");
        const python3 = (address: string) => ["/usr/bin/python3", "-c", ask(bare(address))];
        const outside = await answer(lab.startOutside(python3(labAddress)));
        deepStrictEqual(outside, [10, 1400, 9000, 60000].map((size) => `${world} ${size}\n`).join(""));
        match(await answer(lab.start(python3(loopback))), new RegExp(`^(${gateway} \\d+\\n){4}$`));
      }));
  }

  test(`a range of ports is published, each on its own (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      const server = `const { createServer } = require("node:net");
      let waiting = 3;
      for (const port of [9000, 9001, 9002]) {
        createServer((client) => client.end(port + "\\n"))
          .listen(port, () => { if (--waiting === 0) console.log("ready"); });
      }`;
      await publish(lab, scope, as, ["127.0.0.1:18000-18002:9000-9002"], ["node", "-e", server]);
      const script = "for p in 18000 18001 18002; do socat -u TCP4:127.0.0.1:$p STDOUT; done";
      strictEqual(succeeded(await lab.run(["sh", "-c", script])).stdout, "9000\n9001\n9002\n");
    }));

  test(`a published port without a server is refused (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      await publish(lab, scope, as, ["127.0.0.1:18080:8000"], ["sh", "-c", "echo ready; exec cat"]);
      const result = await lab.run(["curl", "-sS", "--max-time", "9", "http://127.0.0.1:18080/"]);
      // The host's kernel has accepted by then: the guest's refusal can only arrive as a reset, be it before curl has looked.
      strictEqual(result.stdout, "");
      match(result.stderr, /reset|refused|Empty reply|Couldn't connect/i);
    }));

  test(
    `a port that is taken is one line and status 125 (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const lab = await Lab.make(scope);
        const taken = lab.start(["socat", "-d", "-d", "TCP4-LISTEN:18080,bind=127.0.0.1,fork", "STDOUT"]);
        await printed(taken, /listening on/, "stderr");
        const argv = [scope.binary(), "-p", "127.0.0.1:18080:8000", "do", "--", "echo", "never"];
        const result = await lab.run(argv, { ...as, limit: 20_000 });
        strictEqual(result.status, 125, result.stderr);
        strictEqual(result.stdout, "");
        match(result.stderr, /^sluice: .*127\.0\.0\.1:18080.*address already in use.*\n$/);
      }),
  );
}

/** Everything a program prints; it must end well. */
async function answer(child: ChildProcess): Promise<string> {
  let stdout = "";
  let stderr = "";
  child.stdout!.on("data", (chunk: Uint8Array) => stdout += new TextDecoder().decode(chunk));
  child.stderr!.on("data", (chunk: Uint8Array) => stderr += new TextDecoder().decode(chunk));
  strictEqual(await new Promise((resolve) => child.once("close", resolve)), 0, stderr);
  return stdout;
}
