/**
 * The guest's sockets by the inode of the guest's end: descriptors are duplicated, passed and inherited, so their numbers
 * say nothing.
 *
 * @module
 */

import type { GuestSocket } from "./guest_socket.ts";

/** Most sockets that a guest may have; each costs us a descriptor. */
export const MAX_SOCKETS = 32_768;

/** Sockets by inode. */
export class SocketTable implements Iterable<GuestSocket> {
  readonly #byInode = new Map<number, GuestSocket>();

  get size(): number {
    return this.#byInode.size;
  }

  get full(): boolean {
    return this.#byInode.size >= MAX_SOCKETS;
  }

  get(inode: number): GuestSocket | undefined {
    return this.#byInode.get(inode);
  }

  add(socket: GuestSocket): void {
    this.#byInode.set(socket.inode, socket);
  }

  /** False: it was not there. */
  remove(socket: GuestSocket): boolean {
    return this.#byInode.get(socket.inode) === socket && this.#byInode.delete(socket.inode);
  }

  [Symbol.iterator](): Iterator<GuestSocket> {
    return this.#byInode.values();
  }
}
