/**
 * Impersonated sockets as `ss` shows them: the kernel's states, the guest's names.
 *
 * @module
 */

import type { SocketAddress } from "../../../host/structs.ts";
import type { SocketFacts } from "../../../stack/facts.ts";
import { IpAddress } from "../../../stack/wire/address.ts";

/** Linux' names by `TCP_…` number. */
const STATES: readonly string[] = [
  "UNKNOWN",
  "ESTAB",
  "SYN-SENT",
  "SYN-RECV",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "TIME-WAIT",
  "UNCONN",
  "CLOSE-WAIT",
  "LAST-ACK",
  "LISTEN",
  "CLOSING",
];

/** One line of `ss`. */
export function socketFacts(
  protocol: "tcp" | "udp",
  state: number,
  local: SocketAddress,
  remote: SocketAddress | undefined,
  receiveQueue = 0,
  sendQueue = 0,
): SocketFacts {
  const { family } = local;
  return {
    protocol,
    state: STATES[state] ?? STATES[0]!,
    family,
    local: textOf(local),
    localPort: local.port,
    remote: remote === undefined ? (family === 4 ? "0.0.0.0" : "::") : textOf(remote),
    remotePort: remote?.port ?? 0,
    receiveQueue,
    sendQueue,
  };
}

function textOf({ family, a, b, c, d }: SocketAddress): string {
  return new IpAddress(family, a, b, c, d).toString();
}
