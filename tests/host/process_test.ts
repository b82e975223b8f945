import { test } from "node:test";
import { ok, strictEqual } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { SIG } from "../../lib/host/constants.ts";
import { namespaceOf } from "../../lib/host/process.ts";
import { forwardSignals, onSignal } from "../../lib/host/signals.ts";
import { spawn } from "../../lib/host/spawn.ts";
import { waitStatus } from "../../lib/host/exit_status.ts";
import { randomWord } from "../../lib/host/random.ts";
import { getpid, kill } from "../../lib/host/sys.ts";
import { needs } from "../support/capability.ts";

const FIXTURE = fileURLToPath(new URL("./process_fixture.ts", import.meta.url));

/** Runs the fixture in a process of this runtime. */
function fixture(...args: string[]): string {
  const deno = typeof (globalThis as { Deno?: unknown }).Deno !== "undefined";
  const words = deno ? ["run", "-A", "--no-check", "--quiet", FIXTURE] : [FIXTURE];
  return execFileSync(process.execPath, [...words, ...args], { encoding: "utf8" });
}

function withDirectory(body: (directory: string) => void): void {
  const directory = mkdtempSync("/tmp/sluice-test-");
  try {
    body(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("becomeProgram() leaves limits as set and no signal ignored", () => {
  const [soft, hard, ignored] = fixture("limits").trim().split("\n");
  strictEqual(soft, "123");
  strictEqual(hard, "456");
  // Signals 32 and up belong to libc; whoever started the fixture may have left them ignored.
  strictEqual(BigInt(`0x${ignored}`) & 0x7fff_ffffn, 0n);
});

test(
  "dropCapabilities() takes all from us, and the right to mount from root's programs too",
  needs("root"),
  () => {
    const bounding = BigInt(`0x${fixture("capabilities").trim()}`);
    strictEqual(bounding >> 21n & 1n, 0n);
    strictEqual(bounding >> 13n & 1n, 1n);
  },
);

test("bindMount() and mountEmpty() change one mount namespace only", needs("root"), () => {
  withDirectory((directory) => {
    const [a, b, c] = ["a", "b", "c"].map((name) => `${directory}/${name}`);
    writeFileSync(a!, "from a\n");
    writeFileSync(b!, "from b\n");
    mkdirSync(c!);
    writeFileSync(`${c}/secret`, "");
    strictEqual(fixture("mounts", a!, b!, c!), "from a\n0\nro\n");
    strictEqual(readFileSync(b!, "utf8"), "from b\n");
  });
});

/** The module asked with an XDG_RUNTIME_DIR of the test's choice, as if the program had just begun. */
let asked = 0;
async function runtimeDirectoryFor(xdg: string | undefined): Promise<string> {
  const before = process.env["XDG_RUNTIME_DIR"];
  if (xdg === undefined) delete process.env["XDG_RUNTIME_DIR"];
  else process.env["XDG_RUNTIME_DIR"] = xdg;
  try {
    const specifier = `../../lib/host/files.ts?${asked++}`;
    const files: { runtimeDirectory(): string } = await import(specifier);
    return files.runtimeDirectory();
  } finally {
    if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
    else process.env["XDG_RUNTIME_DIR"] = before;
  }
}

test("runtimeDirectory() is made with mode 0700 under XDG_RUNTIME_DIR, and refused when others may write", async () => {
  const base = mkdtempSync("/tmp/sluice-test-");
  try {
    strictEqual(await runtimeDirectoryFor(base), `${base}/sluice`);
    strictEqual(lstatSync(`${base}/sluice`).mode & 0o777, 0o700);
    chmodSync(`${base}/sluice`, 0o777);
    const failure = await runtimeDirectoryFor(base).then(() => undefined, (error: Error) => error);
    ok(
      failure !== undefined && failure.message.includes("not a directory that only you can write"),
      String(failure),
    );
  } finally {
    rmSync(base, { recursive: true });
  }
});

/** Waits for `promise`; signal listeners alone keep no event loop alive. */
async function heardInTime(promise: Promise<void>): Promise<void> {
  const { promise: tooLate, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error("the signal never came")), 10_000);
  try {
    await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

test("onSignal() hears a signal until it is closed", async () => {
  const heard = new Promise<void>((resolve) => {
    const listener = onSignal("SIGUSR2", () => {
      listener.close();
      resolve();
    });
  });
  kill(getpid(), SIG.USR2);
  await heardInTime(heard);
});

test("forwardSignals() passes a signal on", async () => {
  const pid = spawn({ file: "sleep", argv: ["sleep", "60"] });
  const forwarding = forwardSignals(pid);
  const heard = new Promise<void>((resolve) => {
    const listener = onSignal("SIGUSR1", () => {
      listener.close();
      resolve();
    });
  });
  kill(getpid(), SIG.USR1);
  await heardInTime(heard);
  strictEqual(waitStatus(pid), 128 + SIG.USR1);
  forwarding.close();
});

test("namespaceOf() names a namespace, or tells nothing", () => {
  ok(namespaceOf("self", "net")?.startsWith("net:["));
  strictEqual(namespaceOf(2 ** 22 + 1, "net"), undefined);
});

test("randomWord() covers 32 bits and does not repeat itself", () => {
  const seen = new Set<number>();
  let all = 0;
  for (let i = 0; i < 5_000; i++) {
    const word = randomWord();
    ok(Number.isInteger(word) && word >= 0 && word < 2 ** 32);
    all |= word;
    seen.add(word);
  }
  strictEqual(all, -1);
  ok(seen.size > 4_980);
});
