import { test } from "node:test";
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { EngineConfig } from "../../lib/engine/config.ts";
import type { EngineMessage } from "../../lib/engine/messages.ts";
import { sendMessage } from "../../lib/host/fdpass.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close } from "../../lib/host/sys.ts";
import { startWorker } from "../../lib/host/worker.ts";

/** HUP INT QUIT USR2 TERM CHLD CONT WINCH, as `/proc` writes a mask. */
const FROM_OUTSIDE = "0000000008034807";

/** What each thread of this process blocks. */
function blockedSignals(): string[] {
  return readdirSync("/proc/self/task").flatMap((thread) => {
    try {
      const status = readFileSync(`/proc/self/task/${thread}/status`, "utf8");
      return /^SigBlk:\s+(\S+)$/m.exec(status)![1]!;
    } catch {
      return []; // A thread of the runtime that has ended meanwhile.
    }
  });
}

for (const debug of [false, true]) {
  test(`the engine says so when one of its own handlers throws (debug ${debug})`, async () => {
    const [near, far] = socketPair();
    const worker = startWorker(new URL("../../lib/engine/worker.ts", import.meta.url));
    const heard: EngineMessage[] = [];
    const over = Promise.withResolvers<void>();
    const masks: string[] = [];
    worker.onError = (why) => over.reject(new Error(why));
    worker.onMessage = (data) => {
      const message = data as EngineMessage;
      heard.push(message);
      // No handler expects a request that is no JSON: only the engine's owner speaks here.
      if (message.type === "ready") masks.push(...blockedSignals());
      if (message.type === "ready") sendMessage(near, new TextEncoder().encode("{"));
      if (message.type === "failed") over.resolve();
    };
    const mode = { network: "host", attach: "tap", networks: [] as const } as unknown as EngineConfig["mode"];
    worker.post({ mode, requests: far, child: 0, debug, logPackets: false, pcapLog: "" });
    await over.promise;
    worker.terminate();
    close(near);
    close(far);
    deepStrictEqual(heard.map(({ type }) => type), ["ready", "failed"]);
    ok(masks.includes(FROM_OUTSIDE), `no thread leaves signals to others: ${masks}`);
    const failed = heard[1] as EngineMessage & { type: "failed" };
    strictEqual(failed.status, 125);
    match(
      failed.message,
      debug
        ? /^the data plane failed: .*\n\s+at /s
        : /^the data plane failed: .* \(a defect; --debug shows where\)$/,
    );
  });
}
