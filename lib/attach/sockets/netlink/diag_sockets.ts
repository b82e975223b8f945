/**
 * The sockets that `ss` lists: the stack's endpoints.
 *
 * @module
 */

import type { SocketsContext } from "../guest_socket.ts";
import type { DiagSocket } from "./inet_diag.ts";

/** Every endpoint of the guest's stack. */
export function* diagSockets({ stack }: SocketsContext): Iterable<DiagSocket> {
  for (const facts of stack.snapshot().sockets) yield { facts, inode: 0, uid: 0 };
}
