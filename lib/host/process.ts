/**
 * This process: who it is, what it may do, what it becomes.
 *
 * @module
 */

import { readFileSync, readlinkSync, statSync } from "node:fs";
import process from "node:process";
import { check, Errno, SystemError } from "./errno.ts";
import { cString, NativeMemory, StringVector } from "./memory.ts";
import { findInPath } from "./runtime.ts";
import { environment, IGNORED_BY_RUNTIMES } from "./spawn.ts";
import {
  execve,
  getegid,
  geteuid,
  getppid,
  prctl,
  prlimit,
  pthread_sigmask,
  sigaction,
  umask,
  write,
} from "./sys.ts";
import { SIG } from "./constants.ts";

const PR_SET_PDEATHSIG = 1, PR_SET_DUMPABLE = 4, PR_SET_CHILD_SUBREAPER = 36;
const RLIMIT_NOFILE = 7;
const SIG_SETMASK = 2;

/** Effective user id. */
export function effectiveUser(): number {
  return geteuid();
}

/** Effective group id. */
export function effectiveGroup(): number {
  return getegid();
}

/**
 * The namespace a process is in, as the kernel names it: `net:[4026531840]`; undefined when it cannot be
 * told.
 */
export function namespaceOf(pid: number | "self", kind: "user" | "net" | "mnt" | "pid"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

/** The network namespace that is bound to `path`, as {@linkcode namespaceOf} names it; undefined when nothing is there. */
export function namespaceAt(path: string): string | undefined {
  try {
    return `net:[${statSync(path).ino}]`;
  } catch {
    return undefined;
  }
}

/** The first child of process `pid`; undefined when it has none. */
export function childOf(pid: number): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
    return first ? Number(first) : undefined;
  } catch {
    return undefined;
  }
}

/** Writes one byte, for who waits to read it; a reader that has gone away is no error. */
export function writeByte(fd: number, value = 10): void {
  const memory = new NativeMemory(8);
  memory.bytes[0] = value;
  write(fd, memory.address, 1);
}

/** Sends us `signal` when the thread that started us ends. */
export function dieWithParent(signal: number = SIG.KILL): void {
  check(prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "tie our life to the parent's");
}

/** Orphans among our descendants become our children. */
export function becomeSubreaper(): void {
  check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become the reaper of our descendants");
}

/** Whether others of our user may trace us and read our memory. */
export function setDumpable(yes: boolean): void {
  check(prctl(PR_SET_DUMPABLE, yes ? 1 : 0, 0, 0, 0), "set whether we can be traced");
}

/** Soft and hard limit of a resource; `Number.MAX_SAFE_INTEGER` for none. */
export type Limit = readonly [soft: number, hard: number];

const limits = new NativeMemory(32);
/** "No limit", in a form that JSON can carry. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

function readLimit(at: number): number {
  const value = limits.getPointer(at);
  return Math.min(value, UNLIMITED);
}

/** The limit on open descriptors of process `pid`, 0 for ourselves; undefined when we may not ask. */
export function noFileLimit(pid = 0): Limit | undefined {
  if (prlimit(pid, RLIMIT_NOFILE, 0, limits.address) < 0) return undefined;
  return [readLimit(0), readLimit(8)];
}

/**
 * The limit on open descriptors that we were started with. Both runtimes raise the soft one before any script
 * runs; what it was is asked of our parent, whom we have it from, and else is what Linux gives everybody.
 */
export function inheritedNoFile(): Limit {
  const own = noFileLimit() ?? [1_024, 4_096];
  return [Math.min(softNoFileOf(getppid()) ?? 1_024, own[1]), own[1]];
}

/**
 * From the file that anybody may read; prlimit(2) would refuse for a parent of another user, such as sudo.
 */
function softNoFileOf(pid: number): number | undefined {
  try {
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"));
    if (line === null) return undefined;
    return line[1] === "unlimited" ? UNLIMITED : Number(line[1]);
  } catch {
    return undefined;
  }
}

/** Sets the limit on open descriptors. */
export function setNoFileLimit([soft, hard]: Limit): void {
  for (const [at, value] of [[16, soft], [24, hard]] as const) {
    if (value < UNLIMITED) limits.setPointer(at, value);
    else limits.view.setBigInt64(at, -1n, true);
  }
  check(prlimit(0, RLIMIT_NOFILE, limits.address + 16, 0), "set the limit on open descriptors");
}

/** Runs `body` with a file mode mask. */
export function withUmask<Result>(mask: number, body: () => Result): Result {
  const previous = umask(mask);
  try {
    return body();
  } finally {
    umask(previous);
  }
}

/**
 * Becomes another program; returns only by throwing. All other threads of the runtime die with it, so call it
 * from the main thread. Handlers, the mask and ignored signals are put back to their defaults.
 *
 * @param file a path, or a name to be looked up in PATH
 * @throws {SystemError} with the code that `execve` failed with
 */
export function becomeProgram(
  file: string,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): never {
  const zero = new NativeMemory(160);
  // struct sigaction: all zero is SIG_DFL.
  for (const signal of IGNORED_BY_RUNTIMES) sigaction(signal, zero.address, 0);
  pthread_sigmask(SIG_SETMASK, zero.address, 0);
  const path = file.includes("/") ? file : findInPath(file);
  if (path === undefined) throw new SystemError(`run ${file}`, Errno.ENOENT);
  const name = cString(path),
    argvVector = new StringVector(argv),
    envVector = new StringVector(environment(env));
  const result = execve(name.address, argvVector.address, envVector.address);
  throw new SystemError(`run ${file}`, -result);
}
