/**
 * Our place among the machine's temporary files.
 *
 * @module
 */

import {
  accessSync,
  constants,
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
 * The directory for our sockets and the names of running instances: `$XDG_RUNTIME_DIR/sluice`, `/tmp/sluice-UID`, or
 * `/dev/shm/sluice-UID`: the first that can be written, for sandboxes have their root read-only. It exists on return,
 * with mode 0700.
 *
 * @throws {Error} when somebody else owns it or others may write: /tmp is everybody's
 */
export function runtimeDirectory(): string {
  if (found !== undefined) return found;
  const uid = getuid();
  const base = process.env["XDG_RUNTIME_DIR"];
  const inherited = base !== undefined && base.startsWith("/") && isOurs(base, uid);
  const name = `sluice-${knownUser(uid)}`;
  const places = [`/tmp/${name}`, `/dev/shm/${name}`];
  if (inherited) places.unshift(`${base.replace(/\/+$/, "")}/sluice`);
  let refusal: string | undefined;
  for (const path of places) {
    const why = whyUnwritable(path);
    if (why === undefined) {
      if (isOurs(path, uid)) return found = path;
      throw new Error(`Cannot use ${path}: it is not a directory that only you can write (remove it)`);
    }
    refusal ??= `Cannot make ${path}: ${why}`;
  }
  throw new Error(`${refusal} (XDG_RUNTIME_DIR must name a directory that you may write)`);
}

/** Makes the directory if need be; why it cannot be, or cannot be written, if so. */
function whyUnwritable(path: string): string | undefined {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string };
    if (code !== "EEXIST") {
      return code === "EACCES" ? "permission denied" : code === "EROFS" ? "read-only file system" : message;
    }
  }
  try {
    accessSync(path, constants.W_OK);
  } catch (error) {
    if ((error as { readonly code?: string }).code === "EROFS") return "read-only file system";
  }
  return undefined;
}

/**
 * The number that those outside a user namespace's root know us by, who share /tmp with us. That another user is root
 * outside says nothing: bwrap makes two namespaces, the outer one with itself as its root.
 */
function knownUser(uid: number): number {
  const outer = outerUser(uid);
  return outer === 0 ? uid : outer;
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
