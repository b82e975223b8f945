/**
 * Error numbers for the ends of connections, as Linux chooses them.
 *
 * @module
 */

import { Errno } from "../../../host/errno.ts";
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

/** The errno of a failed `connect`, or of a connection that ended early. */
export function errnoOf(error: TcpError): number {
  return ERRNO[error];
}
