/** A data plane that fails, crashes or hangs takes its guest along, and nobody waits for it. */

import { test } from "node:test";
import { match, ok, strictEqual } from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { printed, PROJECT, type Scope, start, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { USERS } from "../support/guest.ts";
import { until } from "../support/tmux.ts";

const MACHINE = needs("root", "userns", "user:tester", "tool:python3");
const BREAKER = join(PROJECT, "tests/e2e/hostile/engine.py");
// The breaker knows the registers of one architecture.
const X64 = process.arch === "x64" ? MACHINE : { skip: "registers of x86-64" };

/** Longest time from a signal to the end, milliseconds; what it takes is in lib/engine/watchdog.ts. */
const SOON = 8_000;

/** A thread waits in accept for ever; the other makes sockets until one cannot be made. */
const GUEST = `
import errno, os, socket, threading, time
server = socket.create_server(("127.0.0.1", 0))
def wait():
    try: server.accept()
    except OSError as e: os.write(1, b"accept " + errno.errorcode[e.errno].encode() + b"\\n")
threading.Thread(target=wait, daemon=True).start()
print("guest", os.getpid(), flush=True)
while True:
    time.sleep(.01)
    try: socket.socket().close()
    except OSError as e:
        os.write(1, b"socket " + errno.errorcode[e.errno].encode() + b"\\n")
        time.sleep(1000)
`;

/** Sluice with a guest, whose data plane is then broken. */
async function broken(scope: Scope, how: string, argv: readonly string[], as: { user?: string }) {
  const child = start(scope, [scope.binary(), "do", "--", ...argv], as);
  let stderr = "";
  child.stderr!.on("data", (bytes: Uint8Array) => stderr += new TextDecoder().decode(bytes));
  const over = new Promise<number | string | null>((resolve) =>
    child.once("exit", (status, signal) => resolve(status ?? signal))
  );
  const guest = Number(/\d+/.exec(await printed(child, /guest \d+\n/))![0]);
  const breaker = start(scope, ["python3", BREAKER, String(child.pid), how]);
  await printed(breaker, /done\n/);
  return { child, guest, over, stderr: () => stderr };
}

const gone = (pid: number) => until(() => !existsSync(`/proc/${pid}`), () => `process ${pid} lives`);

for (const { name, as } of USERS) {
  test(
    `a data plane that fails ends the session with status 125 (${name})`,
    X64,
    () =>
      withScope(async (scope) => {
        const { guest, over, stderr } = await broken(scope, "fail", ["python3", "-c", GUEST], as);
        strictEqual(await over, 125);
        match(stderr(), /^sluice: the data plane failed: cannot wait for events: EBADF/i);
        await gone(guest);
      }),
  );

  test(`a data plane that crashes takes the guest along (${name})`, X64, () =>
    withScope(async (scope) => {
      const { guest, over } = await broken(scope, "crash", ["python3", "-c", GUEST], as);
      ok([139, "SIGSEGV", "SIGTRAP", "SIGABRT", "SIGILL"].includes(await over as string));
      await gone(guest);
    }));

  test(`signals end a session whose data plane hangs (${name})`, MACHINE, () =>
    withScope(async (scope) => {
      const polite = "echo guest $$; exec sleep 1000";
      const deaf = "trap '' 15; echo guest $$; while :; do sleep 0.1; done";
      await Promise.all(
        ([["SIGTERM", polite, 143], ["SIGINT", polite, 130], ["SIGHUP", polite, 129], [
          "SIGTERM",
          deaf,
          125,
        ]] as const)
          .map(async ([signal, script, status]) => {
            const { child, guest, over, stderr } = await broken(scope, "hang", ["sh", "-c", script], as);
            const began = performance.now();
            process.kill(child.pid!, signal);
            strictEqual(await over, status, signal);
            ok(performance.now() - began < SOON);
            match(stderr(), /the data plane does not answer/);
            await gone(guest);
          }),
      );
    }));
}
