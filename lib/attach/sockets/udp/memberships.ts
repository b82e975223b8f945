/**
 * The multicast groups that one socket has joined.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import type { Stack } from "../../../stack/stack.ts";
import type { IpAddress } from "../../../stack/wire/address.ts";

/** Linux' `igmp_max_memberships`. */
const MOST = 20;

/** How many sockets of a stack are in each group: IP_MULTICAST_ALL lets all hear what any has joined. */
const joined = new WeakMap<Stack, Map<string, number>>();

/** Groups of one socket. */
export class Memberships {
  readonly #stack: Stack;
  readonly #own = new Map<string, IpAddress>();
  readonly #all: Map<string, number>;

  constructor(stack: Stack) {
    this.#stack = stack;
    let all = joined.get(stack);
    if (all === undefined) joined.set(stack, all = new Map());
    this.#all = all;
  }

  /** An errno, 0 for none. */
  join(group: IpAddress): number {
    const key = group.toString();
    if (this.#own.has(key)) return Errno.EADDRINUSE;
    if (this.#own.size >= MOST) return Errno.ENOBUFS;
    this.#own.set(key, group.clone());
    this.#all.set(key, (this.#all.get(key) ?? 0) + 1);
    this.#stack.groups.join(group);
    return 0;
  }

  /** An errno, 0 for none. */
  leave(group: IpAddress): number {
    const key = group.toString();
    if (!this.#own.delete(key)) return Errno.EADDRNOTAVAIL;
    this.#stack.groups.leave(group);
    const rest = (this.#all.get(key) ?? 1) - 1;
    if (rest === 0) this.#all.delete(key);
    else this.#all.set(key, rest);
    return 0;
  }

  /** Whether a datagram to `group` is heard: somebody here has joined it. */
  hears(group: IpAddress): boolean {
    return this.#all.size > 0 && this.#all.has(group.toString());
  }

  clear(): void {
    for (const [key, group] of this.#own) {
      this.#stack.groups.leave(group);
      const rest = (this.#all.get(key) ?? 1) - 1;
      if (rest === 0) this.#all.delete(key);
      else this.#all.set(key, rest);
    }
    this.#own.clear();
  }
}
