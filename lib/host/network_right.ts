/**
 * Who may administer a network: the kernel's rule (`ns_capable`), from outside, for a thread of the guest.
 *
 * @module
 */

import { O } from "./arch.ts";
import { cString, NativeMemory } from "./memory.ts";
import { ownerOf } from "./guest_paths.ts";
import { statusOf } from "./process_status.ts";
import { close, fstat, ioctl, open } from "./sys.ts";

const CAP_SETUID = 7, CAP_NET_ADMIN = 12;
/** Of a descriptor of a namespace: the user namespace that owns it; the parent of a user namespace. */
const NS_GET_USERNS = 0xb701, NS_GET_PARENT = 0xb702;
/** The kernel nests user namespaces no deeper (32), and so do we. */
const MAX_DEPTH = 33;
/** Where `struct stat` has the inode, on the architectures that we know. */
const STAT_INODE = 8;

const stat = new NativeMemory(256);

/** What a thread is allowed, as the host sees it. */
interface Credentials {
  /** Effective. */
  readonly user: number;
  /** Whether CAP_NET_ADMIN is in effect in its user namespace. */
  readonly administrator: boolean;
  /** Whether it may become another user. */
  readonly changesUser: boolean;
}

function credentialsOf(thread: number): Credentials | undefined {
  const status = statusOf(thread);
  const user = status("Uid")?.split("\t")[1];
  const effective = status("CapEff");
  if (user === undefined || effective === undefined) return undefined;
  // The lowest 32 bits are enough, and fit a number.
  const low = Number.parseInt(effective.slice(-8), 16);
  const has = (capability: number) => (low >>> capability & 1) === 1;
  return { user: Number(user), administrator: has(CAP_NET_ADMIN), changesUser: has(CAP_SETUID) };
}

/** A descriptor of a namespace of `thread`, or −errno. */
function openNamespace(thread: number, kind: "net" | "user"): number {
  return open(cString(`/proc/${thread}/ns/${kind}`).address, O.CLOEXEC, 0);
}

/** Closes `fd`; 0 when it is none. */
function inodeAndClose(fd: number): number {
  if (fd < 0) return 0;
  const inode = fstat(fd, stat.address) < 0 ? 0 : stat.getPointer(STAT_INODE);
  close(fd);
  return inode;
}

/** The user namespace of `thread`, by inode; 0 when it cannot be seen. */
function userNamespaceOf(thread: number): number {
  return inodeAndClose(openNamespace(thread, "user"));
}

/** Whether `namespace` (an inode) owns the network namespace of `thread`, or is above who does. */
function isAboveNetwork(namespace: number, thread: number): boolean {
  const network = openNamespace(thread, "net");
  if (network < 0) return false;
  let at = ioctl(network, NS_GET_USERNS, 0);
  close(network);
  for (let depth = 0; at >= 0 && depth < MAX_DEPTH; depth++) {
    const above = ioctl(at, NS_GET_PARENT, 0);
    if (inodeAndClose(at) === namespace) {
      if (above >= 0) close(above);
      return true;
    }
    at = above;
  }
  if (at >= 0) close(at);
  return false;
}

/** Who the network of a guest belongs to: the user that its first process runs as, and that one's user namespace. */
export class NetworkOwner {
  #user = -1;
  #namespace = 0;
  #users = true;

  /** @param process the guest's first, which has its final credentials or more */
  settle(process: number): void {
    const who = credentialsOf(process);
    this.#user = who?.user ?? -1;
    this.#users = who?.changesUser ?? true;
    this.#namespace = userNamespaceOf(process);
  }

  /** The user of a thread. A guest without CAP_SETUID never has another than its first, for setuid programs are no use to it. */
  userOf(thread: number): number {
    return this.#users ? ownerOf(cString(`/proc/${thread}`).address) : this.#user;
  }

  /**
   * Whether `thread` may administer the network that the guest was given.
   *
   * It must have CAP_NET_ADMIN in effect, and have it over the guest: in the guest's own user namespace, or in one below as
   * the very user to whom the guest belongs (`unshare -Ur`), who has all power over the guest's processes anyway. Another
   * user that the guest's root has made, and that makes itself a user namespace, has it over nobody.
   */
  allows(thread: number): boolean {
    const who = credentialsOf(thread);
    if (who === undefined || !who.administrator) return false;
    if (who.user === this.#user) return true;
    const namespace = userNamespaceOf(thread);
    return namespace !== 0 && namespace === this.#namespace;
  }
}

/** Whether `thread` may administer the network namespace that it is in, which the guest has made. */
export function administersOwnNetwork(thread: number): boolean {
  if (credentialsOf(thread)?.administrator !== true) return false;
  const namespace = userNamespaceOf(thread);
  return namespace !== 0 && isAboveNetwork(namespace, thread);
}
