/**
 * Error numbers for the ends of connections, as Linux chooses them.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import type { TcpError } from "../../../stack/tcp/events.ts";

const ERRNO: Readonly<Record<TcpError, number>> = {
  "refused": Errno.ECONNREFUSED,
  "reset": Errno.ECONNRESET,
  "timed-out": Errno.ETIMEDOUT,
  "host-unreachable": Errno.EHOSTUNREACH,
  "network-unreachable": Errno.ENETUNREACH,
  "aborted": Errno.ECONNABORTED,
  "message-size": Errno.EMSGSIZE,
  "permission": Errno.EACCES,
  "address-in-use": Errno.EADDRNOTAVAIL,
  "no-ports": Errno.EADDRNOTAVAIL,
};

/** `sk_err` of a connection that has ended early. */
export function endErrno(connection: TcpConnection): number {
  const error = connection.error!;
  // tcp_reset in CLOSE-WAIT: the peer has said its end, so only a write can be the reason.
  return error === "reset" && connection.peerClosed && !connection.sender.finQueued
    ? Errno.EPIPE
    : errnoOf(error);
}

/** The errno of a failed `connect`, or of a connection that ended early. */
export function errnoOf(error: TcpError): number {
  return ERRNO[error];
}
