/**
 * A guest on two networks, the second of which lies; one whose provider says that somebody has its address; one whose provider
 * goes and comes back.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { chmodSync } from "node:fs";
import { needs } from "../support/capability.ts";
import { printed, run, type Scope, start, withScope } from "../support/e2e.ts";
import { succeeded } from "../support/guest.ts";
import { scriptCommand } from "../support/lab.ts";
import type { Lies } from "../support/lying_provider.ts";
import { Served } from "../support/served.ts";

const NEEDS = needs("root", "tun", "userns", "user:tester");
const LIES: Lies = { address: "10.66.0.50/24", router: "10.66.0.1" };

/** Starts a provider that lies; its socket is `liar.sock` of the directory. */
async function lie(
  scope: Scope,
  served: Served,
  lies: Lies,
  transport = "unixstream",
): Promise<ChildProcess> {
  const path = served.path("liar.sock");
  const child = start(
    scope,
    scriptCommand("tests/support/lying_provider.ts", [path, transport, JSON.stringify(lies)]),
  );
  await printed(child, /^ready$/m);
  chmodSync(path, 0o777);
  return child;
}

function liar(served: Served, transport = "unixstream"): string {
  return `name=liar,socket=${served.path("liar.sock")},mode=${transport},mac=02:00:00:00:00:01,dhcp=true`;
}

for (const [attach, transport] of [["tap", "unixstream"], ["sockets", "unixgram"]] as const) {
  test(
    `a second network takes nothing of the first, whatever it says and however often (tester, ${attach})`,
    NEEDS,
    () =>
      withScope(async (scope) => {
        const served = new Served(scope, { user: "tester" });
        await served.serve(`--listen=unixstream://${served.path("lan.sock")}`);
        const routes = ["128.0.0.0/1", "192.168.127.0/25", "192.168.127.1/32", "172.20.0.0/16"];
        await lie(scope, served, { ...LIES, routes, flood: true }, transport);
        const home = `name=home,socket=${
          served.path("lan.sock")
        },mode=unixstream,mac=02:00:00:00:09:09,dhcp=true`;
        // Both have a lease when the program starts, and what they say of routes counts.
        const script = `ip -4 route show | cut -d' ' -f1-5
        ping -c 20 -i 0.05 -W 5 192.168.127.1 | grep -o '[0-9]* received'`;
        const networks = ["--external-network", home, "--external-network", liar(served, transport)];
        const { stdout, stderr } = succeeded(
          await run(
            [served.binary, "--attach", attach, ...networks, "do", "--", "sh", "-c", script],
            served.as,
          ),
        );
        deepStrictEqual(stdout.trim().split("\n"), [
          "default via 192.168.127.1 dev eth0",
          "10.66.0.0/24 dev eth1 proto kernel",
          "172.20.0.0/16 via 10.66.0.1 dev eth1",
          "192.168.127.0/24 dev eth0 proto kernel",
          "20 received",
        ]);
        for (const route of routes.slice(0, 3)) {
          const refusal =
            `network liar: its route to ${route} is not used: it would take what is network home's\n`;
          strictEqual(stderr.split(refusal).length, 2, stderr);
        }
        strictEqual(stderr.split("\n").length, 4, stderr);
      }),
  );
}

test(
  "an address that DHCPv6 gives and somebody has is declined, with a kernel of the guest's own, too",
  NEEDS,
  () =>
    withScope(async (scope) => {
      const served = new Served(scope, { user: "tester" });
      const provider = await lie(scope, served, { ...LIES, taken6: "2001:db8:d::5" });
      const declined = printed(provider, /^decline$/m);
      const script = "ip -6 -o addr show dev eth0 scope global; read -r _";
      const argv = [served.binary, "--attach=tap", "--external-network", liar(served), "do", "--"];
      const guest = start(scope, [...argv, "sh", "-c", script], served.as);
      const said = printed(guest, /a DHCPv6 server gave 2001:db8:d::5, which somebody has already/, "stderr");
      let shown = "";
      guest.stdout!.on("data", (chunk: Uint8Array) => shown += new TextDecoder().decode(chunk));
      await Promise.all([declined, said]);
      const over = new Promise((resolve) => guest.once("exit", resolve));
      guest.stdin!.end("\n");
      strictEqual(await over, 0);
      strictEqual(shown, "");
    }),
);

test(
  "a guest with a kernel sees the cable out while its provider is gone, and keeps its address",
  NEEDS,
  () =>
    withScope(async (scope) => {
      const served = new Served(scope, { user: "tester" });
      const first = await lie(scope, served, LIES);
      const until = (flag: string) =>
        `until ip link show eth0 | grep -q '[<,]${flag}[,>]'; do :; done; echo ${flag}`;
      const script = `echo up; ${until("NO-CARRIER")}; ip -4 -o addr show dev eth0 | awk '{print $4}'
      read -r _; ${until("LOWER_UP")}; ip -4 route show default | cut -d' ' -f1-3`;
      const argv = [served.binary, "--attach=tap", "--external-network", liar(served), "do", "--"];
      const guest = start(scope, [...argv, "sh", "-c", script], served.as);
      await printed(guest, /^up$/m);
      const out = printed(guest, /^10\.66\.0\.50\/24$/m);
      const gone = new Promise((resolve) => first.once("exit", resolve));
      first.kill("SIGKILL");
      await gone;
      match(await out, /^NO-CARRIER$/m);
      await run(["rm", served.path("liar.sock")]);
      await lie(scope, served, LIES);
      const back = printed(guest, /^default via 10\.66\.0\.1$/m);
      guest.stdin!.write("\n");
      match(await back, /^LOWER_UP$/m);
    }),
);
