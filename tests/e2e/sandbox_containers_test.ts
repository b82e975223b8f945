/**
 * Mode `sandbox` in the networks that container tools make: a bridge of CNI, a bridge of podman. Both stand in namespaces
 * of the test's own.
 */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { printed, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { succeeded } from "../support/guest.ts";
import { Lab } from "../support/lab.ts";

/** What the guest tells of its network, and whether its router answers. */
const LOOK =
  `ip -4 -o addr show dev eth0; ip route; ping -c1 -W5 "$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')"`;
/** What must be the same afterwards. */
const KERNELS = `while [ "$(ip -6 -o addr show dev eth0 tentative)" ]; do :; done
  ip addr show dev eth0; ip route; ip -6 route`;

test(
  "sandbox runs behind a bridge of CNI",
  needs("root", "netns", "tool:/usr/lib/cni/bridge", "tool:/usr/lib/cni/host-local"),
  () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      const directory = scope.directory();
      const container = lab.start(["unshare", "--net", "sh", "-c", "echo ready; exec cat"]);
      await printed(container, /^ready$/m);
      const ipam = {
        type: "host-local",
        dataDir: directory,
        ranges: [[{ subnet: "10.77.0.0/24" }], [{ subnet: "fd77::/64" }]],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
      };
      const bridge = { type: "bridge", bridge: "cni0", isGateway: true, ipam };
      const network = join(directory, "network.json");
      writeFileSync(network, JSON.stringify({ cniVersion: "1.0.0", name: "net", ...bridge }));
      await lab.script(
        "lab",
        `CNI_COMMAND=ADD CNI_CONTAINERID=one CNI_NETNS=/proc/${container.pid}/ns/net CNI_IFNAME=eth0 \
          CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge <${network}`,
      );
      const enter = ["nsenter", "--net", `--target=${container.pid}`, "--"];
      const before = await lab.run([...enter, "sh", "-c", KERNELS]);
      const sluice = ["env", `XDG_RUNTIME_DIR=${directory}`, scope.binary(), "--network=sandbox"];
      const inside = await lab.run([...enter, ...sluice, "do", "sh", "-c", LOOK]);
      succeeded(inside);
      match(inside.stdout, /^2: eth0 +inet 10\.77\.0\.2\/24 brd 10\.77\.0\.255 scope global eth0/);
      match(inside.stdout, /^default via 10\.77\.0\.1 dev eth0/m);
      match(inside.stdout, / 0% packet loss/);
      strictEqual((await lab.run([...enter, "sh", "-c", KERNELS])).stdout, before.stdout);
    }),
);

/**
 * podman as on a machine of its own: storage in $1, no cgroups. Some machines for tests have both kinds of cgroups,
 * which crun refuses; it is shown the one that it knows. Nobody may raise limits there.
 */
const PODMAN = `
mountpoint -q /sys/fs/cgroup/unified && { umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; }
mkdir -p $1/root/bin $1/root/proc $1/root/sys $1/root/dev $1/root/etc $1/root/tmp
cp "$(command -v busybox)" $1/root/bin/sleep
directory=$1
podman() {
  command podman --root $directory/storage --runroot $directory/run --cgroup-manager=cgroupfs --storage-driver=vfs "$@"
}
podman run --detach --name one --cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \\
  --rootfs $directory/root /bin/sleep 60 >/dev/null
container=$(podman inspect --format '{{.State.Pid}}' one)
before=$(nsenter --net --target=$container sh -c "$3")
XDG_RUNTIME_DIR=$directory nsenter --net --target=$container $2 --network=sandbox do sh -c "$4"
after=$(nsenter --net --target=$container sh -c "$3")
podman rm --force --time 0 one >/dev/null
[ "$before" = "$after" ] && echo "everything is back"`;

test(
  "sandbox runs in a network of podman",
  needs("root", "netns", "tool:podman", "tool:busybox", "tool:/usr/lib/podman/netavark"),
  () =>
    withScope(async (scope) => {
      const lab = await Lab.make(scope);
      const directory = scope.directory();
      const script = [
        "unshare",
        "--mount",
        "sh",
        "-ec",
        PODMAN,
        "sh",
        directory,
        scope.binary(),
        KERNELS,
        LOOK,
      ];
      const inside = await lab.run(script);
      succeeded(inside);
      match(inside.stdout, /^2: eth0 +inet 10\.88\.\d+\.\d+\/16 brd 10\.88\.255\.255 scope global eth0/);
      match(inside.stdout, /^default via 10\.88\.0\.1 dev eth0 proto static metric 100/m);
      match(inside.stdout, / 0% packet loss/);
      match(inside.stdout, /^everything is back$/m);
    }),
);
