/**
 * A guest that is out for trouble, and a host's network that is. Everything is bounded in time, seeded (`SLUICE_SEED`), and
 * stays in namespaces of the test's own. What must be true after each attack is in `Session.endured`.
 */

import { after, before, test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { chownSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { printed, PROJECT, run, Scope, userId, withScope } from "../support/e2e.ts";
import { Arena, type Report, SEED, type Session } from "../support/arena.ts";
import { MACHINE } from "../support/guest.ts";
import { LAB4 } from "../support/lab.ts";

console.log(`hostile: SLUICE_SEED=${SEED}`);

const scope = new Scope();
let arena: Arena;
before(async () => {
  if (MACHINE.skip === false) arena = await Arena.make(scope);
});
after(() => scope.end());

/** An attack by a guest with raw sockets. */
interface Attack {
  /** Module and function below `hostile/`. */
  readonly attack: string;
  readonly what: string;
  /** What must be counted, by name. */
  readonly counted: readonly string[];
  /** What more must be true of what it says. */
  readonly more?: (said: Report["attack"], counters: Readonly<Record<string, number>>) => void;
}

const ATTACKS: readonly Attack[] = [
  {
    attack: "frames.truncated",
    what: "packets cut at every length",
    counted: [
      "arp.truncated",
      "ipv4.truncated",
      "ipv6.truncated",
      "tcp.bad-checksum",
      "udp.truncated",
      "icmp.truncated",
    ],
  },
  {
    attack: "frames.forged",
    what: "lengths and offsets that lie, and headers without end",
    counted: [
      "ipv4.bad-header-length",
      "ipv4.bad-length",
      "ipv4.bad-option",
      "ipv4.bad-version",
      "ipv6.bad-extension-header",
      "ipv6.too-many-extension-headers",
      "tcp.bad-header-length",
      "udp.bad-length",
    ],
  },
  {
    attack: "frames.mutated",
    what: "valid packets with random damage",
    counted: ["ipv4.bad-checksum", "tcp.bad-checksum"],
  },
  {
    attack: "frames.fragments",
    what: "teardrops, overlaps, gaps, and first fragments only",
    counted: [
      "ip.reassembly-overlap",
      "ip.reassembly-evicted",
      "ip.reassembly-bad-end",
      "ip.reassembly-too-many-gaps",
      "ipv4.bad-fragment",
    ],
  },
  {
    attack: "frames.offload",
    what: "checksums and super-packets that are none",
    counted: ["ipv4.truncated"],
  },
  {
    attack: "frames.neighbours",
    what: "claims to be the gateway, and floods of neighbours",
    counted: ["arp.conflict", "neighbour.evicted", "ndp.router-advertisement-ignored"],
  },
  {
    attack: "frames.control",
    what: "floods of pings, and errors about the connections of others",
    counted: [
      "gateway.icmp.flow-limit",
      "icmp.errors-unrelated",
      "icmp.redirect-ignored",
      "tcp.icmp-out-of-window",
    ],
  },
  {
    attack: "streams.syn_flood",
    what: "SYNs from everybody",
    counted: ["gateway.tcp.dial-limit", "ip.no-route"],
  },
  {
    attack: "streams.storms",
    what: "storms of segments for live connections and for none",
    counted: [
      "tcp.challenge-acks",
      "tcp.out-of-window",
      "tcp.out-of-window-reset",
      "tcp.strays",
      "tcp.resets-suppressed",
    ],
    more: (said) => deepStrictEqual(said, { heard: "hello", after: "still" }),
  },
  {
    attack: "streams.windows",
    what: "windows of one byte and of none, and acknowledgements of what was never sent",
    counted: ["tcp.ack-unsent"],
  },
  {
    attack: "streams.out_of_order",
    what: "a stream in single bytes, backwards and with contradictions",
    counted: ["tcp.out-of-order-full"],
    more: ({ whole }) => strictEqual(whole, true),
  },
  { attack: "streams.ends", what: "FINs and resets in every order", counted: ["gateway.tcp.guest-reset"] },
  {
    attack: "streams.scan",
    what: "a scan of all ports",
    counted: ["tcp.resets-sent"],
    // The servers of the arena are open, and nothing else; one resets at once, which may look like refused.
    more: ({ open, ...rest }) => {
      const names = open as string[];
      const all = ["blob", "deaf", "drip", "echo", "flood", "half", "reset", "sink"];
      deepStrictEqual([...new Set([...names, "reset"])].sort(), all);
      deepStrictEqual(rest, { refused: 65_535 - names.length, other: 0, unanswered: 0 });
    },
  },
  {
    attack: "streams.host_manners",
    what: "requests to servers that reset, drip, half-close and never read",
    counted: ["gateway.tcp.host-reset"],
    more: (said) => deepStrictEqual(said, { reset: 40, drip: 20, half: 40, deaf: 40 }),
  },
  {
    attack: "datagrams.udp_flood",
    what: "datagrams to 50 000 places, from sources that do not exist",
    counted: [
      "gateway.udp.flow-limit",
      "ip.martian-source-loopback",
      "ip.martian-source-own",
      "ip.martian-source-multicast",
      "gateway.policy.martian-source",
    ],
  },
  {
    attack: "datagrams.names",
    what: "garbage to the DNS address",
    counted: ["gateway.dns.malformed"],
    more: (said) => deepStrictEqual(said, { pipelined: 60, answered: true }),
  },
  {
    attack: "datagrams.reach",
    what: "packets to the host's loopback in all of its forms, and gets nowhere",
    counted: [
      "ip.martian-destination-loopback",
      "ip.martian-destination-mapped",
      "ip.martian-destination-reserved",
      "ipv4.source-route",
      "ipv6.routing-header",
      "gateway.policy.closed-port",
      "gateway.policy.link-local",
    ],
    more: ({ reached }) => deepStrictEqual(reached, []),
  },
];

async function endure(session: Session, { attack: _, counted, more }: Attack): Promise<void> {
  const report = await session.attack();
  const counters = await session.endured(report, counted);
  more?.(report.attack, counters);
  strictEqual(await session.leave(), 0, session.stderr);
  strictEqual(session.stderr, "");
}

for (const attack of ATTACKS) {
  test(
    `the guest sends ${attack.what}`,
    MACHINE,
    async () => await endure(await arena.enter(attack.attack), attack),
  );
}

test("the guest never accepts, or never reads, at its published ports", MACHINE, async () => {
  const flags = ["-p", `${LAB4}:9001:9001`, "-p", `${LAB4}:9002:9002`];
  const session = await arena.enter("datagrams.published", { flags });
  const listening = printed(session.child, /^listening$/m);
  const report = session.attack();
  await listening;
  const clients = join(PROJECT, "tests", "e2e", "hostile", "clients.py");
  const [mute, never] = await Promise.all([
    arena.lab.run(["/usr/bin/python3", "-B", clients, LAB4, "9002", "100"]),
    arena.lab.run(["/usr/bin/python3", "-B", clients, LAB4, "9001", "600"]),
  ]);
  strictEqual(mute.status, 0, mute.stderr);
  strictEqual(never.status, 0, never.stderr);
  const said = await report;
  deepStrictEqual(said.attack, { held: 100 });
  await session.endured(said, ["gateway.publish.pending-limit"]);
  strictEqual(await session.leave(), 0, session.stderr);
});

/** Process ids of the guest: everybody below sluice. */
function guestOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter((
    word,
  ) => word !== "");
  return children.flatMap((child) => [Number(child), ...guestOf(Number(child))]);
}

test("the guest is stopped in the middle of everything, and goes on", MACHINE, async () => {
  const session = await arena.enter("datagrams.idle");
  const report = session.attack();
  for (let i = 0; i < 3; i++) {
    // Time for downloads to be under way, and for stopped ones to fill every buffer.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const guest = guestOf(session.child.pid!);
    ok(guest.length >= 2, `${guest}`);
    for (const pid of guest) process.kill(pid, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 500));
    await session.ask("/v1/health");
    for (const pid of guest) process.kill(pid, "SIGCONT");
  }
  session.say();
  await session.endured(await report, []);
  strictEqual(await session.leave(), 0, session.stderr);
});

test("the disk of the capture is full", MACHINE, () =>
  withScope(async (own) => {
    const directory = own.directory();
    const mounted = await arena.lab.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", directory]);
    strictEqual(mounted.status, 0, mounted.stderr);
    own.defer(async () => void await arena.lab.run(["umount", "-l", directory]));
    const file = join(directory, "capture");
    const session = await arena.enter("frames.truncated", { flags: [`--pcap-log=${file}`] });
    await session.endured(await session.attack(), []);
    // What is there is whole: blocks from the first byte to the last.
    const bytes = readFileSync(`/proc/${session.child.pid}/root${file}`);
    ok(bytes.length > 200_000, `${bytes.length}`);
    let at = 0;
    while (at < bytes.length) at += bytes.readUInt32LE(at + 4);
    strictEqual(at, bytes.length);
    strictEqual(await session.leave(), 0);
    match(session.stderr, /^sluice: cannot write all packets to .*: no space left on device \(ENOSPC\)\n$/i);
  }));

test(
  "the guest takes every descriptor that it can have, and the control API still answers",
  MACHINE,
  async () => {
    const session = await arena.enter("streams.hoard", { under: ["prlimit", "--nofile=1000:1000", "--"] });
    const report = session.report();
    const hoarded = printed(session.child, /^hoarded$/m);
    session.say();
    await hoarded;
    const { counters } = await session.ask("/v1/stats") as { counters: Record<string, number> };
    for (const name of ["gateway.tcp.flow-limit", "gateway.udp.flow-limit"]) {
      ok(
        counters[name]! > 0,
        JSON.stringify(counters),
      );
    }
    ok(session.descriptors() < 1_000 * 31 / 32);
    session.say();
    // The innocent is of the same guest, and shares its limits: what it had goes on.
    ok((await report).bystander.pings > 0);
    strictEqual(await session.leave(), 0, session.stderr);
  },
);

test("the guest takes its own device away", MACHINE, async () => {
  const result = await run([
    scope.binary(),
    "--attach=tap",
    "do",
    "--",
    "sh",
    "-c",
    "ip link del eth0; sleep 60",
  ]);
  strictEqual(result.status, 125);
  strictEqual(result.stderr, "sluice: the guest's device is gone\n");
});

test("an ordinary guest finds nothing of its keeper", MACHINE, async () => {
  const runtime = scope.directory();
  const id = userId("tester");
  chownSync(runtime, id, id);
  const argv = [scope.binary(), "--attach=tap", "--id=arena", "do", "--", "/usr/bin/python3", "-B"];
  const result = await run([...argv, join(PROJECT, "tests", "e2e", "hostile", "peek.py")], {
    user: "tester",
    env: { XDG_RUNTIME_DIR: runtime },
  });
  strictEqual(result.status, 0, result.stderr);
  deepStrictEqual(JSON.parse(result.stdout), []);
});
