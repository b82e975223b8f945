/**
 * A private directory with small files: where running instances leave their names.
 *
 * @module
 */

import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { statOf } from "./process_status.ts";

/** Bytes of a file that {@linkcode RuntimeFiles.read} takes by default; a longer one is not ours. */
const FILE_LIMIT = 64 * 1024;

/** Our own process. */
export const ownProcessId: number = process.pid;

/** The files of one directory. Nothing here throws for a file that is not there. */
export class RuntimeFiles {
  readonly #limit: number;

  /** @param limit bytes of a file that {@linkcode read} takes and {@linkcode write} makes */
  constructor(readonly directory: string, limit = FILE_LIMIT) {
    this.#limit = limit;
  }

  path(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** Makes the directory with mode 0700. Throws if there is one that somebody else could have filled. */
  prepare(): void {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    this.#mustBeOurs();
  }

  #mustBeOurs(): void {
    const stat = lstatSync(this.directory);
    const user = process.getuid?.() ?? stat.uid;
    if (!stat.isDirectory() || stat.uid !== user || (stat.mode & 0o022) !== 0) {
      throw new Error(`Cannot use ${this.directory}: it is not a directory that only you can write`);
    }
  }

  /** Names, sorted; none if the directory is not there. Throws as {@linkcode prepare} does. */
  list(): string[] {
    let names: string[];
    try {
      names = readdirSync(this.directory);
    } catch {
      return [];
    }
    this.#mustBeOurs();
    return names.sort();
  }

  /** The text of a regular file of a reasonable size. */
  read(name: string): string | undefined {
    try {
      const stat = lstatSync(this.path(name));
      if (!stat.isFile() || stat.size > this.#limit) return undefined;
      return readFileSync(this.path(name), "utf8");
    } catch {
      return undefined;
    }
  }

  /** Whole or not at all, mode 0600. Throws, also when the text is longer than {@linkcode read} would take. */
  write(name: string, text: string): void {
    if (new TextEncoder().encode(text).length > this.#limit) {
      throw new Error(`Cannot write ${this.path(name)}: it would be longer than ${this.#limit} bytes`);
    }
    const temporary = this.path(`.${name.replace(/^\./, "")}.${process.pid}`);
    try {
      writeFileSync(temporary, text, { mode: 0o600 });
      renameSync(temporary, this.path(name));
    } catch (error) {
      const { code, message } = error as { readonly code?: string; readonly message: string };
      const why = code === "EROFS" ? "read-only file system" : message;
      throw new Error(
        `Cannot write ${this.path(name)}: ${why} (XDG_RUNTIME_DIR must name a directory that you may write)`,
        { cause: error },
      );
    }
  }

  remove(name: string): void {
    try {
      unlinkSync(this.path(name));
    } catch {
      // Gone already.
    }
  }
}

/**
 * When a process began, in clock ticks since boot (proc(5), field 22 of `stat`); undefined if it is gone. Together with
 * its number this names a process for good: numbers are used again.
 */
export function processStart(pid: number): string | undefined {
  const fields = statOf(pid);
  return fields === undefined || fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}
