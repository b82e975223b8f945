/**
 * The sockets that `ss` lists: the stack's endpoints, and those of the host that stand for the guest's.
 *
 * @module
 */

import type { SocketsContext } from "../guest_socket.ts";
import type { SocketFacts } from "../../../stack/facts.ts";
import type { DiagSocket } from "./inet_diag.ts";

/** Every socket of the guest's. */
export function* diagSockets({ stack, host, supervisor }: SocketsContext): Iterable<DiagSocket> {
  const inodes = new Map<string, number>();
  for (const socket of supervisor.sockets()) {
    const facts = socket.endpointFacts(stack);
    if (facts !== undefined) inodes.set(identity(facts), socket.inode);
  }
  for (const facts of stack.snapshot().sockets) {
    yield { facts, inode: inodes.get(identity(facts)) ?? 0, uid: 0 };
  }
  for (const facts of host?.sockets() ?? []) yield { facts, inode: 0, uid: 0 };
}

function identity({ protocol, family, local, localPort, remote, remotePort }: SocketFacts): string {
  return `${protocol} ${family} ${local} ${localPort} ${remote} ${remotePort}`;
}
