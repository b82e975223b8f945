/**
 * Mode `sandbox`: the guest has the interface of the namespace that sluice was started in, and the kernel has it back
 * when the guest is gone, whatever ended it.
 */

import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { MAX_FOLLOWED } from "../../lib/uplink/device/device.ts";
import { printed, PROJECT, run, type Scope, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { succeeded } from "../support/guest.ts";
import { Lab, LAB4, LAB6, WORLD4, WORLD6 } from "../support/lab.ts";

const MACHINE = needs("root", "netns", "tool:python3", "tool:socat");
/** A guest that says when it is there, and stays until its input ends. */
const STAY = ["sh", "-c", "echo up; exec cat"];

/** A lab with an interface that has a bit of everything. */
async function furnished(scope: Scope): Promise<{ lab: Lab; sluice: readonly string[]; directory: string }> {
  const lab = await Lab.make(scope);
  await lab.script(
    "lab",
    `ip addr add 198.51.100.8/24 dev up0 label up0:8
    ip addr add 192.0.2.1 peer 192.0.2.2/32 dev up0
    ip route add default via ${WORLD4} dev up0 proto dhcp metric 50
    ip route add 203.0.113.0/24 via ${WORLD4} src 198.51.100.8 mtu 1400
    ip route add 169.254.1.1 dev up0 scope link
    ip route add table 77 default via ${WORLD4}
    ip -6 route add default via ${WORLD6} metric 7
    ip neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev up0 nud permanent
    echo 2 >/proc/sys/net/ipv6/conf/up0/accept_ra; echo 1 >/proc/sys/net/ipv4/conf/up0/arp_ignore`,
  );
  const directory = scope.directory();
  const sluice = ["env", `XDG_RUNTIME_DIR=${directory}`, scope.binary(), "--network=sandbox"];
  return { lab, sluice, directory };
}

/** All that the kernel knows of the interface and may forget. */
function kernels(lab: Lab): Promise<string> {
  return lab.script(
    "lab",
    `while [ "$(ip -6 -o addr show dev up0 tentative)" ]; do :; done
    ip -d addr show dev up0; ip route show table all dev up0; ip -6 route show table all dev up0
    ip neigh show nud permanent; grep . /proc/sys/net/ipv6/conf/up0/* /proc/sys/net/ipv4/conf/up0/* 2>/dev/null || true`,
  );
}

/** Nothing is left in the runtime directory that could be restored. */
function nothingIsLeft(directory: string): void {
  const path = join(directory, "sluice");
  deepStrictEqual(existsSync(path) ? readdirSync(path).filter((name) => name.startsWith(".netns")) : [], []);
}

interface AddressJson {
  readonly ifname: string;
  readonly address: string;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
  }[];
}

function addresses(json: string): string[] {
  return (JSON.parse(json) as AddressJson[]).filter(({ ifname }) => ifname === "up0").flatMap((one) => [
    one.address,
    ...one.addr_info.map(({ local, prefixlen, scope }) => `${local}/${prefixlen} ${scope}`),
  ]).sort();
}

test(
  "sandbox moves addresses, routes and neighbours into the guest, and everything back",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const { lab, sluice, directory } = await furnished(scope);
      const before = await kernels(lab);
      const expected = addresses((await lab.run(["ip", "-j", "addr"])).stdout);
      const inside = await lab.run([
        ...sluice,
        "do",
        "sh",
        "-c",
        "ip -j addr; echo ---; ip route; echo ---; ip -6 route; echo ---; ip neigh; echo ---; cat /etc/resolv.conf",
      ]);
      succeeded(inside);
      const [json, routes, routes6, neighbours, resolv] = inside.stdout.split("---\n");
      deepStrictEqual(addresses(json!), expected);
      strictEqual(
        routes,
        `default via ${WORLD4} dev up0 proto dhcp metric 50 
169.254.1.1 dev up0 scope link 
198.51.100.0/24 dev up0 proto kernel scope link src ${LAB4} 
203.0.113.0/24 via ${WORLD4} dev up0 src 198.51.100.8 
`,
      );
      match(routes6!, new RegExp(`^default via ${WORLD6} dev up0 metric 7`, "m"));
      strictEqual(neighbours, "198.51.100.9 dev up0 lladdr 02:00:00:00:00:09 PERMANENT \n");
      strictEqual(resolv, "nameserver 127.0.0.1\n");
      strictEqual(await kernels(lab), before);
      nothingIsLeft(directory);
    }),
);

test(
  "sandbox puts everything back after a program that cannot be run",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const { lab, sluice, directory } = await furnished(scope);
      const before = await kernels(lab);
      strictEqual((await lab.run([...sluice, "do", "/nowhere"])).status, 127);
      strictEqual(await kernels(lab), before);
      const shaped = ["--qdisc=tbf", "--qdisc-tbf-rate=1000", "--qdisc-tbf-burst=100"];
      const refused = await lab.run([...sluice, ...shaped, "do", "true"]);
      strictEqual(refused.status, 125);
      match(refused.stderr, /burst \(100 bytes\) is smaller than link's max GSO packet size/);
      strictEqual(await kernels(lab), before);
      nothingIsLeft(directory);
    }),
);

test("sandbox loses nothing for good when it is killed", MACHINE, () =>
  withScope(async (scope) => {
    const { lab, sluice, directory } = await furnished(scope);
    const before = await kernels(lab);
    for (const mend of [["restore-netns"], ["do", "true"]]) {
      const child = lab.start([...sluice, "do", ...STAY]);
      await printed(child, /^up$/m);
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
      match(await kernels(lab), /^(?![\s\S]*inet )/);
      const mended = await lab.run([...sluice, ...mend]);
      succeeded(mended);
      match(mended.stdout + mended.stderr, /restored up0\n|ended without putting back up0: it is done now\n/);
      strictEqual(await kernels(lab), before);
      nothingIsLeft(directory);
    }
    strictEqual(
      (await lab.run([...sluice, "restore-netns"])).stdout,
      "nothing to restore in this network namespace\n",
    );
  }));

test("sandbox is refused where it would do harm, or cannot work", MACHINE, () =>
  withScope(async (scope) => {
    const { lab, sluice, directory } = await furnished(scope);
    const child = lab.start([...sluice, "do", ...STAY]);
    await printed(child, /^up$/m);
    for (const command of [["do", "true"], ["restore-netns"]]) {
      const second = await lab.run([...sluice, ...command]);
      strictEqual(second.status, 125);
      match(second.stderr, new RegExp(`^sluice: cannot drive .*: sluice process ${child.pid} does\n$`));
    }
    const lame = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-all", ...sluice, "do", "true"];
    const other = await Lab.make(scope);
    const refused = await other.run(lame);
    strictEqual(refused.status, 125);
    match(refused.stderr, /^sluice: cannot drive .*: CAP_NET_ADMIN missing \(/);
    // A container's own network is not the machine's, and would be taken.
    if (existsSync("/proc/sys/net/core/netdev_budget")) {
      const root = await run([...sluice, "do", "true"]);
      strictEqual(root.status, 125);
      match(root.stderr, /network namespace of the machine itself.*--force/);
    }
    child.stdin!.end();
    await new Promise((resolve) => child.once("exit", resolve));
    nothingIsLeft(directory);
  }));

/** The neighbour on the wire: a program that sends and counts frames. */
async function neighbour(lab: Lab, ...args: readonly string[]): Promise<string> {
  const script = join(PROJECT, "tests/e2e/hostile/neighbour.py");
  const result = await lab.runOutside(
    ["python3", script, "up1", args[0]!, WORLD4, LAB4, WORLD6, LAB6, ...args.slice(1)],
    { env: { PYTHONDONTWRITEBYTECODE: "1" } },
  );
  succeeded(result);
  return result.stdout;
}

test(
  "sandbox leaves the kernel silent: each question on the wire has one answer",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const { lab, sluice } = await furnished(scope);
      const child = lab.start([...sluice, "do", ...STAY]);
      await printed(child, /^up$/m);
      strictEqual(await neighbour(lab, "quiet"), "arp=1 echo=1 reset=1 reset6=1 unreachable=1\n");
    }),
);

test("sandbox outlives whatever stands on the wire", MACHINE, () =>
  withScope(async (scope) => {
    const { lab, sluice, directory } = await furnished(scope);
    const child = lab.start([...sluice, "--id=victim", "do", ...STAY]);
    await printed(child, /^up$/m);
    const seed = String(process.env["SEED"] ?? Math.trunc(Math.random() * 2 ** 31));
    strictEqual(await neighbour(lab, "flood", seed), "alive\n", `SEED=${seed}`);
    const socket = join(directory, "sluice", "victim.sock");
    const ask = (path: string) => lab.run(["curl", "-s", "--unix-socket", socket, `http://sluice${path}`]);
    const known = JSON.parse((await ask("/v1/neigh")).stdout) as unknown[];
    ok(known.length <= 512, `${known.length} neighbours, SEED=${seed}`);
    const metrics = (await ask("/metrics")).stdout;
    const counted = (name: string) => Number(new RegExp(`${name}"\\} (\\d+)`).exec(metrics)?.[1]);
    ok(counted("arp.conflict") >= 50, metrics);
    // Two of our addresses were claimed, one of them dozens of times.
    ok(counted("arp.announcements-sent") <= 4, metrics);
    ok(child.exitCode === null);
  }));

test("sandbox follows what happens to the interface", MACHINE, () =>
  withScope(async (scope) => {
    const { lab, sluice } = await furnished(scope);
    const server = lab.startOutside(["socat", "-d", "-d", "TCP-LISTEN:7000", "EXEC:cat"]);
    await printed(server, /listening on/, "stderr");
    const child = lab.start([...sluice, "do", "socat", "-", `TCP:${WORLD4}:7000`]);
    const said = async (text: string) => {
      const heard = printed(child, new RegExp(`^${text}$`, "m"));
      child.stdin!.write(`${text}\n`);
      await heard;
    };
    const complaint = (pattern: RegExp) => printed(child, pattern, "stderr");
    await said("one");
    let told = complaint(/up0 was given 198\.51\.100\.40\/24: the guest has it now/);
    await lab.script("lab", "ip addr add 198.51.100.40/24 dev up0");
    await told;
    match((await lab.run(["ip", "-br", "addr", "show", "dev", "up0"])).stdout, /^up0\S*\s+UP\s*$/);
    succeeded(await lab.runOutside(["ping", "-c1", "-W5", "198.51.100.40"]));
    told = complaint(/up0 is down/);
    await lab.script("lab", "ip link set up0 down");
    await told;
    child.stdin!.write("two\n");
    told = complaint(/up0 is up again/);
    const heard = printed(child, /^two$/m);
    await lab.script("lab", "ip link set up0 up");
    await told;
    await heard;
    told = complaint(/up0 has no carrier/);
    await lab.script("world", "ip link set up1 down");
    await told;
    told = complaint(/up0 is up again/);
    await lab.script("world", "ip link set up1 up");
    await told;
    told = complaint(/up0 has MTU 1400 now: so has the guest's/);
    await lab.script("lab", "ip link set up0 mtu 1400");
    await told;
    await said("three");
    told = complaint(/up0 is gone/);
    await lab.script("lab", "ip link del up0");
    await told;
  }));

test(
  "sandbox says what stays behind, and takes only so many addresses from outside",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const { lab, sluice, directory } = await furnished(scope);
      const child = lab.start([...sluice, "--id=heir", "do", ...STAY]);
      const behind = printed(child, /1 route of another table than main stay behind/, "stderr");
      const enough = printed(child, /somebody keeps giving the kernel addresses/, "stderr");
      await printed(child, /^up$/m);
      await behind;
      const lines = Array.from(
        { length: MAX_FOLLOWED + 20 },
        (_, i) => `addr add 10.77.${i >> 8}.${i & 255}/32 dev up0`,
      );
      await lab.script("lab", `ip -batch - <<END\n${lines.join("\n")}\nEND`);
      await enough;
      const left = await lab.script("lab", "ip -o -4 addr show dev up0 | wc -l");
      ok(Number(left) >= 20, `${left} stay with the kernel`);
      const socket = join(directory, "sluice", "heir.sock");
      const metrics = await lab.run(["curl", "-s", "--unix-socket", socket, "http://sluice/metrics"]);
      match(metrics.stdout, /device\.limit\.addresses"\} [1-9]/);
      child.stdin!.end();
      await new Promise((resolve) => child.once("exit", resolve));
      nothingIsLeft(directory);
      strictEqual(
        (await lab.script("lab", "ip -o -4 addr show dev up0 | grep -c 10.77.")).trim(),
        `${lines.length}`,
      );
    }),
);

const SIZE = 4_000_000;

/** Both directions of one connection at once, both families; and datagrams longer than any packet of the wire. */
for (
  const flags of [[], ["--gso=false"], ["--gso=false", "--software-gso=false", "--tx-checksum-offload=false"]]
) {
  test(
    `sandbox carries TCP and UDP with a kernel at the other end ${flags.join(" ")}`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const { lab, sluice } = await furnished(scope);
        const echo = join(PROJECT, "tests/e2e/sandbox/echo.py");
        const server = lab.startOutside(["python3", echo, "serve", "7000", String(SIZE)]);
        await printed(server, /^ready$/m);
        const guest = await lab.run([
          ...sluice,
          ...flags,
          "do",
          "python3",
          echo,
          "ask",
          "7000",
          String(SIZE),
          WORLD4,
          WORLD6,
        ]);
        succeeded(guest);
        strictEqual(guest.stdout, "tcp tcp udp udp gso gso\n");
        const serving = lab.start([
          ...sluice,
          ...flags,
          "do",
          "python3",
          echo,
          "serve",
          "7000",
          String(SIZE),
        ]);
        await printed(serving, /^ready$/m);
        const asked = await lab.runOutside([
          "python3",
          echo,
          "ask",
          "7000",
          String(SIZE),
          LAB4,
          LAB6,
        ]);
        succeeded(asked);
        strictEqual(asked.stdout, "tcp tcp udp udp gso gso\n");
      }),
  );
}

test("sandbox drives several interfaces, of any MTU", MACHINE, () =>
  withScope(async (scope) => {
    const { lab, sluice } = await furnished(scope);
    const mac = "02:00:00:00:00:21";
    await lab.script(
      "lab",
      `ip link add big0 mtu 9000 address ${mac} type veth peer name big1 mtu 9000
      ip addr add 203.0.113.129/25 dev big0; ip link set big0 up; ip link set big1 up`,
    );
    const shown = await lab.run([
      ...sluice,
      "do",
      "sh",
      "-c",
      "ip -br link; ip route get 203.0.113.130; ip route get 198.51.100.9",
    ]);
    succeeded(shown);
    match(shown.stdout, /^up0 +UP /m);
    match(shown.stdout, new RegExp(`^big0 +UP +${mac}`, "m"));
    match(shown.stdout, /^203\.0\.113\.130 dev big0 src 203\.0\.113\.129/m);
    match(shown.stdout, /^198\.51\.100\.9 dev up0 src/m);
  }));

test(
  "sandbox needs no root of the machine: an ordinary user in pasta",
  needs("root", "userns", "user:tester", "tool:pasta"),
  () =>
    withScope(async (scope) => {
      // The host that pasta shows is a namespace of ours: nothing leaves this machine.
      const { lab, sluice } = await furnished(scope);
      const binary = sluice[2]!;
      const server = lab.startOutside(["socat", "-d", "-d", "TCP-LISTEN:7000", "EXEC:cat"]);
      await printed(server, /listening on/, "stderr");
      const script =
        `ip -br addr show dev up0; exec 3<>/dev/tcp/${WORLD4}/7000; echo hello >&3; head -n1 <&3; id -u`;
      const pasta = [
        "pasta",
        "--config-net",
        "--no-map-gw",
        "--quiet",
        "--",
        binary,
        "--network=sandbox",
      ];
      const inside = await lab.run([...pasta, "do", "bash", "-c", script], { user: "tester" });
      succeeded(inside);
      match(inside.stdout, new RegExp(`^up0 +UP +.*${LAB4.replaceAll(".", "\\.")}/24`));
      match(inside.stdout, /^hello\n0\n$/m);
      const outside = await lab.run([binary, "--network=sandbox", "do", "true"], { user: "tester" });
      strictEqual(outside.status, 125);
      match(outside.stderr, /CAP_NET_ADMIN and CAP_NET_RAW missing \(.*pasta/);
      // Root of a user namespace that does not own the network.
      const mine = [
        "unshare",
        "--user",
        "--map-root-user",
        binary,
        "--network=sandbox",
        "do",
        "true",
      ];
      const foreign = await lab.run(mine, { user: "tester" });
      strictEqual(foreign.status, 125);
      match(foreign.stderr, /this network namespace belongs to another user namespace than ours/);
    }),
);
