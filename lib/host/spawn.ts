/**
 * Starting a program as if no script runtime stood between: signals, mask, limits and descriptors as we found
 * them.
 *
 * `posix_spawn` and not the runtimes' own API, because those know neither which descriptors to pass nor that SIGPIPE,
 * which they ignore, must be put back (LAB: a child of a runtime never dies of a broken pipe).
 *
 * @module
 */

import process from "node:process";
import { F, SIG } from "./constants.ts";
import { check, SystemError } from "./errno.ts";
import { FD_CLOEXEC, setCloseOnExec } from "./close_on_exec.ts";
import { cString, NativeMemory, StringVector } from "./memory.ts";
import {
  close,
  fcntl,
  posix_spawn_file_actions_addchdir_np,
  posix_spawn_file_actions_addclosefrom_np,
  posix_spawn_file_actions_adddup2,
  posix_spawn_file_actions_destroy,
  posix_spawn_file_actions_init,
  posix_spawnattr_destroy,
  posix_spawnattr_init,
  posix_spawnattr_setflags,
  posix_spawnattr_setpgroup,
  posix_spawnattr_setsigdefault,
  posix_spawnattr_setsigmask,
  posix_spawnp,
} from "./sys.ts";

/** What to start and how. */
export interface SpawnOptions {
  /** A path, or a name to be looked up in PATH. */
  readonly file: string;
  /** Arguments, the program's own name first. */
  readonly argv: readonly string[];
  /** The whole environment; ours when absent. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /**
   * Our descriptors under the child's numbers. Others are inherited unless they are close-on-exec, as ours
   * all are.
   */
  readonly descriptors?: readonly { readonly from: number; readonly to: number }[];
  /** Closes every descriptor from this number on in the child. */
  readonly closeFrom?: number;
  /** Signals to put back to their default; those that the runtimes ignore when absent. */
  readonly resetSignals?: readonly number[];
  /** Process group to join; 0 makes one. Ours when absent. */
  readonly processGroup?: number;
}

const SETPGROUP = 2, SETSIGDEF = 4, SETSIGMASK = 8;
/**
 * What the runtimes ignore: a broken pipe both, a file too large Bun. The last two belong to glibc's threads,
 * and its
 * `posix_spawn` leaves them ignored unless they are named.
 */
export const IGNORED_BY_RUNTIMES: readonly number[] = [SIG.PIPE, SIG.XFSZ, 32, 33];
/** Large enough for `posix_spawnattr_t` (336) and `posix_spawn_file_actions_t` (80) of any libc. */
const ATTRIBUTES = 512, ACTIONS = 256, SIGSET = 128;

/**
 * Starts a program; returns its process id.
 *
 * @throws {SystemError} with the code that `execve` failed with: ENOENT, EACCES, ENOEXEC
 */
export function spawn(options: SpawnOptions): number {
  const { file, argv, env = process.env, cwd, descriptors = [], closeFrom, processGroup } = options;
  const memory = new NativeMemory(8 + ATTRIBUTES + ACTIONS + 2 * SIGSET);
  const attributes = memory.address + 8, actions = attributes + ATTRIBUTES;
  const mask = actions + ACTIONS, defaults = mask + SIGSET;
  const copies: number[] = [], marked: number[] = [];
  check(posix_spawnattr_init(attributes), "prepare a program");
  check(posix_spawn_file_actions_init(actions), "prepare a program");
  try {
    setSignals(memory, 8 + ATTRIBUTES + ACTIONS + SIGSET, options.resetSignals ?? IGNORED_BY_RUNTIMES);
    posix_spawnattr_setsigmask(attributes, mask);
    posix_spawnattr_setsigdefault(attributes, defaults);
    if (processGroup !== undefined) posix_spawnattr_setpgroup(attributes, processGroup);
    posix_spawnattr_setflags(
      attributes,
      SETSIGDEF | SETSIGMASK | (processGroup === undefined ? 0 : SETPGROUP),
    );

    // A target may be another's source: copy all out of the way first, no higher than needed, for descriptors may be few.
    // One that keeps its number is only marked: it may be above the limit, where no copy can be made.
    const moved = descriptors.filter(({ from, to }) => from !== to);
    const floor = Math.max(0, ...moved.map(({ to }) => to + 1));
    for (const { from, to } of descriptors) {
      if (from !== to || isKept(from)) continue;
      setCloseOnExec(from, false);
      marked.push(from);
    }
    for (const { from, to } of moved) {
      const copy = check(fcntl(from, F.DUPFD_CLOEXEC, floor), `pass descriptor ${from}`);
      copies.push(copy);
      check(posix_spawn_file_actions_adddup2(actions, copy, to), `pass descriptor ${from}`);
    }
    const directory = cwd === undefined ? undefined : cString(cwd);
    if (directory !== undefined) {
      check(posix_spawn_file_actions_addchdir_np(actions, directory.address), `change to ${cwd}`);
    }
    if (closeFrom !== undefined) {
      check(posix_spawn_file_actions_addclosefrom_np(actions, closeFrom), "close descriptors");
    }
    const path = cString(file),
      argvVector = new StringVector(argv),
      envVector = new StringVector(environment(env));
    const result = posix_spawnp(
      memory.address,
      path.address,
      actions,
      attributes,
      argvVector.address,
      envVector.address,
    );
    if (result < 0) throw new SystemError(`run ${file}`, -result);
    return memory.words[0]!;
  } finally {
    for (const copy of copies) close(copy);
    for (const fd of marked) setCloseOnExec(fd, true);
    posix_spawn_file_actions_destroy(actions);
    posix_spawnattr_destroy(attributes);
  }
}

/** Whether a descriptor stays open across execution of another program. */
function isKept(fd: number): boolean {
  return (check(fcntl(fd, F.GETFD, 0), `pass descriptor ${fd}`) & FD_CLOEXEC) === 0;
}

/** `NAME=value` strings. */
export function environment(env: Readonly<Record<string, string | undefined>>): string[] {
  const strings: string[] = [];
  for (const [name, value] of Object.entries(env)) if (value !== undefined) strings.push(`${name}=${value}`);
  return strings;
}

/** Writes a `sigset_t`: bit n − 1 for signal n. */
function setSignals(memory: NativeMemory, at: number, signals: readonly number[]): void {
  for (const signal of signals) {
    const byte = at + ((signal - 1) >>> 3);
    memory.bytes[byte] = memory.bytes[byte]! | (1 << ((signal - 1) & 7));
  }
}
