/**
 * Unix sockets of the host that are a guest's by ssh: gvproxy's `-forward-sock` and its API's `ssh-tunnel:`. The guest is an
 * sshd behind `sluice do`, which comes late, goes, and comes back.
 */

import { test } from "node:test";
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, statSync, writeFileSync } from "node:fs";
import { needs } from "../support/capability.ts";
import { printed, run, start, withScope } from "../support/e2e.ts";
import { Served } from "../support/served.ts";

const MAC = "5a:94:ef:e4:0c:ee";
const NEEDS = needs("root", "userns", "tool:ssh", "tool:sshd", "tool:curl", "tool:python3", "tool:setpriv");

test(
  "a socket leads into the guest by ssh, however late it comes and however often",
  NEEDS,
  () =>
    withScope(async (scope) => {
      const served = new Served(scope, {});
      await Promise.all(["host_key", "user_key"].map((name) =>
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", served.path(name)])
      ));
      copyFileSync(served.path("user_key.pub"), served.path("authorized_keys"));
      const config = `HostKey ${served.path("host_key")}
AuthorizedKeysFile ${served.path("authorized_keys")}
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
`;
      writeFileSync(served.path("sshd_config"), config);
      execFileSync("mkdir", ["-p", "/run/sshd"]);
      const service = `
import socket, os
try: os.unlink("${served.path("guest.sock")}")
except FileNotFoundError: pass
server = socket.socket(socket.AF_UNIX)
server.bind("${served.path("guest.sock")}")
server.listen()
print("ready", flush=True)
while True:
    client, _ = server.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nfrom the guest")
    client.close()`;
      // The sshd must not outlive its guest: without a supervisor its accept() fails for ever, and it tries again for ever.
      const sshd = `setpriv --pdeathsig KILL /usr/sbin/sshd -D -e -f ${served.path("sshd_config")}`;
      const guest = `${sshd} & exec python3 -S -c '${service}'`;
      const boot = async () => {
        const child = start(scope, served.guest(MAC, ["sh", "-c", guest]), served.as);
        await printed(child, /^ready$/m);
        return child;
      };
      // deno-fmt-ignore
      const server = await served.serve(
      "-listen-qemu", `unix://${served.path("qemu.sock")}`, "-listen", `unix://${served.path("api.sock")}`,
      "-ssh-port", "-1", "-forward-sock", served.path("podman.sock"), "-forward-dest", served.path("guest.sock"),
      "-forward-user", "root", "-forward-identity", served.path("user_key"),
    );
      strictEqual(statSync(served.path("podman.sock")).mode & 0o777, 0o600);
      const ask = async (name: string) => {
        const argv = ["curl", "-sS", "--max-time", "55", "--unix-socket", served.path(name), "http://guest/"];
        const { stdout, stderr } = await run(argv);
        return stdout + stderr;
      };

      const early = ask("podman.sock");
      const first = await boot();
      strictEqual(await early, "from the guest");

      const remote = `ssh-tunnel://root@192.168.127.2:22${served.path("guest.sock")}?key=${
        served.path("user_key")
      }`;
      const tunnel = { local: served.path("tunnel.sock"), remote, protocol: "unix" };
      const [status, why] = await served.ask("/services/forwarder/expose", tunnel);
      strictEqual(status, 200, why);
      strictEqual(await ask("tunnel.sock"), "from the guest");
      match(
        await served.json<object[]>("/services/forwarder/all").then(JSON.stringify),
        /ssh-tunnel:\/\/root@/,
      );

      first.kill("SIGTERM");
      await once(first, "exit");
      await boot();
      const both = [ask("podman.sock"), ask("tunnel.sock")];
      deepStrictEqual(await Promise.all(both), ["from the guest", "from the guest"]);

      strictEqual((await served.ask("/services/forwarder/unexpose", tunnel))[0], 200);
      strictEqual(existsSync(tunnel.local), false);
      server.kill("SIGTERM");
      await once(server, "exit");
      strictEqual(existsSync(served.path("podman.sock")), false);
    }),
);
