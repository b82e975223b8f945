/**
 * Network namespaces that the guest makes: `unshare --net`, `bwrap --unshare-net`, a container.
 *
 * Who makes one wants to be cut off, and must not find our network in it. As in the kernel, each has a stack of its own
 * with nothing but a loopback. Of too many the one longest without a new socket is forgotten; nobody needs as many.
 *
 * @module
 */

import type { GuestFiles } from "../../host/guest_files.ts";
import { administersOwnNetwork } from "../../host/network_right.ts";
import { Stack } from "../../stack/stack.ts";
import { earlier, type Instant, NEVER } from "../../stack/time.ts";
import type { SocketsContext } from "./guest_socket.ts";

/** Most of them at the same time. */
export const MAX_NETWORKS = 256;
/** Turns of a loopback in one turn of the loop: a request and its answer, and some. */
const ROUNDS = 8;

/** Finds the network that a thread is in. */
export class Networks {
  readonly #home: SocketsContext;
  readonly #files: GuestFiles;
  readonly #nested = new Map<number, SocketsContext>();
  #homeInode = 0;

  constructor(home: SocketsContext, files: GuestFiles) {
    this.#home = home;
    this.#files = files;
  }

  /** The guest's first process is at home. */
  settle(thread: number): void {
    this.#homeInode = this.#files.networkInode(thread);
  }

  /** Whether `thread` is at home; false if it cannot be looked at. */
  isHome(thread: number): boolean {
    return this.#homeInode > 0 && this.#files.networkInode(thread) === this.#homeInode;
  }

  /** Whether a socket, by a descriptor of ours, belongs to the guest's own namespace. */
  holds(fd: number): boolean {
    return this.#homeInode > 0 && this.#files.socketNetworkInode(fd) === this.#homeInode;
  }

  /** What a new socket of `thread` lives in. */
  of(thread: number): SocketsContext {
    const inode = this.#files.networkInode(thread);
    // A thread that cannot be looked at is refused whatever it asks for; home is no risk.
    if (inode <= 0 || inode === this.#homeInode) return this.#home;
    const context = this.#nested.get(inode) ?? this.#make(inode);
    this.#nested.delete(inode);
    this.#nested.set(inode, context);
    if (this.#nested.size > MAX_NETWORKS) this.#forgetOldest();
    return context;
  }

  pollAt(): Instant {
    let at: Instant = NEVER;
    for (const { stack } of this.#nested.values()) at = earlier(at, stack.pollAt());
    return at;
  }

  poll(now: Instant): void {
    for (const { stack } of this.#nested.values()) {
      for (let round = 0; round < ROUNDS && stack.pollAt() <= now; round++) stack.poll(now);
    }
  }

  #make(inode: number): SocketsContext {
    const { stack, pool } = this.#home;
    return {
      ...this.#home,
      stack: new Stack({ random: () => stack.random(), pool }),
      host: undefined,
      packets: undefined,
      fixedInterfaces: false,
      // A socket may be used by somebody who has moved into another namespace since.
      mayAdminister: (thread) => this.#files.networkInode(thread) === inode && administersOwnNetwork(thread),
    };
  }

  #forgetOldest(): void {
    this.#home.counters.bump("sockets.limit.networks");
    for (const oldest of this.#nested.keys()) {
      this.#nested.delete(oldest);
      return;
    }
  }
}
