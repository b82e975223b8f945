/**
 * Changes to what this mount namespace sees.
 *
 * @module
 */

import { rmSync, writeFileSync } from "node:fs";
import { MNT_DETACH, MS } from "./constants.ts";
import { check } from "./errno.ts";
import { cString } from "./memory.ts";
import { getpid, mount, umount2 } from "./sys.ts";

function mountAt(what: string, source: string, target: string, type: string, flags: number, data = ""): void {
  const strings = [source, target, type, data].map(cString);
  const [from, to, kind, options] = strings.map(({ address }) => address);
  check(mount(from!, to!, kind!, flags, options!), what);
}

/** From here on nothing that is mounted in this namespace appears in the one it was copied from. */
export function makeMountsPrivate(): void {
  mountAt("make mounts private", "none", "/", "", MS.REC | MS.PRIVATE);
}

/** Shows the file or directory `source` in the place of `target`, which must exist and be of the same kind. */
export function bindMount(source: string, target: string, readOnly = false): void {
  mountAt(`mount ${source} on ${target}`, source, target, "", MS.BIND);
  // The kernel takes MS_RDONLY for a bind mount only in a second step (mount(2)).
  if (readOnly) mountAt(`mount ${target} read-only`, "", target, "", MS.BIND | MS.REMOUNT | MS.RDONLY);
}

/**
 * Shows a file of these contents in the place of file `target`, which stays as it is for everybody else. The file is
 * made in directory `scratch` and has no name there once this returns.
 *
 * @throws {SystemError} when there is no such target, or we may not mount
 */
export function bindFile(contents: string, scratch: string, target: string): void {
  const path = `${scratch}/.bind.${getpid()}`;
  try {
    writeFileSync(path, contents, { mode: 0o644, flag: "wx" });
    // A link is followed by mount(2), but only as far as it leads to something.
    makeMountsPrivate();
    bindMount(path, target);
  } finally {
    rmSync(path, { force: true });
  }
}

/** Shows an empty directory that cannot be written in the place of `target`. */
export function hideDirectory(target: string): void {
  makeMountsPrivate();
  const flags = MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.RDONLY;
  mountAt(`hide ${target}`, "tmpfs", target, "tmpfs", flags, "size=4k,mode=555");
}

/** Takes away what is mounted at `target`, as soon as it is no longer used. */
export function unmount(target: string): void {
  const path = cString(target);
  check(umount2(path.address, MNT_DETACH), `unmount ${target}`);
}
