import { deepEqual, equal, match } from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Notifier, WAITING_MAX } from "../../lib/cli/notifier.ts";
import type { EngineClient } from "../../lib/engine/messages.ts";

/** An engine with guests of these hardware addresses. */
function engineOf(macs: () => string[]): EngineClient {
  return { ask: () => Promise.resolve({ guests: [{ id: 0, macs: macs() }] }) } as unknown as EngineClient;
}

async function withListener(
  body: (path: string, told: string[]) => Promise<void>,
) {
  const directory = mkdtempSync(join(tmpdir(), "sluice-notifier-"));
  const path = join(directory, "told");
  const told: string[] = [];
  const listener = createServer((socket) => void socket.on("data", (text) => told.push(String(text))));
  try {
    await new Promise<void>((resolve) => listener.listen(path, resolve));
    await body(path, told);
  } finally {
    listener.close();
    rmSync(directory, { recursive: true });
  }
}

const line = (what: string, mac?: string) =>
  `${JSON.stringify({ notification_type: what, mac_address: mac })}\n`;

test("who listens is told when guests can come, come and go", () =>
  withListener(async (path, told) => {
    let macs: string[] = [];
    const problems: string[] = [];
    const notifier = new Notifier(engineOf(() => macs), path, (text) => problems.push(text));
    const until = async (count: number) => {
      while (told.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    notifier.start();
    await until(1);
    macs = ["a", "b"];
    await until(3);
    macs = ["b"];
    await until(4);
    notifier.close();
    deepEqual(told, [
      line("ready"),
      line("connection_established", "a"),
      line("connection_established", "b"),
      line("connection_closed", "a"),
    ]);
    deepEqual([problems, notifier.counters()], [[], { "notification.dropped": 0 }]);
  }));

test("where nobody listens it is said, and no more wait than may", async () => {
  const problems: string[] = [];
  const macs = Array.from({ length: WAITING_MAX + 50 }, (_, i) => String(i));
  let said: () => void = () => {};
  const all = new Promise<void>((resolve) => said = resolve);
  const notifier = new Notifier(engineOf(() => macs), "/no/such/socket", (text) => {
    problems.push(text);
    if (problems.length + notifier.counters()["notification.dropped"]! === 1 + macs.length) said();
  });
  notifier.start();
  await all;
  notifier.close();
  match(problems[0]!, /^cannot notify \/no\/such\/socket of ready: /);
  // Whether the first still waits when the guests are looked at is chance.
  equal([50, 51].includes(notifier.counters()["notification.dropped"]!), true);
});
