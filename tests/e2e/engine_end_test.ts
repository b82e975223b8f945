/** A data plane that fails, crashes or hangs takes its guest along, and nobody waits for it. */

import { test } from "node:test";
import { match, ok, strictEqual } from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { statOf } from "../../lib/host/process_status.ts";
import { printed, PROJECT, run, type Scope, start, withScope } from "../support/e2e.ts";
import { needs } from "../support/capability.ts";
import { USERS } from "../support/guest.ts";
import { Terminal, until } from "../support/tmux.ts";

const MACHINE = needs("root", "userns", "user:tester", "tool:python3");
const TAPPED = needs("root", "tun", "userns", "user:tester", "tool:python3");
const BREAKER = join(PROJECT, "tests/e2e/hostile/engine.py");
const TERMINAL = needs("root", "userns", "user:tester", "tool:python3", "tool:tmux");
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

/**
 * As GUEST, by a daemon that none of sluice's signals and no parent's death reach; it writes to the file that is its argument.
 * The program itself only says when the daemon is ready.
 */
const DAEMON = `
import errno, os, socket, sys, threading, time
server = socket.create_server(("127.0.0.1", 0))
ready, done = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    for fd in (0, 1, 2): os.close(fd)
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
    os.write(log, b"daemon %d\\n" % os.getpid())
    def wait():
        try: server.accept()
        except OSError as e: os.write(log, b"accept " + errno.errorcode[e.errno].encode() + b"\\n")
    threading.Thread(target=wait, daemon=True).start()
    while True:
        time.sleep(.01)
        began = time.monotonic()
        try: socket.socket().close(); os.write(done, b".")
        except OSError as e:
            at_once = b"at once" if time.monotonic() - began < 1 else b"late"
            os.write(log, b"socket " + errno.errorcode[e.errno].encode() + b" " + at_once + b"\\n")
            time.sleep(1000)
os.read(ready, 3)
print("guest", os.getpid(), flush=True)
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
  if (how === "killed") process.kill(child.pid!, "SIGKILL");
  else if (how === "stopped, then killed") {
    process.kill(child.pid!, "SIGSTOP");
    process.kill(child.pid!, "SIGKILL");
  } else await printed(start(scope, ["python3", BREAKER, String(child.pid), how]), /done\n/);
  return { child, guest, over, stderr: () => stderr };
}

const gone = (pid: number) => until(() => !existsSync(`/proc/${pid}`), () => `process ${pid} lives`);

/** Sluice has ended it before it ended itself. */
function endsNow(scope: Scope, pid: number): void {
  // On a TAP it is init that buries it.
  const lives = (statOf(pid)?.[0] ?? "Z") !== "Z";
  if (lives) scope.defer(() => void process.kill(pid, "SIGKILL"));
  ok(!lives, `process ${pid} lives`);
}

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

  test(
    `a daemon of the guest is without a network at once when the data plane is gone (${name})`,
    X64,
    () =>
      withScope(async (scope) => {
        const how = ["killed", "stopped, then killed", "crash"];
        await Promise.all(how.map(async (how) => {
          const log = join(scope.directory(), "log");
          writeFileSync(log, "");
          chmodSync(log, 0o666);
          const { guest, over, stderr } = await broken(scope, how, ["python3", "-c", DAEMON, log], as);
          const said = () => readFileSync(log, "utf8");
          const daemon = Number(/daemon (\d+)/.exec(said())![1]);
          scope.defer(() => {
            if (existsSync(`/proc/${daemon}`)) process.kill(daemon, "SIGKILL");
          });
          await over;
          await gone(guest);
          // The runtime's report of a crash may take longer than our patience with the thread that crashed.
          const ended = () => how === "crash" && !existsSync(`/proc/${daemon}`);
          for (const line of [/^accept ENOSYS$/m, /^socket ENOSYS at once$/m]) {
            await until(() => line.test(said()) || ended(), () => `${how}: ${said()}${stderr()}`);
          }
        }));
      }),
  );

  test(`daemons of the guest end with the session (${name})`, X64, () =>
    withScope(async (scope) => {
      await Promise.all(["fail", "hang"].map(async (how) => {
        const log = join(scope.directory(), "log");
        writeFileSync(log, "");
        chmodSync(log, 0o666);
        const { child, over } = await broken(scope, how, ["python3", "-c", DAEMON, log], as);
        if (how === "hang") child.kill("SIGTERM");
        await over;
        endsNow(scope, Number(/^daemon (\d+)$/m.exec(readFileSync(log, "utf8"))![1]));
      }));
    }));

  test(
    `who was put in the background before sluice lives on (${name})`,
    MACHINE,
    () =>
      withScope(async (scope) => {
        const script = 'sleep 1000 >/dev/null 2>&1 & echo "before $!"; exec "$0" do -- true';
        const { stdout, status } = await run(["sh", "-c", script, scope.binary()], as);
        const pid = Number(/\d+/.exec(stdout)![0]);
        scope.defer(() => void process.kill(pid, "SIGKILL"));
        strictEqual(status, 0);
        strictEqual(readFileSync(`/proc/${pid}/comm`, "utf8"), "sleep\n");
      }),
  );

  for (const attach of ["sockets", "tap"]) {
    test(
      `daemons of the guest end with the program, also who ignores SIGTERM (${name}, ${attach})`,
      attach === "tap" ? TAPPED : MACHINE,
      () =>
        withScope(async (scope) => {
          const daemon = "trap '' TERM; while :; do sleep 1000; done";
          const argv = ["sh", "-c", `setsid sh -c "${daemon}" & echo "guest $!"; exit 3`];
          const child = start(scope, [scope.binary(), `--attach=${attach}`, "do", "--", ...argv], as);
          const over = new Promise((resolve) => child.once("exit", resolve));
          const pid = Number(/\d+/.exec(await printed(child, /guest \d+\n/))![0]);
          strictEqual(await over, 3);
          endsNow(scope, pid);
        }),
    );
  }

  test(`Ctrl-C ends a session whose data plane hangs (${name})`, TERMINAL, () =>
    withScope(async (scope) => {
      const terminal = await Terminal.open(scope, as.user);
      terminal.type(`${scope.binary()} do -- sh -c 'echo "in $PPID"; exec sleep 1000'`);
      await terminal.shows(/^in \d+$/m);
      const sluice = /^in (\d+)$/m.exec(terminal.screen())![1]!;
      await printed(start(scope, ["python3", BREAKER, sluice, "hang"]), /done\n/);
      terminal.press("C-c");
      await terminal.shows(/the data plane does not answer/);
      strictEqual(await terminal.ask("echo $?"), "130");
    }));
}
