/**
 * A program that wants out of the attachment `sockets`. Each of its attempts must fail with the error that a kernel
 * without the feature gives.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { chmodSync, chownSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import {
  printed,
  PROJECT,
  run,
  type RunOptions,
  type Scope,
  start,
  userId,
  withScope,
} from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { succeeded } from "../support/guest.ts";

const SITUATIONS: readonly { name: string; as: RunOptions; around: readonly string[] }[] = [
  { name: "tester, own network namespace", as: { user: "tester" }, around: [] },
  {
    name: "tester, seccomp alone",
    as: { user: "tester" },
    around: ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--disable-userns", "--"],
  },
];

/** Families that the filter knows by name. */
const ANSWERED = new Set([1, 2, 10, 16, 17]);

function expected(): Record<string, string> {
  const families = Array.from({ length: 46 }, (_, family) => family).filter((family) =>
    !ANSWERED.has(family)
  );
  return {
    ...Object.fromEntries(families.map((family) => [`family ${family}`, "EAFNOSUPPORT"])),
    "vsock with high bits": "EAFNOSUPPORT",
    "socketpair 2": "EOPNOTSUPP",
    "socketpair 10": "EOPNOTSUPP",
    "socketpair 16": "EOPNOTSUPP",
    "socketpair 17": "EAFNOSUPPORT",
    "socketpair 40": "EAFNOSUPPORT",
    "io_uring_setup": "ENOSYS",
    "io_uring_enter": "ENOSYS",
    "io_uring_register": "ENOSYS",
    ...(process.arch === "x64" ? { "x32 socket": "ENOSYS", "int 0x80 socket": "ENOSYS" } : {}),
    "mptcp": "EPROTONOSUPPORT",
    "sctp": "EPROTONOSUPPORT",
    "sctp by packets": "ESOCKTNOSUPPORT",
    "dccp": "ESOCKTNOSUPPORT",
    "udplite": "EPROTONOSUPPORT",
    "l2tp": "EPROTONOSUPPORT",
    "smc over tcp": "EPROTONOSUPPORT",
    "packets of old": "EPERM",
    "request_key": "ENOKEY",
    "typing": "EIO",
    "pasting": "EPERM",
    "interface of a file": "ENOTTY",
    "pidfd_getfd": "EPERM",
    "ptrace": "EPERM",
    "process_vm_readv": "EPERM",
    "its memory": "EACCES",
    "its descriptors": "EACCES",
    "listener": "EBUSY",
    "no_new_privs": "set",
    "host stream": "ECONNREFUSED",
    "host datagram": "ECONNREFUSED",
    "host abstract": "ECONNREFUSED",
    "host sendto": "ECONNREFUSED",
    "host sendmsg": "ECONNREFUSED",
    "host through a link": "ECONNREFUSED",
    // The supervisor follows no links of /proc.
    "host through /proc": "ENOENT",
    "race": "lost",
  };
}

/** Sockets of the host that anybody may connect to; what is said to them is counted. */
async function hostSockets(
  scope: Scope,
): Promise<{ stream: string; datagram: string; abstract: string; reached(): number }> {
  const directory = scope.directory();
  const log = join(directory, "log");
  const stream = join(directory, "stream"), datagram = join(directory, "datagram");
  let connections = 0;
  const listen = async (path: string) => {
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    if (!path.startsWith("\0")) chmodSync(path, 0o777);
  };
  const abstract = `sluice-escape-${process.pid}`;
  await listen(stream);
  await listen(`\0${abstract}`);
  // Neither runtime has datagram unix sockets.
  const script =
    "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\n" +
    "import os\nos.chmod(sys.argv[1],0o777)\nprint('ready',flush=True)\n" +
    "while True:\n  s.recv(9)\n  open(sys.argv[2],'a').write('x')\n";
  await printed(start(scope, ["python3", "-c", script, datagram, log]), /ready/);
  const heard = () => {
    try {
      return readFileSync(log).length;
    } catch {
      return 0;
    }
  };
  return { stream, datagram, abstract, reached: () => connections + heard() };
}

for (const { name, as, around } of SITUATIONS) {
  test(
    `escape.py finds no way out (${name})`,
    needs("root", "userns", "user:tester", "tool:python3", "tool:bwrap"),
    () =>
      withScope(async (scope) => {
        const host = await hostSockets(scope);
        const own = mkdtempSync(join(scope.directory(), "own-"));
        const tester = userId("tester");
        chownSync(own, tester, tester);
        const program = readFileSync(join(PROJECT, "tests/attach/sockets/escape.py"), "utf8");
        const sluice = [
          ...around,
          scope.binary(),
          "--attach=sockets",
          "--network=none",
          "--api=off",
          "do",
          "--",
        ];
        const script = ["python3", "-c", program, own, host.stream, host.datagram, host.abstract];
        const { stdout } = succeeded(await run([...sluice, ...script], { ...as, limit: 30_000 }));
        const outcomes = Object.fromEntries(stdout.trim().split("\n").map((line) => line.split(": ")));
        deepStrictEqual(outcomes, expected());
        strictEqual(host.reached(), 0);
      }),
  );
}

/** A network with a device of its owner's, who may make no other. */
const SHARED_NETWORK = [
  ...["unshare", "--user", "--map-root-user", "--net", "sh", "-ec"],
  [
    "ip tuntap add dev escape0 mode tap user 0",
    "for kind in user net; do echo 0 >/proc/sys/user/max_${kind}_namespaces; done",
    'exec "$@"',
  ].join("\n"),
  "sh",
];
const ATTACH_TO_DEVICE = [
  "import fcntl, os, struct",
  "try:",
  "  fcntl.ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454CA, struct.pack('16sH22x', b'escape0', 0x1002))",
  "  print('attached')",
  "except OSError as error: print(error.errno)",
].join("\n");

test(
  "a guest that shares a network attaches to no device of it",
  needs("root", "userns", "tun", "tool:python3"),
  () =>
    withScope(async (scope) => {
      const attach = ["/usr/bin/python3", "-c", ATTACH_TO_DEVICE];
      const sluice = [scope.binary(), "--attach=sockets", "--network=none", "--api=off", "do", "--"];
      const alone = succeeded(await run([...SHARED_NETWORK, ...attach]));
      const { stdout } = succeeded(await run([...SHARED_NETWORK, ...sluice, ...attach]));
      deepStrictEqual([alone.stdout, stdout], ["attached\n", "1\n"]);
    }),
);

const REFUSED = [
  "connect",
  "connect of datagrams",
  "bind",
  "listen",
  "sendto",
  "sendmsg",
  "bind of netlink",
];
/** Of packet sockets, which only who has power over the network can give. */
const REFUSED_PACKETS = ["bind of packets", "sendto of packets", "sendmsg of packets"];
/** Where that is everybody. */
const OWN_NETWORK = [
  ...["unshare", "--user", "--map-root-user", "--net", "--"],
  ...["sh", "-c", 'ip link set lo up; exec "$@"', "sh"],
];
const GIVEN = ["sendmsg to its peer", "send to its peer", "a longer backlog"];

for (
  const { flags, around = [] } of [
    { flags: ["--host-uds=none"] },
    { flags: ["--host-uds=open"] },
    { flags: ["--host-uds=open", "--net-raw"] },
    { flags: ["--net-raw"], around: OWN_NETWORK },
    { flags: ["--host-uds=none"], around: OWN_NETWORK },
  ]
) {
  const powerful = around.length > 0;
  test(
    `sockets of the host that were inherited lead nowhere else (${flags.join(" ")}${
      powerful ? ", its administrator" : ""
    })`,
    needs("root", "userns", "user:tester", "tool:python3"),
    () =>
      withScope(async (scope) => {
        const program = readFileSync(join(PROJECT, "tests/attach/sockets/inherited.py"), "utf8");
        const sluice = [scope.binary(), "--attach=sockets", "--api=off", ...flags, "do", "--"];
        const inner = ["/usr/bin/python3", "-c", program];
        const { stdout } = succeeded(
          await run([...around, ...inner, "outer", ...sluice, ...inner], { user: "tester", limit: 20_000 }),
        );
        const outcomes = Object.fromEntries(
          stdout.trim().split("\n").map((line) => {
            const at = line.lastIndexOf(" ");
            return [line.slice(0, at), line.slice(at + 1)];
          }),
        );
        // That such a send connects is refused by the filter, whatever the socket.
        for (const name of ["sendto that connects", "sendmsg that connects"]) {
          match(outcomes[name] ?? "", /^(EACCES|95)$/, name);
          delete outcomes[name];
        }
        const refused = powerful ? [...REFUSED, ...REFUSED_PACKETS] : REFUSED;
        const said = Object.fromEntries(refused.map((name) => [name, "EACCES"]));
        deepStrictEqual(outcomes, { ...said, ...Object.fromEntries(GIVEN.map((name) => [name, "works"])) });
      }),
  );
}
