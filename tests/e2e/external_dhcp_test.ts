/**
 * External networks and a real DHCP server: dnsmasq behind a relay from a unix socket to an interface of the kernel, which
 * is all that a bridge adds.
 */

import { test } from "node:test";
import { deepStrictEqual, match } from "node:assert/strict";
import { join } from "node:path";
import { needs } from "../support/capability.ts";
import { printed, type Scope, withScope } from "../support/e2e.ts";
import { succeeded } from "../support/guest.ts";
import { Lab } from "../support/lab.ts";

const NEEDS = needs("root", "tun", "userns", "tool:dnsmasq");
const MAC = "02:00:00:00:00:07";

/** dnsmasq in a lab, and the path of the socket that leads to it. */
async function serve(
  scope: Scope,
): Promise<{ lab: Lab; socket: string; log: string[]; released: Promise<string> }> {
  const lab = await Lab.make(scope);
  const directory = scope.directory();
  const socket = join(directory, "bridge.sock");
  await lab.serve("tests/support/tap_relay.ts", [socket, "tap9"]);
  // A router speaks from its link-local address; until it has one it cannot answer.
  const script =
    `ip addr add 10.9.0.1/24 dev tap9; ip addr add 2001:db8:9::1/64 dev tap9 nodad; ip link set tap9 up
    until ip -6 addr show dev tap9 scope link -tentative | grep -q inet6; do :; done`;
  succeeded(await lab.run(["sh", "-ec", script]));
  const log: string[] = [];
  const dnsmasq = lab.start([
    "dnsmasq",
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--no-resolv",
    "--no-hosts",
    "--bind-interfaces",
    "--interface=tap9",
    "--except-interface=lo",
    "--user=root",
    `--dhcp-leasefile=${join(directory, "leases")}`,
    "--pid-file=",
    "--log-facility=-",
    "--log-dhcp",
    // It would ping the address for three seconds before it offers it.
    "--no-ping",
    "--address=/www.test/10.9.0.99",
    "--dhcp-range=10.9.0.50,10.9.0.50,120",
    "--dhcp-range=2001:db8:9::50,2001:db8:9::50,slaac,64,600",
    "--enable-ra",
    "--dhcp-option=option:mtu,1400",
    // Its link-local address, and one that needs no zone.
    "--dhcp-option=option6:dns-server,[fe80::],[2001:db8:9::1]",
    "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.9.0.1,172.20.0.0/16,10.9.0.2",
    "--domain=lan.test",
  ]);
  dnsmasq.stderr!.on("data", (chunk: Uint8Array) => log.push(new TextDecoder().decode(chunk)));
  await printed(dnsmasq, /sockets bound exclusively/, "stderr");
  // What it says last of a guest that has gone in order.
  const released = printed(dnsmasq, /DHCPRELEASE\(.*00:03:00:01/, "stderr");
  released.catch(() => {});
  return { lab, socket, log, released };
}

for (const attachment of ["tap", "sockets"]) {
  test(
    `dnsmasq: address, routes, MTU, names, and the release at the end (${attachment})`,
    NEEDS,
    () =>
      withScope(async (scope) => {
        const { lab, socket, log, released } = await serve(scope);
        const network = `socket=${socket},mode=unixstream,mac=${MAC},dhcp=true`;
        const script = `ip -4 -o addr show dev eth0 | awk '{print $4}'
        ip -6 -o addr show dev eth0 scope global | awk '{print $4}' | sort
        ip link show dev eth0 | grep -o 'mtu [0-9]*'
        ip -4 route show | grep -E '^(default|172)' | cut -d' ' -f1-5
        cat /etc/resolv.conf
        getent ahostsv4 www.test | head -1 | cut -d' ' -f1`;
        const { stdout } = succeeded(
          await lab.run([
            scope.binary(),
            "--attach",
            attachment,
            "--external-network",
            network,
            "do",
            "--",
            "sh",
            "-c",
            script,
          ], { limit: 30_000 }),
        );
        // dnsmasq names itself by its link-local address, which needs its zone.
        deepStrictEqual(stdout.trim().replace(/fe80::[0-9a-f:]+%eth0/, "fe80::…%eth0").split("\n"), [
          "10.9.0.50/24",
          "2001:db8:9::50/128",
          "2001:db8:9::ff:fe00:7/64",
          "mtu 1400",
          "default via 10.9.0.1 dev eth0",
          "172.20.0.0/16 via 10.9.0.2 dev eth0",
          "nameserver 10.9.0.1",
          "nameserver fe80::…%eth0",
          "nameserver 2001:db8:9::1",
          "search lan.test",
          "10.9.0.99",
        ]);
        await released;
        const said = log.join("");
        const steps = [
          ...said.matchAll(/DHCP(DISCOVER|OFFER|REQUEST|ACK|NAK|DECLINE|RELEASE)\(tap9\) (?!00:03)/g),
        ].map((m) => m[1]);
        // Whoever is kept waiting for a second asks again; then a step is there twice.
        const once = (all: readonly (string | undefined)[]) => [...new Set(all)];
        deepStrictEqual(once(steps), ["DISCOVER", "OFFER", "REQUEST", "ACK", "RELEASE"], said);
        const steps6 = [
          ...said.matchAll(/DHCP(SOLICIT|ADVERTISE|REQUEST|REPLY|RELEASE|DECLINE)\(.*00:03:00:01/g),
        ];
        deepStrictEqual(once(steps6.map((m) => m[1])), ["SOLICIT", "REPLY", "RELEASE"], said);
        match(said, new RegExp(`DHCPRELEASE\\(tap9\\) 10\\.9\\.0\\.50 ${MAC}`));
      }),
  );
}
