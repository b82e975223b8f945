/**
 * Calls on sockets that are not ours: unix sockets, what the guest inherited, and descriptors that are none.
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";
import { SOCKET_CALLS } from "../../host/socket_calls.ts";
import type { Call } from "./call.ts";
import { INTERFACE_IOCTL } from "./families.ts";
import type { SocketsContext } from "./guest_socket.ts";

/** What the guest may do with unix sockets of the host. */
export interface UnixPolicyOptions {
  readonly hostUds: "none" | "open" | "create" | "all";
  /** Whether the guest has a network namespace of its own: abstract names in it are its own then. */
  readonly ownNetwork: boolean;
}

const C = SOCKET_CALLS;

/** Decides about calls on sockets that are not in the table. */
export class UnixPolicy {
  readonly #context: SocketsContext;

  constructor(_options: UnixPolicyOptions, context: SocketsContext) {
    this.#context = context;
  }

  /** @param inode as {@linkcode GuestFiles.socketInode} told it */
  answer(call: Call, inode: number): void {
    // A program that made itself unreadable: nothing can be done for it, and it is told so.
    if (inode === -Errno.EACCES || inode === -Errno.EPERM) return void call.fail(Errno.EACCES);
    if (inode > 0 && call.nr === C.ioctl && INTERFACE_IOCTL?.(this.#context, call)) return;
    call.pass();
  }

  close(): void {}
}
