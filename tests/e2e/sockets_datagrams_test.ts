/**
 * Datagrams on the attachment `sockets`: the socket interface says what the kernel says, and unmodified programs of four
 * runtimes speak UDP inside the sandbox.
 */

import { test } from "node:test";
import { deepStrictEqual, match } from "node:assert/strict";
import { join } from "node:path";
import { PROJECT, run, withScope } from "../support/e2e.ts";
import { sameAnswers } from "./conformance/differences.ts";
import { MACHINE, succeeded, USERS } from "../support/guest.ts";

const PYTHON = "/usr/bin/python3";
const PROGRAM = join(PROJECT, "tests/e2e/conformance/udp_api.py");
const NODE = `
const dgram = require("node:dgram");
const server = dgram.createSocket("udp6");
server.on("message", (message, from) => server.send("echo " + message, from.port, from.address));
server.bind(0, "::", () => {
  const client = dgram.createSocket("udp4");
  client.on("message", (message, from) => {
    console.log(String(message), from.address, from.family, message.length);
    client.close();
    server.close();
  });
  client.send("from node", server.address().port, "127.0.0.1");
});`;

/** Errors in full, seen by poll and by epoll, whose set must hear of what comes after, too. */
const ERRORS = `
import select, socket, struct
closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
closed.bind(("127.0.0.1", 0))
nobody = closed.getsockname()
closed.close()
for how in "poll", "epoll":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, 11, 1)
    s.bind(("127.0.0.1", 0))
    s.setblocking(False)
    watch = getattr(select, how)()
    watch.register(s, select.POLLIN)
    def attempt(take):
        while True:
            try: return take()
            except OSError: watch.poll()
    for word in b"one", b"two":
        s.sendto(word, nobody)
        data, control, flags, source = attempt(lambda: s.recvmsg(99, 512, socket.MSG_ERRQUEUE))
        print(how, data, struct.unpack_from("=IBBB", control[0][2]), flags & socket.MSG_ERRQUEUE != 0)
        closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        closed.sendto(b"after", s.getsockname())
        print(attempt(lambda: s.recv(99)) or attempt(lambda: s.recv(99)))
`;

for (const { name, as } of USERS) {
  test(
    `errors in full are seen by poll and by epoll (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const script = [PYTHON, "-c", ERRORS];
        const kernel = succeeded(await run(script, { ...as, limit: 20_000 })).stdout;
        const argv = [scope.binary(), "--attach=sockets", "--network=none", "do", "--", ...script];
        const ours = succeeded(await run(argv, { ...as, limit: 20_000 })).stdout;
        deepStrictEqual(ours, kernel);
      }),
  );

  test(
    `the socket interface of datagrams is the kernel's (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const kernel = succeeded(await run([PYTHON, PROGRAM], { ...as, limit: 60_000 })).stdout;
        const argv = [scope.binary(), "--attach=sockets", "do", "--", PYTHON, PROGRAM];
        const ours = succeeded(await run(argv, { ...as, limit: 60_000 })).stdout;
        sameAnswers(ours, kernel, 200);
      }),
  );

  for (const network of ["none", "sandbox-passthrough"]) {
    test(
      `datagrams of node stay inside with --network=${network} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const argv = [
            scope.binary(),
            "--attach=sockets",
            `--network=${network}`,
            "do",
            "--",
            "node",
            "-e",
            NODE,
          ];
          const { stdout } = succeeded(await run(argv, { ...as, limit: 20_000 }));
          deepStrictEqual(stdout, "echo from node 127.0.0.1 IPv4 14\n");
        }),
    );
  }

  for (const [flag, address] of [["-4", "127.0.0.1"], ["-6", "::1"]] as const) {
    test(
      `ping reaches the sandbox itself at ${address} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const ping = ["ping", flag, "-n", "-c", "3", "-i", "0.05", address];
          const argv = [scope.binary(), "--attach=sockets", "--network=none", "do", "--", ...ping];
          const { stdout } = succeeded(await run(argv, { ...as, limit: 20_000 }));
          match(stdout, /3 packets transmitted, 3 received, 0% packet loss/);
        }),
    );
  }
}
