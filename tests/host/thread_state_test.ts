import { test } from "node:test";
import { ok } from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { isAtWork } from "../../lib/host/thread_state.ts";

test("who sleeps is not at work, who is stopped may be, and who is gone is not", async () => {
  const child = spawn("cat", { stdio: ["pipe", "pipe", "ignore"] });
  const over = new Promise((resolve) => child.once("exit", resolve));
  try {
    child.stdin.write("ready");
    await new Promise((resolve) => child.stdout.once("data", resolve));
    // It reads again, and finds nothing.
    while (isAtWork(child.pid!)) await new Promise((resolve) => setImmediate(resolve));
    process.kill(child.pid!, "SIGSTOP");
    while (!isAtWork(child.pid!)) await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.kill(child.pid!, "SIGKILL");
    await over;
  }
  ok(!isAtWork(child.pid!));
});
