/** ping behind the stack: to the gateway, through it to somebody else's machine, and to where there is none. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { withScope } from "../support/e2e.ts";
import { IPV4, IPV6, MACHINE, succeeded, USERS } from "../support/guest.ts";
import { FAR4, FAR6, Lab, LAB4, LAB6, WORLD4, WORLD6 } from "../support/lab.ts";

/** Where nobody is on the lab's cable, and where it has no route to. */
const FAMILIES = [
  { family: IPV4, lab1: LAB4, world: WORLD4, far: FAR4, nobody: "198.51.100.99", nowhere: "203.0.113.9" },
  { family: IPV6, lab1: LAB6, world: WORLD6, far: FAR6, nobody: "2001:db8:1::99", nowhere: "2001:db8:9::9" },
] as const;

for (const { name, as } of USERS) {
  for (const { family, lab1, world, far, nobody, nowhere } of FAMILIES) {
    const ping = ["ping", family.flag, "-n", "-i", "0.05"];

    for (const [whom, address] of [["the gateway", family.gateway], ["the world", world]] as const) {
      test(`ping reaches ${whom} over ${family.name} (${name})`, MACHINE, () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          // Big enough to be fragments on the cable, whose MTU is 1500.
          // With -w it waits for the answers, and sends more only while they do not come.
          const five = [...ping, "-c", "5", "-w", "9"].join(" ");
          const script = `${five} ${address} && ${five} -s 8000 ${address}`;
          const argv = [scope.binary(), "do", "--", "sh", "-c", script];
          const { stdout } = succeeded(await lab.run(argv, { ...as, limit: 20_000 }));
          for (const size of [64, 8008]) {
            const first = [1, 2, 3, 4, 5].map((n) =>
              new RegExp(`^${size} bytes from \\S+: icmp_seq=${n} `, "m")
            );
            for (const answer of first) match(stdout, answer);
          }
          strictEqual(/DUP|different|wrong/.test(stdout), false, stdout);
        }));
    }

    test(
      `ping is told by the host that a neighbour is silent over ${family.name} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          const argv = [scope.binary(), "do", "--", ...ping, "-c", "1", "-W", "9", nobody];
          const result = await lab.run(argv, { ...as, limit: 20_000 });
          strictEqual(result.status, 1, result.stderr);
          const words =
            /From (\S+) icmp_seq=1 Destination (Host Unreachable|unreachable: Address unreachable)/;
          strictEqual(words.exec(result.stdout)?.[1], lab1, result.stdout);
        }),
    );

    test(
      `ping is told by the router that the hops are used up over ${family.name} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          await lab.extend();
          const script = `${ping.join(" ")} -c 2 -t 2 -W 9 ${far}; ${ping.join(" ")} -c 1 -t 3 -W 9 ${far}`;
          const argv = [scope.binary(), "do", "--", "sh", "-c", script];
          const { stdout } = succeeded(await lab.run(argv, { ...as, limit: 20_000 }));
          const seen = stdout.match(/^From \S+ icmp_seq=\d+ Time .*$/mg)!;
          for (const [i, line] of seen.entries()) {
            match(line, new RegExp(`^From ${world} icmp_seq=${i + 1} `));
          }
          strictEqual(seen.length, 2, stdout);
          match(stdout, /, 1 received/);
        }),
    );

    test(
      `ping is told that there is no route over ${family.name} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          const argv = [scope.binary(), "do", "--", ...ping, "-c", "1", "-W", "9", nowhere];
          const result = await lab.run(argv, { ...as, limit: 20_000 });
          strictEqual(result.status, 1, result.stderr);
          match(result.stdout, /Destination Net Unreachable|Destination unreachable: No route/);
        }),
    );

    const UNREACHED = [["that nobody is there", nobody], [
      "at once that there is no route",
      nowhere,
    ]] as const;
    for (const [what, address] of UNREACHED) {
      test(`curl is told ${what} over ${family.name} (${name})`, MACHINE, () =>
        withScope(async (scope) => {
          const lab = await Lab.make(scope);
          const url = `http://${family === IPV4 ? address : `[${address}]`}/`;
          const argv = [scope.binary(), "do", "--", "curl", "-sS", "-g", "--max-time", "9", url];
          const result = await lab.run(argv, { ...as, limit: 20_000 });
          strictEqual(result.status, 7, result.stderr); // CURLE_COULDNT_CONNECT; 28 would be the time limit
        }));
    }
  }

  test(
    `ping has its own word for a host that does not let it (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const lab = await Lab.make(scope);
        // Nobody may have ping sockets; root has raw ones.
        succeeded(await lab.run(["sh", "-c", "echo 1 0 >/proc/sys/net/ipv4/ping_group_range"]));
        const argv = [scope.binary(), "do", "--", "ping", "-n", "-c", "1", "-W", "9", WORLD4];
        const result = await lab.run(argv, { ...as, limit: 20_000 });
        if (as.user === undefined) match(succeeded(result).stdout, /, 1 received/);
        else {
          match(result.stdout, /Packet filtered|Communication/);
          match(result.stderr, /^sluice: .*ping_group_range/m);
        }
      }),
  );

  test(`ping counts hops through the gateway (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      const argv = [scope.binary(), "do", "--", "ping", "-n", "-c", "1", "-t", "1", "-W", "9", WORLD4];
      const { stdout } = await lab.run(argv, { ...as, limit: 20_000 });
      match(stdout, /From 10\.0\.2\.2 .*Time to live exceeded/);
    }));
}
