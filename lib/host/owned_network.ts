/**
 * A network namespace that its user has power over, without holding any capability.
 *
 * Whoever owns a user namespace has, from the one above it, all capabilities in it (user_namespaces(7)), whatever they hold
 * themselves. So a network namespace that belongs to a user namespace below ours lets every process of ours and of our
 * user in ours open packet sockets, while `capget` shows nothing: programs that refuse to run with capabilities run.
 *
 * @module
 */

import { O } from "./arch.ts";
import { CLONE } from "./constants.ts";
import { check, Errno, SystemError } from "./errno.ts";
import { waitStatus } from "./exit_status.ts";
import { cString, NativeMemory } from "./memory.ts";
import { socketPair } from "./socket_pair.ts";
import { spawn } from "./spawn.ts";
import { close, open, read, setns, write } from "./sys.ts";

/**
 * Moves this thread into a fresh network namespace of that kind. Needs CAP_SYS_ADMIN in our user namespace.
 *
 * @param unshare path of the program of util-linux
 * @param cat path of that program: somebody must live in the namespace until we are in it
 * @throws {SystemError}
 */
export function enterOwnedNetwork(unshare: string, cat: string): void {
  const what = "make a network namespace for packet sockets";
  const nowhere = check(open(cString("/dev/null").address, O.RDWR | O.CLOEXEC, 0), "open /dev/null");
  const [near, far] = socketPair();
  let pid: number;
  try {
    pid = spawn({
      file: unshare,
      argv: [unshare, "--user", "--map-current-user", "--net", "--", cat],
      descriptors: [{ from: far, to: 0 }, { from: far, to: 1 }, { from: nowhere, to: 2 }],
    });
  } catch (error) {
    close(near);
    throw error;
  } finally {
    close(nowhere);
    close(far);
  }
  const byte = new NativeMemory(8);
  try {
    // The echo tells that it is inside; the end of file that it never will be.
    write(near, byte.address, 1);
    if (read(near, byte.address, 1) !== 1) throw new SystemError(what, Errno.EPERM);
    const network = check(open(cString(`/proc/${pid}/ns/net`).address, O.RDONLY | O.CLOEXEC, 0), what);
    const entered = setns(network, CLONE.NEWNET);
    close(network);
    check(entered, what);
  } finally {
    close(near);
    waitStatus(pid);
  }
}
