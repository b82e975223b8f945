/**
 * Paths as another process means them: from its root, its working directory, its mounts.
 *
 * @module
 */

import { O, SYS } from "./arch.ts";
import { Errno } from "./errno.ts";
import { cString, NativeMemory } from "./memory.ts";
import { close, open, syscall } from "./sys.ts";
import type { FileIdentity } from "./unix_diag.ts";

/** Absolute links lead to the guest's root, and no link leads into our /proc/self. */
const RESOLVE_IN_ROOT = 0x10;
/** Nothing above the directory is reached. */
const RESOLVE_BENEATH = 0x08;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000, STATX_BASIC = 0x7ff;
const S_IFMT = 0o170000, S_IFSOCK = 0o140000;

/**
 * A descriptor of the caller's own, and what may follow if it is a directory. This is how programs connect to sockets whose
 * path is longer than an address (conmon and podman among them).
 */
const OWN_DESCRIPTOR = /^\/proc\/(?:self|thread-self)\/fd\/([0-9]{1,10})(?:\/+([^/].*))?$/;

const how = new NativeMemory(24);
const stat = new NativeMemory(256);
const empty = cString("");

/**
 * A handle (`O_PATH`) on the file that `path` names for thread `thread`, last link followed; or −errno.
 *
 * @param path without NUL
 */
export function openGuestPath(thread: number, path: Uint8Array): number {
  const own = OWN_DESCRIPTOR.exec(new TextDecoder("latin1").decode(path));
  if (own !== null) {
    const [all, descriptor, rest] = own;
    const from = `/proc/${thread}/fd/${descriptor}`;
    if (rest === undefined) return open(cString(from).address, O.PATH | O.CLOEXEC, 0);
    return openBelow(from, path.subarray(all.length - rest.length), RESOLVE_BENEATH);
  }
  const absolute = path[0] === 0x2f;
  return openBelow(`/proc/${thread}/${absolute ? "root" : "cwd"}`, path, absolute ? RESOLVE_IN_ROOT : 0);
}

function openBelow(from: string, path: Uint8Array, resolve: number): number {
  const directory = open(cString(from).address, O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (directory < 0) return directory;
  const name = new NativeMemory(path.length + 1);
  name.bytes.set(path);
  how.setPointer(0, O.PATH | O.CLOEXEC);
  how.setPointer(8, 0);
  how.setPointer(16, resolve);
  const result = syscall(SYS.openat2, directory, name.address, how.address, 24, 0, 0);
  close(directory);
  // A race with a rename, or a link of /proc, neither of which the kernel resolves below a root: as if nothing were there.
  return result === -Errno.EAGAIN || result === -Errno.EXDEV ? -Errno.ENOENT : result;
}

/** Who owns the file of that name; 0 when it cannot be told. */
export function ownerOf(path: number): number {
  return syscall(SYS.statx, AT_FDCWD, path, 0, STATX_BASIC, stat.address, 0) < 0
    ? 0
    : stat.view.getUint32(20, true);
}

/** Which file a handle stands for; undefined unless it is a socket's. */
export function socketFile(handle: number): FileIdentity | undefined {
  if (syscall(SYS.statx, handle, empty.address, AT_EMPTY_PATH, STATX_BASIC, stat.address, 0) < 0) {
    return undefined;
  }
  const { view } = stat;
  if ((view.getUint16(28, true) & S_IFMT) !== S_IFSOCK) return undefined;
  return {
    inode: view.getUint32(32, true),
    major: view.getUint32(136, true),
    minor: view.getUint32(140, true),
  };
}
