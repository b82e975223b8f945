import { test } from "node:test";
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { childExit } from "../../lib/host/child_exit.ts";
import { SIG, SOCK } from "../../lib/host/constants.ts";
import { Errno, SystemError } from "../../lib/host/errno.ts";
import { reap, RUNNING, waitStatus } from "../../lib/host/exit_status.ts";
import { receiveMessage, sendDescriptor, sendMessage } from "../../lib/host/fdpass.ts";
import { NativeMemory, textAt } from "../../lib/host/memory.ts";
import { inheritedNoFile, noFileLimit } from "../../lib/host/process.ts";
import { Reactor } from "../../lib/host/reactor.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { spawn, type SpawnOptions } from "../../lib/host/spawn.ts";
import { close, kill, read } from "../../lib/host/sys.ts";

/** Runs a shell script and returns its exit status and what it wrote to descriptor 1. */
function shell(script: string, options: Partial<SpawnOptions> = {}): { status: number; output: string } {
  const [near, far] = socketPair(SOCK.STREAM);
  const descriptors = [{ from: far, to: 1 }, ...(options.descriptors ?? [])];
  const pid = spawn({ file: "sh", argv: ["sh", "-c", script], ...options, descriptors });
  close(far);
  const memory = new NativeMemory(65_536);
  let length = 0;
  for (;;) {
    const n = read(near, memory.address + length, 65_536 - length);
    if (n <= 0) break;
    length += n;
  }
  close(near);
  return { status: waitStatus(pid), output: textAt(memory.bytes, 0, length) };
}

test("spawn() passes arguments, environment, directory and the exit status", () => {
  const { status, output } = shell('echo "$GREETING" "$0" "$(pwd)"; exit 7', {
    env: { GREETING: "grüße", PATH: "/bin:/usr/bin" },
    cwd: "/",
  });
  deepStrictEqual([status, output], [7, "grüße sh /\n"]);
});

test("spawn() reports a program that is not there, or cannot run", () => {
  const code = (file: string) => {
    let seen = "";
    throws(() => spawn({ file, argv: [file] }), (error) => {
      seen = (error as SystemError).code;
      return error instanceof SystemError;
    });
    return seen;
  };
  strictEqual(code("/no/such/program"), "ENOENT");
  strictEqual(code("no-such-program-anywhere"), "ENOENT");
  strictEqual(code("/etc/passwd"), "EACCES");
});

test("spawn() gives the child the signals that the runtime changed back", () => {
  const { output } = shell("grep -E '^Sig(Blk|Ign)' /proc/self/status");
  const masks = [...output.matchAll(/\t([0-9a-f]+)/g)].map(([, mask]) => mask);
  deepStrictEqual(masks, ["0000000000000000", "0000000000000000"], output);
});

test("spawn() swaps descriptors and leaks none", () => {
  const [a, b] = socketPair(SOCK.STREAM);
  const { status, output } = shell(
    "echo three >&3; echo four >&4; ls /proc/self/fd | wc -l; test ! -e /proc/self/fd/5",
    {
      descriptors: [{ from: a, to: 4 }, { from: b, to: 3 }],
      closeFrom: 5,
    },
  );
  strictEqual(status, 0);
  // 0, 1, 2, 3, 4 and the one that ls reads.
  strictEqual(output.trim(), "6");
  const memory = new NativeMemory(16);
  strictEqual(read(a, memory.address, 16), 6);
  strictEqual(textAt(memory.bytes, 0, 6), "three\n");
  strictEqual(read(b, memory.address, 16), 5);
  close(a);
  close(b);
});

test("spawn() makes a process group when asked", () => {
  const { output } = shell('echo $$ "$(cut -d" " -f5 /proc/$$/stat)"', { processGroup: 0 });
  const [pid, group] = output.trim().split(" ");
  strictEqual(group, pid);
});

test("waitStatus() is 128 + n for signal n", () => {
  strictEqual(shell("kill -TERM $$").status, 128 + SIG.TERM);
  strictEqual(reap(1), -Errno.ECHILD);
});

test("childExit() is an event of the reactor, once", () => {
  const reactor = new Reactor();
  const pid = spawn({ file: "sleep", argv: ["sleep", "60"] });
  const seen: number[] = [];
  childExit(reactor, pid, (status) => {
    seen.push(status);
    reactor.stop();
  });
  strictEqual(reap(pid), RUNNING);
  kill(pid, SIG.KILL);
  reactor.run({ beforeWait: () => Infinity, afterTurn() {} });
  deepStrictEqual(seen, [137]);
  strictEqual(reap(pid), -Errno.ECHILD);
  throws(() => childExit(reactor, pid, () => {}), SystemError);
  reactor.close();
});

test("sendDescriptor() and receiveMessage() hand over an open descriptor", () => {
  const [near, far] = socketPair();
  const [a, b] = socketPair();
  sendDescriptor(near, a, new TextEncoder().encode("here"));
  const { descriptors: [fd = -1], bytes } = receiveMessage(far);
  strictEqual(new TextDecoder().decode(bytes), "here");
  ok(fd !== a);
  sendMessage(fd, new Uint8Array([1, 2]));
  deepStrictEqual([...receiveMessage(b).bytes], [1, 2]);
  sendMessage(near, new Uint8Array([3]));
  deepStrictEqual(receiveMessage(far).descriptors, []);
  for (const each of [a, b, fd, near]) close(each);
  strictEqual(receiveMessage(far).bytes.length, 0);
  close(far);
});

test("inheritedNoFile() is at most what we have now", () => {
  const [soft, hard] = inheritedNoFile(), now = noFileLimit()!;
  ok(soft > 0 && soft <= now[0]);
  strictEqual(hard, now[1]);
});
