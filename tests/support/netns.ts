/**
 * Network namespaces for tests.
 *
 * @module
 */

import { O } from "../../lib/host/arch.ts";
import { CLONE } from "../../lib/host/constants.ts";
import { check } from "../../lib/host/errno.ts";
import { cString } from "../../lib/host/memory.ts";
import { close, open, setns, unshare } from "../../lib/host/sys.ts";

/**
 * Runs `body` with this thread in a fresh network namespace, and comes back whatever happens. The namespace
 * has no name, so it is gone when the last descriptor into it is closed: nothing to clean up, even after a
 * crash. Synchronous, as a turn of the event loop may run elsewhere.
 */
export function inNewNetns<Result>(body: () => Result): Result {
  const path = cString("/proc/thread-self/ns/net");
  const home = check(open(path.address, O.RDONLY | O.CLOEXEC, 0), "open our network namespace");
  try {
    check(unshare(CLONE.NEWNET), "make a network namespace");
    try {
      return body();
    } finally {
      check(setns(home, CLONE.NEWNET), "return to our network namespace");
    }
  } finally {
    close(home);
  }
}
