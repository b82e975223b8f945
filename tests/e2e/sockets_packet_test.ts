/**
 * Packet sockets on the attachment `sockets`, with `--net-raw`: those of a kernel, on the interface of the guest's stack. And
 * what `/proc/net` and `/sys/class/net` show of it, without.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { printed, PROJECT, run, type RunOptions, start, withScope } from "../support/e2e.ts";
import { behind, succeeded, USERS } from "../support/guest.ts";
import { needs } from "../support/capability.ts";

const MACHINE = needs("root", "tun", "userns", "user:tester", "netns", "tool:python3");
const RAW = ["--net-raw"];
const GUEST_MAC = "5a94efe40cee", GATEWAY_MAC = "5a94efe40cdd";

/** A program of tests/attach/sockets, as an ordinary user can run it. */
function python(name: string, ...args: readonly string[]): string[] {
  return [
    "/usr/bin/python3",
    "-c",
    readFileSync(join(PROJECT, "tests/attach/sockets", name), "utf8"),
    ...args,
  ];
}

/** What tcpdump and arping do, and what a shell must do to see it: it listens before the question is asked. */
const CAPTURE = `
cd "$(mktemp -d)"; mkfifo said
tcpdump --immediate-mode -U -n -Z "$(id -un)" -i eth0 -c 2 -w captured 2>said &
exec 3<said
read -r line <&3
arping -c 1 -w 5 -I eth0 10.0.2.2
wait $!
tcpdump -n -r captured 2>/dev/null
rm -r "$PWD"
`;
const SHOWN = `
busybox ifconfig eth0
busybox route -n
sort /proc/net/if_inet6
cd /sys/class/net
ls
cat eth0/address eth0/mtu eth0/operstate eth0/statistics/rx_bytes
`;

/** What packet_wire.py finds; the same for everybody. */
const ANSWER = `('eth0', '0x806', 0, '${GATEWAY_MAC}', 2, '0a000202')`;
const WIRE = [
  "interfaces ['eth0', 'lo'] 5a:94:ef:e4:0c:ee",
  `seen eth0 0x806 4 ${GUEST_MAC} 42`,
  `seen eth0 0x806 0 ${GATEWAY_MAC} 42`,
  `seen eth0 0x800 4 ${GUEST_MAC} 98`,
  `seen eth0 0x800 0 ${GATEWAY_MAC} 98`,
  ...["send 42", "sendto 42", "sendmsg 42", "cooked 28"].flatMap((how) => [
    `${how} ${ANSWER} ${ANSWER}`,
    "the sniffer [4, 0]",
  ]),
  "that was all",
  "counted 4",
];

for (const { name, as } of USERS) {
  test(
    `packet sockets are those of a kernel's loopback (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const host = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"];
        const [kernel, ours] = await Promise.all([
          run([...host, ...python("packet.py")], { limit: 20_000 }),
          behind(scope, { as }, python("packet.py"), { flags: RAW }),
        ]);
        strictEqual(succeeded(ours).stdout, succeeded(kernel).stdout);
      }),
  );

  test(`packet sockets see and send the frames of eth0 (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const { stdout } = succeeded(await behind(scope, { as }, python("packet_wire.py"), { flags: RAW }));
      deepStrictEqual(stdout.trim().split("\n"), WIRE);
    }));

  test(
    `tcpdump and arping work with --net-raw (${name})`,
    needs("root", "tun", "userns", "user:tester", "tool:tcpdump", "tool:arping"),
    () =>
      withScope(async (scope) => {
        const { stdout } = succeeded(await behind(scope, { as }, ["sh", "-c", CAPTURE], { flags: RAW }));
        match(stdout, /Unicast reply from 10\.0\.2\.2 \[5A:94:EF:E4:0C:DD\]/);
        match(stdout, /who-has 10\.0\.2\.2 .*tell 10\.0\.2\.100/);
        match(stdout, /Reply 10\.0\.2\.2 is-at 5a:94:ef:e4:0c:dd/);
      }),
  );

  test(
    `ifconfig, route and /sys/class/net show the interface (${name})`,
    needs("root", "tun", "userns", "user:tester", "tool:busybox"),
    () =>
      withScope(async (scope) => {
        const { stdout } = succeeded(await behind(scope, { as }, ["sh", "-c", SHOWN]));
        match(stdout, /eth0 .*HWaddr 5A:94:EF:E4:0C:EE/);
        match(stdout, /inet addr:10\.0\.2\.100 .*Mask:255\.255\.255\.0/);
        match(stdout, /^0\.0\.0\.0 +10\.0\.2\.2 +0\.0\.0\.0 +UG .*eth0$/m);
        match(stdout, /^10\.0\.2\.0 +0\.0\.0\.0 +255\.255\.255\.0 +U .*eth0$/m);
        match(stdout, /\nfd0{28}64 02 40 00 82 +eth0\nfe800000000000005894effffee40cee 02 40 20 82 +eth0\n/);
        match(stdout, /\neth0\nlo\n5a:94:ef:e4:0c:ee\n65520\nup\n\d+\n$/);
      }),
  );
}

/** Where no attempt may succeed, and what each comes to. */
const SITUATIONS: readonly { name: string; as: RunOptions; around: readonly string[]; outcomes: object }[] = [
  {
    name: "tester",
    as: { user: "tester" },
    around: [],
    outcomes: { "packet socket": "works", "the host's namespace": "EACCES" },
  },
  // It may enter any namespace, and finds that it has nothing there.
  {
    name: "root",
    as: {},
    around: [],
    outcomes: { "packet socket": "works", "the host's namespace": "EAFNOSUPPORT" },
  },
  {
    name: "tester, seccomp alone",
    as: { user: "tester" },
    around: ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--disable-userns", "--"],
    outcomes: { "packet socket": "EAFNOSUPPORT", "the host's namespace": "EACCES" },
  },
];

for (const { name, as, around, outcomes } of SITUATIONS) {
  test(
    `packet_escape.py finds no frame of the host (${name})`,
    needs("root", "tun", "userns", "user:tester", "tool:python3", "tool:bwrap"),
    () =>
      withScope(async (scope) => {
        const marker = `sluice-packet-${process.pid}`;
        const host = createSocket("udp4");
        let reached = 0;
        host.on("message", () => reached++);
        await new Promise<void>((resolve) => host.bind(0, "127.0.0.1", resolve));
        scope.defer(() => void host.close());
        const network = `/proc/${process.pid}/ns/net`;
        const script = python("packet_escape.py", marker, network, String(host.address().port));
        const sluice = [scope.binary(), ...RAW, "--api=off", "do", "--", ...script];
        const guest = start(scope, [...around, ...sluice], as);
        const works = "packet socket" in outcomes && outcomes["packet socket"] === "works";
        const ended = new Promise<number | null>((resolve) => guest.once("close", resolve));
        let said = "";
        guest.stdout!.on("data", (chunk: Uint8Array) => said += new TextDecoder().decode(chunk));
        if (works) {
          await printed(guest, /listening/);
          for (let i = 0; i < 10; i++) {
            await new Promise((resolve) => host.send(marker, 9, "127.0.0.1", resolve));
          }
        }
        guest.stdin!.end();
        strictEqual(await ended, 0, said);
        deepStrictEqual(Object.fromEntries(said.trim().split("\n").map((line) => line.split(": "))), {
          ...outcomes,
          // bubblewrap forbids user namespaces to who is without one of ours.
          "own user and network namespace": works ? "EAFNOSUPPORT" : "unshare ENOSPC",
          "own user namespace": works ? "EPERM" : "unshare ENOSPC",
          ...(works
            ? {
              // Port unreachable, as for every other datagram.
              "a frame to the host's loopback": "(1, 3, 3)",
              "interfaces": "[1, 2]",
              "namespace of a socket": "EPERM",
              // Of the stack's interface: root may change some, these it has not.
              "flags": as.user === undefined ? "EOPNOTSUPP" : "EPERM",
              "the far end": "EBUSY",
              "connect": "EOPNOTSUPP",
              "listening": "yes",
              "frames of the host": "0",
            }
            : {}),
        });
        strictEqual(reached, 0);
      }),
  );
}

test(
  "without --net-raw there is no packet socket, and with --network=tsi there is none either",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const script =
        "import socket\ntry: socket.socket(17, 3, 0)\nexcept OSError as error: print(error.errno)\n";
      for (const [flags, errno] of [[[], 1], [[...RAW, "--network=tsi"], 97]] as const) {
        const { stdout } = succeeded(
          await behind(scope, { as: {} }, ["/usr/bin/python3", "-c", script], { flags }),
        );
        strictEqual(stdout.trim(), String(errno));
      }
    }),
);
