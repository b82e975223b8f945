/**
 * Sockets without a pair: what there was to be heard of them has been heard, and the guest may still have a descriptor.
 *
 * They are kept so that the guest's last calls have their answers. Our end is closed, so nobody tells when the guest closes
 * its own: the kernel's table of unix sockets is asked, of a few in each sweep. Without that each connection that was reset
 * would be remembered until there are too many.
 *
 * @module
 */

import { openSockDiag } from "../../host/sock_diag.ts";
import { UnixDiag } from "../../host/unix_diag.ts";
import type { Counter } from "../../stack/counters.ts";
import type { GuestSocket } from "./guest_socket.ts";

/** Sockets that are kept (`sockets.limit.detached`). */
export const MAX_DETACHED = 4_096;
/** Sockets of which one sweep asks. */
const LOOKS = 256;

/** Says whether a unix socket with that inode is there; undefined: it cannot be told. */
export type Existence = (inode: number) => boolean | undefined;

/** The detached sockets of one guest. */
export class DetachedSockets {
  readonly #sockets = new Set<GuestSocket>();
  readonly #evicted: Counter;
  readonly #forget: (socket: GuestSocket) => void;
  #exists: Existence | undefined;
  #diag: UnixDiag | undefined;

  /**
   * @param forget nobody has it any more, or it has to make room; calls {@linkcode delete}
   * @param exists for tests
   */
  constructor(evicted: Counter, forget: (socket: GuestSocket) => void, exists?: Existence) {
    this.#evicted = evicted;
    this.#forget = forget;
    this.#exists = exists;
  }

  get size(): number {
    return this.#sockets.size;
  }

  add(socket: GuestSocket): void {
    this.#sockets.add(socket);
    if (this.#sockets.size <= MAX_DETACHED) return;
    for (const oldest of this.#sockets) {
      this.#evicted.value++;
      return this.#forget(oldest);
    }
  }

  /** False: it was not there. */
  delete(socket: GuestSocket): boolean {
    return this.#sockets.delete(socket);
  }

  /** Forgets those that the guest has closed, as far as the turn goes. */
  sweep(): void {
    if (this.#sockets.size === 0) return;
    const exists = this.#exists ??= this.#ask();
    let looks = Math.min(LOOKS, this.#sockets.size);
    for (const socket of this.#sockets) {
      if (looks-- === 0) return;
      if (exists(socket.inode) === false) this.#forget(socket);
      else {
        // Behind those of which nobody has asked.
        this.#sockets.delete(socket);
        this.#sockets.add(socket);
      }
    }
  }

  close(): void {
    this.#diag?.close();
    this.#diag = undefined;
    this.#exists = () => undefined;
  }

  /** The pairs are of our own network namespace, and so is its table. */
  #ask(): Existence {
    try {
      const diag = this.#diag = new UnixDiag(openSockDiag());
      return (inode) => diag.has(inode);
    } catch {
      return () => undefined; // a kernel without sock_diag
    }
  }
}
