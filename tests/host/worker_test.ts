import { test } from "node:test";
import { deepStrictEqual, match } from "node:assert/strict";
import { sendMessage } from "../../lib/host/fdpass.ts";
import { socketPair } from "../../lib/host/socket_pair.ts";
import { close } from "../../lib/host/sys.ts";
import { startWorker } from "../../lib/host/worker.ts";

test("startWorker() runs a loop in a thread that hears us through a descriptor and posts back", async () => {
  const [near, far] = socketPair();
  const heard: unknown[] = [];
  const worker = startWorker(new URL("./worker_fixture.ts", import.meta.url));
  const over = Promise.withResolvers<void>();
  worker.onError = (why) => over.reject(new Error(why));
  worker.onMessage = (message) => {
    heard.push(message);
    const { heard: what } = message as { heard: string };
    if (what === "ready") sendMessage(near, new TextEncoder().encode("hello"));
    else if (what === "hello") close(near);
    else over.resolve();
  };
  worker.post({ fd: far });
  await over.promise;
  worker.terminate();
  close(far);
  deepStrictEqual(heard, [
    { heard: "ready", errno: 0 },
    { heard: "hello", errno: -9 },
    { heard: "over", errno: 0 },
  ]);
});

test("startWorker() reports a module that cannot be loaded", async () => {
  const worker = startWorker(new URL("./no_such_module.ts", import.meta.url));
  const why = await new Promise<string>((resolve) => worker.onError = resolve);
  worker.terminate();
  match(why, /./);
});
