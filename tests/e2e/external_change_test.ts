/**
 * A provider that comes back as another network: what the guest's kernel and its resolver know follows, also while the program
 * runs. And nerdbox' own example of a network, as it stands in its documentation.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { needs } from "../support/capability.ts";
import { printed, run, start, withScope } from "../support/e2e.ts";
import { succeeded } from "../support/guest.ts";
import { freePort } from "../support/ports.ts";
import { Served } from "../support/served.ts";

const NEEDS = needs("root", "tun", "userns", "user:tester");
const MAC = "02:00:00:00:00:01";
const SHOW = `ip -4 -o addr show dev eth0 | awk '{print $4}'
ip -4 route show default | cut -d' ' -f1-5
ip link show dev eth0 | grep -o 'mtu [0-9]*'
grep '^nameserver [0-9.]*$' /etc/resolv.conf
echo shown`;
/** Everything there is to follow has changed when the resolver has, which is told last. */
const CHANGED = "until grep -q 10.77.0.1 /etc/resolv.conf; do :; done";

for (const attachment of ["tap", "sockets"]) {
  test(
    `what a guest knows of its network follows the provider (tester, ${attachment})`,
    NEEDS,
    () =>
      withScope(async (scope) => {
        const served = new Served(scope, { user: "tester" });
        const listen = `--listen=unixstream://${served.path("lan.sock")}`;
        const first = await served.serve(listen, "--mtu=2000");
        const network = `socket=${served.path("lan.sock")},mode=unixstream,mac=${MAC},dhcp=true`;
        const script =
          `${SHOW}; read -r _; ${CHANGED}; ${SHOW}; ping -c 1 -W 5 10.77.0.1 >&2 && echo reached`;
        const argv = [served.binary, "--id=follower", "--attach", attachment, "--external-network", network];
        const guest = start(scope, [...argv, "do", "--", "sh", "-c", script], served.as);
        const before = await printed(guest, /^shown$/m);
        deepStrictEqual(before.trim().split("\n").slice(0, -1), [
          "192.168.127.2/24",
          "default via 192.168.127.1 dev eth0",
          "mtu 2000",
          "nameserver 192.168.127.1",
        ]);
        const { stdout } = succeeded(await run([served.binary, "ls", "-j"], served.as));
        const { network: kind } = JSON.parse(stdout).find(({ id }: { id: string }) => id === "follower");
        strictEqual(kind, "external");
        const over = new Promise((resolve) => first.once("exit", resolve));
        first.kill("SIGTERM");
        await over;
        await served.serve(listen, "--subnet=10.77.0.0/24");
        const after = printed(guest, /^reached$/m);
        guest.stdin!.write("\n");
        deepStrictEqual((await after).trim().split("\n"), [
          "10.77.0.2/24",
          "default via 10.77.0.1 dev eth0",
          "mtu 1500",
          "nameserver 10.77.0.1",
          "shown",
          "reached",
        ]);
      }),
  );
}

// gvproxy itself listens for datagrams on macOS only.
test(
  "the example of nerdbox' documentation works as it stands, with serve for gvproxy",
  NEEDS,
  () =>
    withScope(async (scope) => {
      const served = new Served(scope, {});
      const [api, vfkit] = ["network.sock", "gvisor.sock"].map((file) => served.path(file));
      const flags = ["-debug", "-listen", `unix://${api}`, "-listen-vfkit", `unixgram://${vfkit}`];
      // The example leaves it at 2222, which somebody else may have here.
      await served.serve(...flags, "-ssh-port", `${await freePort()}`);
      const annotation =
        `io.containerd.nerdbox.network.0=socket=${vfkit},mode=unixgram,mac=fa:43:25:5d:6f:b4,addr=192.168.127.2`;
      const script = `${SHOW}; getent ahostsv4 gateway.containers.internal | head -1 | cut -d' ' -f1`;
      const guest = ["--annotation", annotation, "do", "--", "sh", "-c", script];
      const { stdout, stderr } = succeeded(await run([served.binary, ...guest], served.as));
      match(stderr, /addr=192\.168\.127\.2 has no mask; \/24 is assumed/);
      deepStrictEqual(stdout.trim().split("\n"), [
        "192.168.127.2/24",
        "default via 192.168.127.1 dev eth0",
        "mtu 1500",
        "nameserver 192.168.127.1",
        "shown",
        "192.168.127.1",
      ]);
    }),
);
