/**
 * Names of unix sockets: whether the guest's own socket is behind one, and an address for it that cannot be changed any
 * more.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { openGuestPath, socketFile } from "../../../host/guest_paths.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { writeSockaddrUnix } from "../../../host/structs.ts";
import { close } from "../../../host/sys.ts";
import { UnixDiag } from "../../../host/unix_diag.ts";

/** Sockets that the guest has bound, remembered where it has no network namespace of its own. */
const MAX_CREATED = 16_384;

/** An address that may be connected to. */
export interface Target {
  readonly address: number;
  readonly length: number;
  close(): void;
}

/** Knows which unix sockets are the guest's. */
export class UnixTargets {
  readonly #ownNetwork: boolean;
  readonly #diag: UnixDiag | undefined;
  readonly #created = new Set<number>();
  readonly #memory = new NativeMemory(128);

  constructor(ownNetwork: boolean, diag: number | undefined) {
    this.#ownNetwork = ownNetwork;
    this.#diag = diag === undefined ? undefined : new UnixDiag(diag);
  }

  /** The guest binds its socket with this inode. */
  created(inode: number): void {
    if (this.#ownNetwork) return;
    if (this.#created.size >= MAX_CREATED) {
      for (const oldest of this.#created) {
        this.#created.delete(oldest);
        break;
      }
    }
    this.#created.add(inode);
  }

  /**
   * The target that a `sockaddr` of `length` bytes at the start of `given` names for thread `thread`.
   *
   * @param anybodys whether the host's own are as good
   * @returns scratch, or −errno: what a machine without that socket would say
   */
  find(thread: number, given: NativeMemory, length: number, anybodys = false): Target | number {
    const { bytes } = this.#memory;
    bytes.fill(0);
    bytes.set(given.bytes.subarray(0, length));
    const family = given.view.getUint16(0, true);
    // AF_UNSPEC dissolves a datagram socket's association; other families are the kernel's to refuse.
    if (family !== AF.UNIX || length === 2) return this.#target(length, -1);
    if (bytes[2] === 0) return this.#abstract(length, anybodys);
    let end = 2;
    while (end < length && bytes[end] !== 0) end++;
    const handle = openGuestPath(thread, bytes.slice(2, end));
    if (handle < 0) return handle;
    const file = socketFile(handle);
    const holder = file === undefined ? 0 : this.#diag?.holderOf(file) ?? 0;
    if (!anybodys && !this.#isGuests(holder)) {
      close(handle);
      return -Errno.ECONNREFUSED;
    }
    return this.#target(writeSockaddrUnix(this.#memory, 0, `/proc/self/fd/${handle}`), handle);
  }

  close(): void {
    this.#diag?.close();
  }

  /** Abstract names belong to a network namespace, so one of the guest's own has only its own. */
  #abstract(length: number, anybodys: boolean): Target | number {
    if (!this.#ownNetwork && !anybodys) {
      const holder = this.#diag?.holderOfName(this.#memory.bytes.slice(3, length)) ?? 0;
      if (!this.#isGuests(holder)) return -Errno.ECONNREFUSED;
    }
    return this.#target(length, -1);
  }

  #isGuests(holder: number): boolean {
    return holder !== 0 && (this.#ownNetwork || this.#created.has(holder));
  }

  #target(length: number, handle: number): Target {
    return {
      address: this.#memory.address,
      length,
      close: () => {
        if (handle >= 0) close(handle);
      },
    };
  }
}
