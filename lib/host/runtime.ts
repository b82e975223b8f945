/**
 * The JavaScript runtime as a program sees it: arguments, environment, standard streams, exit. Deno and Bun behind one
 * face; all of it synchronous.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync, statSync, write, writeSync } from "node:fs";
import process from "node:process";
import { isatty } from "node:tty";

interface DenoLike {
  readonly version: { readonly deno: string };
  readonly mainModule: string;
  readonly build: { readonly standalone: boolean };
}
interface BunLike {
  readonly version: string;
  readonly main: string;
}
const { Deno: deno, Bun: bun } = globalThis as { readonly Deno?: DenoLike; readonly Bun?: BunLike };

/** Name and version: `deno 2.9.6`, `bun 1.4.5`. */
export const runtimeName: string = deno !== undefined
  ? `deno ${deno.version.deno}`
  : `bun ${bun?.version ?? "unknown"}`;

/** Arguments after the program's own name. */
export const args: readonly string[] = process.argv.slice(2);

/** The environment. */
export const env: Readonly<Record<string, string | undefined>> = process.env;

/** Ends the process. */
export function exit(status: number): never {
  process.exit(status);
}

/** Writes all of it before it returns. A reader that has gone away is not an error. */
export function writeStdout(text: string): void {
  writeAll(1, text);
}

/** Whether stdout is a terminal. */
export function stdoutIsTerminal(): boolean {
  return isatty(1);
}

/** Writes all of it before it returns. A reader that has gone away is not an error. */
export function writeStderr(text: string): void {
  writeAll(2, text);
}

/** Longest text that is read: far above any configuration, far below what an endless device would fill. */
export const MAX_TEXT_FILE = 16_777_216;

/** The text of a file, a pipe too. Throws `Cannot read PATH: why`, also of one beyond {@linkcode MAX_TEXT_FILE}. */
export function readTextFileSync(path: string): string {
  try {
    return readBounded(path);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function readBounded(path: string): string {
  const fd = openSync(path, "r");
  try {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const piece = new Uint8Array(65_536);
      const got = readSync(fd, piece);
      if (got === 0) return Buffer.concat(pieces).toString("utf8");
      length += got;
      if (length > MAX_TEXT_FILE) throw new RangeError(`it is longer than ${MAX_TEXT_FILE} bytes`);
      pieces.push(piece.subarray(0, got));
    }
  } finally {
    closeSync(fd);
  }
}

/** The first executable file of this name in PATH; undefined if there is none. */
export function findInPath(name: string): string | undefined {
  for (const folder of (env.PATH ?? "/usr/local/bin:/usr/bin:/bin").split(":")) {
    const path = `${folder === "" ? "." : folder}/${name}`;
    if (isExecutable(path)) return path;
  }
  return undefined;
}

/** False also for what we may not look at: the search goes on, as a shell's does. */
function isExecutable(path: string): boolean {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isFile() === true && (found.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** The words that start this same program again: a compiled binary, or the runtime with its main module. */
export function ownCommand(): readonly string[] {
  if (deno !== undefined) {
    if (deno.build.standalone) return [process.execPath];
    return [process.execPath, "run", "-A", "--unstable-ffi", "--no-check", "--quiet", deno.mainModule];
  }
  // A compiled binary's main module lives in a file system that only exists inside it.
  if (bun === undefined || bun.main.startsWith("/$bunfs/")) return [process.execPath];
  return [process.execPath, bun.main];
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ENOTDIR: "not a directory",
  ELOOP: "too many symbolic links",
};

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return REASONS[String(code)] ?? (error instanceof Error ? error.message : String(error));
}

/**
 * Writes bytes to stdout without holding up this thread. Resolves when all are written; to false if they cannot be: the
 * reader has gone away, or there is no room.
 */
export async function writeStdoutBytes(bytes: Uint8Array): Promise<boolean> {
  for (let at = 0; at < bytes.length;) {
    const written = await new Promise<number>((resolve) => {
      write(1, bytes, at, bytes.length - at, null, (error, count) => {
        resolve(error === null ? count : error.code === "EAGAIN" ? 0 : -1);
      });
    });
    if (written < 0) return false;
    // Somebody else made it non-blocking.
    if (written === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    at += written;
  }
  return true;
}

function writeAll(descriptor: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  let waits = 0;
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(descriptor, bytes, at);
      waits = 0;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      // A terminal or pipe that somebody else made non-blocking: there is no event loop to wait in here.
      if (code !== "EAGAIN" || ++waits > 10_000) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
