/**
 * Running the compiled binary the way a user does: as root and as an ordinary user, with real programs and real
 * servers on this host's loopback.
 *
 * Everything that a test makes is removed when it ends, also on failure: use `withScope`.
 *
 * @module
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, cpSync, existsSync, linkSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import process from "node:process";

export const PROJECT: string = fileURLToPath(new URL("../../", import.meta.url));
/** `SLUICE_BINARY` names another one to be tested. */
const BUILT = process.env["SLUICE_BINARY"] ?? join(PROJECT, "dist", "sluice");
/** How many times slower than an ordinary machine this one is: an emulated one needs more time before it counts as hung. */
const SLOWNESS = Number(process.env["SLUICE_SLOWNESS"] ?? 1);

/** What a finished program left behind. */
export interface Finished {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run it. */
export interface RunOptions {
  /** An ordinary user of this machine; only root may ask for one. */
  readonly user?: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Milliseconds after which the program is killed and the run counts as hung. Never a synchronisation. */
  readonly limit?: number;
}

/** Things to undo when a test ends, in reverse order. */
export class Scope {
  readonly #undo: (() => void | Promise<void>)[] = [];

  defer(undo: () => void | Promise<void>): void {
    this.#undo.push(undo);
  }

  /** A directory that anybody may enter. */
  directory(): string {
    const path = mkdtempSync(join(tmpdir(), "sluice-test-"));
    chmodSync(path, 0o755);
    this.defer(() => remove(path));
    return path;
  }

  /** The compiled binary where an ordinary user can reach it, too. */
  binary(): string {
    if (!existsSync(BUILT)) throw new Error(`Cannot find ${BUILT}: run npm run compile first`);
    const path = join(this.directory(), "sluice");
    try {
      linkSync(BUILT, path); // a copy of so large a file is the better part of a short test
    } catch {
      cpSync(BUILT, path); // another file system
    }
    chmodSync(path, 0o755);
    return path;
  }

  /** Undoes everything, also after one that could not be; resolves to why those could not. */
  async end(): Promise<unknown[]> {
    const errors: unknown[] = [];
    for (const undo of this.#undo.reverse()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }
}

/** What was started in a directory may write to it a moment longer: podman cleans up after it has ended. */
async function remove(path: string): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      return rmSync(path, { recursive: true, force: true });
    } catch (error) {
      if (tries === 50 || !String(error).includes("ENOTEMPTY")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Runs `body` and undoes what it made, whatever happens. What `body` fails with is told before what could not be undone. */
export async function withScope(body: (scope: Scope) => Promise<void>): Promise<void> {
  const scope = new Scope();
  const errors: unknown[] = [];
  try {
    await body(scope);
  } catch (error) {
    errors.push(error);
  }
  errors.push(...await scope.end());
  if (errors.length > 1) throw new AggregateError(errors, errors.join("; "));
  if (errors.length === 1) throw errors[0];
}

function commandLine(argv: readonly string[], options: RunOptions): [string, string[]] {
  const wrapped = options.user === undefined
    ? [...argv]
    : ["setpriv", `--reuid=${options.user}`, `--regid=${options.user}`, "--init-groups", "--", ...argv];
  return [wrapped[0]!, wrapped.slice(1)];
}

function environment(options: RunOptions): Record<string, string | undefined> {
  const base: Record<string, string | undefined> = { ...process.env };
  // An ordinary user has a runtime directory of their own, or none.
  if (options.user !== undefined) delete base["XDG_RUNTIME_DIR"];
  return { ...base, ...options.env };
}

/** Starts a program and leaves it running until the scope ends. */
export function start(scope: Scope, argv: readonly string[], options: RunOptions = {}): ChildProcess {
  const [file, args] = commandLine(argv, options);
  const child = spawn(file, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: environment(options) as Record<string, string>,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  // Not "close", which waits for everybody who inherited a pipe.
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  scope.defer(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    const limit = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await gone;
    clearTimeout(limit);
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe!.destroy();
  });
  return child;
}

/** Runs a program to its end. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const [file, args] = commandLine(argv, options);
  const child = spawn(file, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: environment(options) as Record<string, string>,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  child.stdin!.on("error", () => {});
  child.stdin!.end(options.input ?? "");
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  child.stdout!.on("data", (chunk: Uint8Array) => stdout.push(chunk));
  child.stderr!.on("data", (chunk: Uint8Array) => stderr.push(chunk));
  const limit = setTimeout(() => child.kill("SIGKILL"), SLOWNESS * (options.limit ?? 60_000));
  return await new Promise<Finished>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => {
      clearTimeout(limit);
      resolve({ status, signal, stdout: text(stdout), stderr: text(stderr) });
    });
  });
}

function text(chunks: readonly Uint8Array[]): string {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return new TextDecoder().decode(all);
}

/**
 * Resolves with everything a child prints from now on as soon as `pattern` is in it; rejects when the child ends first,
 * or says nothing of the kind for a minute.
 */
export function printed(
  child: ChildProcess,
  pattern: RegExp,
  stream: "stdout" | "stderr" = "stdout",
): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = "";
    const stop = () => {
      clearTimeout(limit);
      child.off("close", onClose);
    };
    const fail = (why: string) => {
      stop();
      reject(new Error(`The program ${why} before it printed ${pattern}: ${seen}`));
    };
    const onClose = (status: number | null) => fail(`ended (${status})`);
    const limit = setTimeout(() => fail("waited too long"), SLOWNESS * 60_000);
    // Stays: what nobody reads would stop the program.
    child[stream]!.on("data", (chunk: Uint8Array) => {
      seen += new TextDecoder().decode(chunk);
      if (!pattern.test(seen)) return;
      stop();
      resolve(seen);
    });
    child.once("close", onClose);
  });
}

/** The number of a user, who is the only member of the group of that number. */
export function userId(name: string): number {
  return Number(execFileSync("id", ["-u", name], { encoding: "utf8" }));
}
