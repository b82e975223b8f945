/**
 * The capabilities of this thread (capabilities(7)).
 *
 * @module
 */

import { SYS } from "./arch.ts";
import { check, Errno } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { prctl, syscall } from "./sys.ts";

/** Numbers of the capabilities that matter to us. */
export const CAP = {
  NET_BIND_SERVICE: 10,
  NET_ADMIN: 12,
  NET_RAW: 13,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
} as const;

const PR_CAPBSET_READ = 23, PR_CAPBSET_DROP = 24, PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_CLEAR_ALL = 4;
const VERSION_3 = 0x20080522;
/** Behind the header, two triples of effective, permitted, inheritable: the low and the high 32 capabilities. */
const HEADER = 8;
const memory = new NativeMemory(HEADER + 24);

/** Whether this thread has a capability in force in its own user namespace. */
export function hasCapability(capability: number): boolean {
  memory.words.fill(0);
  memory.words[0] = VERSION_3;
  check(syscall(SYS.capget, memory.address, memory.address + HEADER, 0, 0, 0, 0), "read our capabilities");
  const word = memory.words[HEADER / 4 + (capability >>> 5) * 3]!;
  return (word & (1 << (capability & 31))) !== 0;
}

/**
 * Gives up all capabilities for good: this thread, and whatever it executes, even as user 0 of its namespace. Other threads
 * keep theirs, so call it just before the program is replaced.
 */
export function dropAllCapabilities(): void {
  // Without CAP_SETPCAP the bounding set stays; then there is nothing in it that execve could give us, unless we are user 0.
  for (let capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    const result = prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (result === -Errno.EPERM) break;
    check(result, "give up capabilities");
  }
  // Old kernels have no ambient set to clear.
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  memory.words.fill(0);
  memory.words[0] = VERSION_3;
  check(syscall(SYS.capset, memory.address, memory.address + HEADER, 0, 0, 0, 0), "give up capabilities");
}
