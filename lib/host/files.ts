/**
 * Our place among the machine's temporary files.
 *
 * @module
 */

import {
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { getuid } from "./sys.ts";

let found: string | undefined;

/**
 * The directory for our sockets and the names of running instances: `$XDG_RUNTIME_DIR/sluice`, or
 * `/tmp/sluice-UID`. It exists on return, with mode 0700.
 *
 * @throws {Error} when somebody else owns it or others may write: /tmp is everybody's
 */
export function runtimeDirectory(): string {
  if (found !== undefined) return found;
  const uid = getuid();
  const base = process.env["XDG_RUNTIME_DIR"];
  const inherited = base !== undefined && base.startsWith("/") && isOurs(base, uid);
  // Root of a user namespace is somebody else outside, where /tmp is.
  const path = inherited ? `${base.replace(/\/+$/, "")}/sluice` : `/tmp/sluice-${outerUser(uid)}`;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string };
    if (code !== "EEXIST") {
      const why = code === "EACCES"
        ? "permission denied"
        : code === "EROFS"
        ? "read-only file system"
        : message;
      throw new Error(
        `Cannot make ${path}: ${why} (XDG_RUNTIME_DIR must name a directory that you may write)`,
        {
          cause: error,
        },
      );
    }
  }
  if (!isOurs(path, uid)) {
    throw new Error(`Cannot use ${path}: it is not a directory that only you can write (remove it)`);
  }
  return found = path;
}

/** The number that our parent user namespace knows `uid` by (user_namespaces(7)); itself if it has none. */
function outerUser(uid: number): number {
  try {
    for (const line of readFileSync("/proc/self/uid_map", "utf8").split("\n")) {
      const [inside, outside, count] = line.trim().split(/\s+/).map(Number) as [number, number, number];
      if (uid >= inside && uid < inside + count) return outside + uid - inside;
    }
  } catch {
    // Without /proc there is nothing to translate.
  }
  return uid;
}

/**
 * A real directory (no link), owned by us, that nobody else may write. Root owns what a user namespace's root
 * sees.
 */
function isOurs(path: string, uid: number): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0;
}

/** Writes a small file such as a kernel knob; false if it cannot be written. */
export function writeText(path: string, text: string): boolean {
  try {
    writeFileSync(path, text);
    return true;
  } catch {
    return false;
  }
}

/** Whether there is a directory of this name. */
export function directoryExists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Whether there is a file of this name. */
export function fileExists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Where a path leads, symbolic links followed; undefined if to nothing. */
export function linkTarget(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** Makes a file with this text in `directory` (which is made, too), for as long as `body` runs. */
export function withTemporaryFile(directory: string, text: string, body: (path: string) => void): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = `${directory}/.${process.pid}.tmp`;
  writeFileSync(path, text, { mode: 0o644 });
  try {
    body(path);
  } finally {
    unlinkSync(path);
  }
}

/** Removes a file; nothing happens if it is gone. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody was faster.
  }
}
