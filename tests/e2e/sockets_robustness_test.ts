/** Programs that are interrupted, killed and run out of things, behind the attachment `sockets`, as on the host itself. */

import { test } from "node:test";
import { match, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printed, PROJECT, run, start, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { succeeded, USERS } from "../support/guest.ts";

const MACHINE = needs("root", "userns", "user:tester", "tool:python3");
const PROGRAM = readFileSync(join(PROJECT, "tests/attach/sockets/robustness.py"), "utf8");
const EXPECTED = `interrupted accept: works
storm of signals: works 0
killed in accept: works
threads: works
passed descriptor: True
inherited descriptor: True
end of the last one: True
too many: EMFILE
after that: works
bad pointer: -1 EFAULT
bad length: -1 EFAULT
no descriptor: -1 EBADF
no socket: -1 ENOTSOCK
bad type: -1 EINVAL
`;

const RESTART = readFileSync(join(PROJECT, "tests/attach/sockets/restart.py"), "utf8");
const RESTARTED = `accept SA_RESTART works
recvfrom SA_RESTART works
accept with a time-out SA_RESTART EINTR
and then EAGAIN
recvfrom with a time-out SA_RESTART EINTR
accept no SA_RESTART EINTR
recvfrom no SA_RESTART EINTR
accept with a time-out no SA_RESTART EINTR
and then EAGAIN
recvfrom with a time-out no SA_RESTART EINTR
`;

test(
  "a signal interrupts calls that wait, or does not, as on the host",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const program = ["python3", "-c", RESTART];
      strictEqual(succeeded(await run(program, { limit: 30_000 })).stdout, RESTARTED);
      const sluice = [scope.binary(), "--attach=sockets", "--network=none", "do", "--"];
      strictEqual(succeeded(await run([...sluice, ...program], { limit: 30_000 })).stdout, RESTARTED);
    }),
);

test("signals with SA_RESTART change nothing, however many", MACHINE, () =>
  withScope(async (scope) => {
    const program = readFileSync(join(PROJECT, "tests/attach/sockets/storm.py"), "utf8");
    const sluice = [scope.binary(), "--attach=sockets", "--network=none", "do", "--"];
    const storm = ["python3", "-c", program, "20", "0.0003"];
    strictEqual(succeeded(await run([...sluice, ...storm], { limit: 30_000 })).stdout, "rounds 20\n");
  }));

test("robustness.py says on the host what it is expected to say", MACHINE, async () => {
  strictEqual(succeeded(await run(["python3", "-c", PROGRAM], { limit: 30_000 })).stdout, EXPECTED);
});

for (const { name, as } of USERS) {
  for (const network of ["none", "sandbox-passthrough"]) {
    test(
      `robustness.py says the same behind --network=${network} (${name})`,
      MACHINE,
      () =>
        withScope(async (scope) => {
          const sluice = [scope.binary(), "--attach=sockets", `--network=${network}`, "do", "--"];
          const result = await run([...sluice, "python3", "-c", PROGRAM], { ...as, limit: 60_000 });
          strictEqual(succeeded(result).stdout, EXPECTED);
        }),
    );
  }

  test(`the guest ends with a sluice that is killed (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const script = "import os,socket\ns=socket.create_server(('127.0.0.1',0))\n" +
        "print('guest',os.getpid(),flush=True)\ns.accept()";
      const sluice = [scope.binary(), "--attach=sockets", "do", "--", "python3", "-c", script];
      // setpriv executes sluice, so the child is sluice itself.
      const child = start(scope, sluice, as);
      await printed(child, /guest \d+\n/);
      // Our end of its standard output ends when the guest is gone.
      const ended = new Promise<void>((resolve) => child.stdout!.once("end", () => resolve()));
      child.kill("SIGKILL");
      await ended;
    }));
}

test(
  "a server that becomes a daemon is answered after its parents have ended",
  MACHINE,
  () =>
    withScope(async (scope) => {
      const daemon = "import os,socket,sys\ns=socket.create_server(('127.0.0.1',4000))\n" +
        "if os.fork(): sys.exit()\nos.setsid()\nif os.fork(): sys.exit()\nc,_=s.accept()\nc.sendall(b'daemon %d' % os.getpid())";
      const client = "import socket\nprint(socket.create_connection(('127.0.0.1',4000)).recv(99).decode())";
      const script = `python3 -c "$1"; python3 -c "$2"`;
      const sluice = [scope.binary(), "--attach=sockets", "--network=none", "do", "--"];
      const result = await run([...sluice, "sh", "-c", script, "sh", daemon, client], { limit: 30_000 });
      match(succeeded(result).stdout, /^daemon \d+\n$/);
    }),
);
