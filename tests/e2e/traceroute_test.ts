/**
 * ICMP errors of the outside, as programs behind the stack hear them: a router's on the way, a far host's, and what both
 * say of packets that are too big. `ping` has its own in ping_test.ts.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { withScope } from "../support/e2e.ts";
import { IPV4, IPV6, MACHINE, succeeded, USERS } from "../support/guest.ts";
import { FAR4, FAR6, Lab, WORLD4, WORLD6 } from "../support/lab.ts";
import { needs } from "../support/capability.ts";

const FAMILIES = [
  { family: IPV4, world: WORLD4, far: FAR4 },
  { family: IPV6, world: WORLD6, far: FAR6 },
] as const;

const TRACEROUTE = MACHINE.skip === false ? needs("tool:traceroute") : MACHINE;

/** How it probes: a port each, one port, echo requests. */
const PROBES = ["", "-U", "-I"] as const;

/** What a program needs to read the error queue: the family's option numbers, and the offender's place. */
const PYTHON = `
import select, socket, struct, sys
four = ":" not in sys.argv[1]
family, level = (socket.AF_INET, socket.IPPROTO_IP) if four else (socket.AF_INET6, socket.IPPROTO_IPV6)
RECVERR, DISCOVER, MTU, HOPS = (11, 10, 14, 2) if four else (25, 23, 24, 16)
s = socket.socket(family, socket.SOCK_DGRAM)
s.setsockopt(level, RECVERR, 1)
s.connect((sys.argv[1], int(sys.argv[2])))
poll = select.poll()
poll.register(s, 0)
def error():
    poll.poll()
    data, control, _, _ = s.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    words = control[0][2]
    errno, origin, kind, code, _, info = struct.unpack_from("=IBBBBI", words)
    offender = words[20:24] if four else words[24:40]
    return [kind, code, info if errno == 90 else 0, socket.inet_ntop(family, offender), len(data)]
`;

/** Errors on the way are told to both attachments: one with each user. */
const ATTACH = { root: "tap", tester: "sockets" } as const;

for (const { name, as } of USERS) {
  const attach = `--attach=${ATTACH[name as keyof typeof ATTACH]}`;
  for (const { family, world, far } of FAMILIES) {
    const gateway = family.gateway;

    for (const probe of PROBES) {
      test(
        `traceroute ${probe} sees every hop over ${family.name} (${name})`,
        TRACEROUTE,
        () =>
          withScope(async (scope) => {
            const lab = await Lab.make(scope);
            await lab.extend();
            const words = ["traceroute", family.flag, "-n", "-q", "2", "-w", "9", ...(probe && [probe]), far];
            const argv = [scope.binary(), attach, "do", "--", ...words];
            const { stdout } = succeeded(await lab.run(argv, { ...as, limit: 60_000 }));
            const hops = stdout.trim().split("\n").slice(1).map((line) =>
              line.trim().replace(/ +[0-9.]+ ms/g, " +").split(/ +/).slice(0, 4)
            );
            deepStrictEqual(hops, [gateway, world, far].map((who, i) => [`${i + 1}`, who, "+", "+"]), stdout);
          }),
      );
    }

    test(
      `a program reads who dropped its datagrams, and why, over ${family.name} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          await lab.extend(1_400);
          const script = `${PYTHON}
for hops in 1, 2, 3:
    s.setsockopt(level, HOPS, hops)
    s.send(b"x" * (100 + hops))
    print(error())
s.setsockopt(level, HOPS, -1)
s.setsockopt(level, DISCOVER, 2)
s.send(b"y" * 1430)
print(error(), s.getsockopt(level, MTU))
`;
          const argv = [scope.binary(), attach, "do", "--", "python3", "-c", script, far, "7"];
          const { stdout } = succeeded(await lab.run(argv, { ...as, limit: 20_000 }));
          const four = family === IPV4;
          const [time, port, big] = four ? ["11, 0", "3, 3", "3, 4"] : ["3, 0", "1, 4", "2, 0"];
          const lines = stdout.trim().split("\n");
          deepStrictEqual(lines.slice(0, 3), [
            `[${time}, 0, '${gateway}', 101]`,
            `[${time}, 0, '${world}', 102]`,
            `[${port}, 0, '${far}', 103]`,
          ]);
          // How much of a long packet a router quotes is up to it.
          match(lines[3]!, new RegExp(`^\\[${big}, 1400, '${world}', \\d+\\] 1400$`));
        }),
    );

    test(
      `a datagram to somebody's closed port is refused over ${family.name} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          const script = `
import socket
s = socket.socket(socket.${family.python}, socket.SOCK_DGRAM)
s.connect(("${world}", 7))
for _ in range(3):
    s.send(b"anybody?")
    try: s.recv(100)
    except ConnectionRefusedError: print("refused")
`;
          // With `sockets` a plain `recv` returns 0 bytes instead.
          const argv = [scope.binary(), "--attach=tap", "do", "--", "python3", "-c", script];
          const { stdout } = succeeded(await lab.run(argv, { ...as, limit: 20_000 }));
          strictEqual(stdout, "refused\n".repeat(3));
        }),
    );
  }
}
