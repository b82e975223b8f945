/**
 * Changes to what this mount namespace sees.
 *
 * @module
 */

import { MNT_DETACH, MS } from "./constants.ts";
import { check } from "./errno.ts";
import { cString } from "./memory.ts";
import { mount, umount2 } from "./sys.ts";

function mountAt(what: string, source: string, target: string, type: string, flags: number, data = ""): void {
  const strings = [source, target, type, data].map(cString);
  const [from, to, kind, options] = strings.map(({ address }) => address);
  check(mount(from!, to!, kind!, flags, options!), what);
}

/**
 * Shows the file or directory `source` in the place of `target`, which must exist and be of the same kind.
 */
export function bindMount(source: string, target: string, readOnly = false): void {
  mountAt(`mount ${source} on ${target}`, source, target, "", MS.BIND);
  // The kernel takes MS_RDONLY for a bind mount only in a second step (mount(2)).
  if (readOnly) mountAt(`mount ${target} read-only`, "", target, "", MS.BIND | MS.REMOUNT | MS.RDONLY);
}

/** Shows an empty directory, which cannot be written, in the place of `target`. */
export function mountEmpty(target: string): void {
  const flags = MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.RDONLY;
  mountAt(`hide ${target}`, "tmpfs", target, "tmpfs", flags, "size=4k,mode=555");
}

/**
 * Shows the interfaces of the network namespace we are in below /sys, where those of whoever mounted it are shown. What else
 * is there stays.
 *
 * @param scratch a directory that is there, used for a moment
 * @throws {SystemError} when the kernel does not allow it: a /sys that parts are missing of
 */
export function showOwnInterfaces(scratch: string): void {
  const flags = MS.NOSUID | MS.NODEV | MS.NOEXEC | MS.RDONLY;
  mountAt("mount sysfs", "sysfs", scratch, "sysfs", flags);
  try {
    // The links in the one lead to the other.
    for (const part of ["devices/virtual/net", "class/net"]) bindMount(`${scratch}/${part}`, `/sys/${part}`);
  } finally {
    unmount(scratch);
  }
}

/** Takes away what is mounted at `target`, as soon as it is no longer used. */
export function unmount(target: string): void {
  const path = cString(target);
  check(umount2(path.address, MNT_DETACH), `unmount ${target}`);
}
