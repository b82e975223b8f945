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

const PR_CAPBSET_DROP = 24, PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_CLEAR_ALL = 4;
const VERSION_3 = 0x20080522;
/**
 * Behind the header, two triples of effective, permitted, inheritable: the low and the high 32 capabilities.
 */
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
 * Gives up what this thread holds, so that the program it executes holds nothing. Call it just before that.
 *
 * The bounding set keeps all but CAP_SYS_ADMIN, with which a program could undo mounts that hide things from
 * it. An empty one would be stricter than the host is: `ping` and others carry capabilities in their files,
 * and execve refuses such a file with EPERM when the bounding set lacks them (capabilities(7)). In a user
 * namespace of the program's own they give power over nothing else.
 */
export function dropCapabilities(): void {
  const result = prctl(PR_CAPBSET_DROP, CAP.SYS_ADMIN, 0, 0, 0);
  // Without CAP_SETPCAP there is nothing to drop.
  if (result !== -Errno.EPERM) check(result, "give up capabilities");
  // Old kernels have no ambient set to clear.
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  memory.words.fill(0);
  memory.words[0] = VERSION_3;
  check(syscall(SYS.capset, memory.address, memory.address + HEADER, 0, 0, 0, 0), "give up capabilities");
}
