/**
 * Who administers the guest's network, and what comes of it: `ip`, busybox and `ip monitor` change the stack and hear of it,
 * and what is the operator's stays so.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Finished, type RunOptions, type Scope, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { behind, succeeded, USERS } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";

const MACHINE = needs("root", "userns", "user:tester", "tool:curl", "tool:busybox");

function guest(
  scope: Scope,
  as: RunOptions,
  argv: readonly string[],
  flags: string[] = [],
): Promise<Finished> {
  return behind(scope, { as }, argv, { flags: ["--attach=sockets", ...flags] });
}

/** A web server on the host's loopback that answers with the address it was asked from. */
async function hello(scope: Scope): Promise<string> {
  const server = createServer((_, response) => response.end("hello\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://10.0.2.2:${(server.address() as AddressInfo).port}/`;
}

for (const { name: user, as } of USERS) {
  // Root is root of the guest's user namespace; another user becomes it in one of his own.
  const root = user === "root" ? [] : ["unshare", "--user", "--map-root-user"];

  test(
    `ip changes addresses, routes, neighbours and links (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const url = await hello(scope);
        const script = `
        ip addr add 10.0.2.77/24 dev eth0
        curl -sS --interface 10.0.2.77 ${url}
        ip addr add 10.0.2.77/24 dev eth0
        ip addr del 10.0.2.78/24 dev eth0
        ip route add 10.9.0.0/16 via 10.0.2.9
        ip route add 10.8.0.0/16 via 99.0.0.1
        ip route del 10.7.0.0/16
        ip neigh add 10.0.2.9 lladdr 02:00:00:00:00:09 dev eth0
        ip link set eth0 name wan0
        ip link add dummy0 type dummy && ip addr add 10.20.0.1/24 dev dummy0 && ip link set dummy0 up
        ip -br -4 addr; ip -4 route; ip neigh show dev eth0 nud permanent
        ip link set eth0 mtu 1400 txqueuelen 50 address 02:00:00:00:00:55
        curl -sS ${url}
        ip link del dummy0
        ip link set eth0 down; curl -sS ${url}; ip link set eth0 up
        ip route add default via 10.0.2.2; curl -sS ${url}
        ip addr flush dev eth0; ip -br addr show eth0`;
        const flags = ["--host-loopback"];
        const { stdout, stderr } = succeeded(await guest(scope, as, [...root, "sh", "-c", script], flags));
        strictEqual(
          stdout.replace(/ +$/gm, ""),
          `hello
lo               UNKNOWN        127.0.0.1/8
eth0             UP             10.0.2.100/24 10.0.2.77/24
dummy0           UNKNOWN        10.20.0.1/24
default via 10.0.2.2 dev eth0 proto static
10.0.2.0/24 dev eth0 proto kernel scope link src 10.0.2.100
10.9.0.0/16 via 10.0.2.9 dev eth0
10.20.0.0/24 dev dummy0 proto kernel scope link src 10.20.0.1
10.0.2.9 lladdr 02:00:00:00:00:09 PERMANENT
hello
hello
eth0             UP
`,
        );
        const errors = stderr.split("\n").filter((line) => /^(Error|RTNETLINK|curl)/.test(line));
        deepStrictEqual(errors.map((line) => line.replace(/ after \d+ ms/, "")), [
          "Error: ipv4: Address already assigned.",
          "Error: ipv4: Address not found.",
          "Error: Nexthop has invalid gateway.",
          "RTNETLINK answers: No such process",
          "Error: sluice: the operator knows eth0 by this name.",
          `curl: (7) Failed to connect to 10.0.2.2 port ${new URL(url).port}: Couldn't connect to server`,
        ]);
      }),
  );

  test(
    `busybox' ifconfig and route change the stack by ioctl (${user})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const script = `
        busybox ifconfig eth0 10.5.0.9 netmask 255.255.255.0 mtu 1300
        busybox ifconfig eth0:1 192.168.9.1 netmask 255.255.255.0
        busybox route add -net 10.9.0.0 netmask 255.255.0.0 gw 10.5.0.1
        busybox route del default
        busybox ip addr add 10.77.0.1/24 dev eth0
        ip -br -4 addr show eth0; ip -4 route; ip -o link show eth0 | grep -o 'mtu [0-9]*'`;
        const { stdout } = succeeded(await guest(scope, as, [...root, "sh", "-c", script]));
        match(stdout, /^eth0 +UP +10\.5\.0\.9\/24 192\.168\.9\.1\/24 10\.77\.0\.1\/24 *\n/);
        match(stdout, /^10\.9\.0\.0\/16 via 10\.5\.0\.1 dev eth0 *$/m);
        match(stdout, /^mtu 1300$/m);
        strictEqual(stdout.includes("default"), false);
      }),
  );

  test(`ip monitor hears of changes (${user})`, MACHINE, () =>
    withScope(async (scope) => {
      // The first change is repeated until the monitor, which has joined its groups by then, has told of it.
      const script = `
        exec 3<>"$1"; ip monitor address route neigh >&3 & monitor=$!
        while ! read -t 0.2 line <&3; do ip neigh replace 10.0.2.9 lladdr 02:00:00:00:00:09 dev eth0; ip neigh del 10.0.2.9 dev eth0; done
        ip addr add 10.7.7.7/32 dev eth0; ip route add 10.9.0.0/16 via 10.0.2.2; ip route del 10.9.0.0/16
        while read line <&3; do echo "$line"; case "$line" in Deleted*10.9.0.0*) break;; esac; done
        kill $monitor`;
      const fifo = `${scope.directory()}/events`;
      succeeded(await guest(scope, {}, ["mkfifo", "-m", "666", fifo]));
      const argv = [...root, "bash", "-c", script, "bash", fifo];
      const { stdout } = succeeded(await guest(scope, as, argv));
      match(stdout, /^2: eth0 +inet 10\.7\.7\.7\/32 scope global eth0$/m);
      match(stdout, /^local 10\.7\.7\.7 dev eth0 table local proto kernel scope host src 10\.7\.7\.7 *$/m);
      match(
        stdout,
        /^10\.9\.0\.0\/16 via 10\.0\.2\.2 dev eth0 *\nDeleted 10\.9\.0\.0\/16 via 10\.0\.2\.2 dev eth0 *$/m,
      );
    }));
}

test(
  "the right is over one's own network, and comes from one's own user namespace",
  MACHINE,
  () =>
    withScope(async (scope) => {
      // Another user than the guest's, whom its root has made, makes himself root of a user namespace.
      const stranger = "setpriv --reuid=1001 --regid=1001 --clear-groups unshare --user --map-root-user";
      const script = `
      ${stranger} ip addr add 10.0.2.77/24 dev eth0; echo $?
      ${stranger} --net sh -c 'ip addr add 10.0.2.78/24 dev lo; echo $?'
      unshare --user --map-root-user --net sh -c '
        ip link add d0 type dummy; echo $?
        unshare --user --map-root-user ip link del d0 2>/dev/null; echo $?
        ip link del d0; echo $?'
      ip -br -4 addr show eth0`;
      const { stdout } = succeeded(await guest(scope, {}, ["sh", "-c", script]));
      match(stdout, /^2\n0\n0\n2\n0\neth0 +UP +10\.0\.2\.100\/24 *\n$/);
    }),
);

test("ss tells whose a socket is, and which program has it", MACHINE, () =>
  withScope(async (scope) => {
    const script = `import socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 7777))
subprocess.run(["ss", "-Htlnpe"], check=True)`;
    const rows = [
      { as: { user: "tester" }, flags: [], argv: [] },
      {
        as: { user: "tester" },
        flags: ["--network=tsi", `--publish=127.0.0.1:${await freePort()}:7777`],
        argv: [],
      },
      { as: {}, flags: [], argv: ["setpriv", "--reuid=1001", "--regid=1001", "--clear-groups"] },
    ];
    for (const { as, flags, argv } of rows) {
      const asked = [...argv, "/usr/bin/python3", "-c", script];
      const { stdout } = succeeded(await guest(scope, as, asked, flags));
      match(stdout, /users:\(\("python3",pid=\d+,fd=3\)\) uid:\d+ ino:[1-9]/, flags.join(" "));
    }
  }));
