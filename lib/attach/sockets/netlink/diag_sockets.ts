/**
 * The sockets that `ss` lists: the stack's endpoints, and those of the host that stand for the guest's.
 *
 * @module
 */

import type { GuestSocket, SocketsContext } from "../guest_socket.ts";
import type { SocketFacts } from "../../../stack/facts.ts";
import type { DiagSocket } from "./inet_diag.ts";

/**
 * Every socket of the guest's.
 *
 * @param told what the asking thread is told of a user of the host's
 */
export function* diagSockets(
  { stack, host, supervisor }: SocketsContext,
  told: (user: number) => number,
): Iterable<DiagSocket> {
  const holders = new Map<string, GuestSocket>();
  for (const socket of supervisor.sockets()) {
    const facts = socket.endpointFacts(stack);
    if (facts !== undefined) holders.set(identity(facts), socket);
  }
  for (const facts of stack.snapshot().sockets) {
    const holder = holders.get(identity(facts));
    yield { facts, inode: holder?.inode ?? 0, uid: holder === undefined ? 0 : told(holder.owner) };
  }
  for (const facts of host?.sockets() ?? []) {
    yield { facts, inode: facts.inode ?? 0, uid: told(facts.user ?? 0) };
  }
}

function identity({ protocol, family, local, localPort, remote, remotePort }: SocketFacts): string {
  return `${protocol} ${family} ${local} ${localPort} ${remote} ${remotePort}`;
}
