/**
 * The sockets that `ss` lists: the stack's endpoints, and those of the host that stand for the guest's.
 *
 * @module
 */

import type { SocketsContext } from "../guest_socket.ts";
import type { DiagSocket } from "./inet_diag.ts";

/** Every socket of the guest's. */
export function* diagSockets({ stack, host }: SocketsContext): Iterable<DiagSocket> {
  for (const facts of stack.snapshot().sockets) yield { facts, inode: 0, uid: 0 };
  for (const facts of host?.sockets() ?? []) yield { facts, inode: 0, uid: 0 };
}
