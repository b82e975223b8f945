/**
 * Our place among the machine's temporary files.
 *
 * @module
 */

import { lstatSync, mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { getuid } from "./sys.ts";

let found: string | undefined;

/**
 * The directory for our sockets and the names of running instances: `$XDG_RUNTIME_DIR/sluice`, or `/tmp/sluice-UID`. It
 * exists on return, with mode 0700.
 *
 * @throws {Error} when somebody else owns it or others may write: /tmp is everybody's
 */
export function runtimeDirectory(): string {
  if (found !== undefined) return found;
  const uid = getuid();
  const base = process.env["XDG_RUNTIME_DIR"];
  const inherited = base !== undefined && base.startsWith("/") && isOurs(base, uid);
  const path = inherited ? `${base.replace(/\/+$/, "")}/sluice` : `/tmp/sluice-${uid}`;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") {
      throw new Error(`Cannot make ${path}: ${(error as Error).message}`, { cause: error });
    }
  }
  if (!isOurs(path, uid)) {
    throw new Error(`Cannot use ${path}: it is not a directory that only you can write (remove it)`);
  }
  return found = path;
}

/** A real directory (no link), owned by us, that nobody else may write. Root owns what a user namespace's root sees. */
function isOurs(path: string, uid: number): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0;
}

/** Writes a setting of the kernel; false when this kernel has none of that name, or we may not. */
export function writeProc(path: string, text: string): boolean {
  try {
    writeFileSync(path, text);
    return true;
  } catch {
    return false;
  }
}
