/**
 * Sockets that need a privilege, and those that nobody has: raw ones, packet sockets, and types that IP does not know.
 *
 * @module
 */

import { AF, SOCK } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { Call } from "../call.ts";
import type { SocketRequest } from "../families.ts";
import type { SocketsContext } from "../guest_socket.ts";

/** Refuses what is left, with the errnos of `inet_create` and `packet_create`; the last to be asked. */
export function refuseOthers(_context: SocketsContext, call: Call, request: SocketRequest): boolean {
  const { domain, type, protocol } = request;
  if (domain === AF.PACKET) return call.fail(Errno.EPERM), true;
  if (domain !== AF.INET && domain !== AF.INET6) return false;
  if (protocol < 0 || protocol > 262) call.fail(Errno.EINVAL);
  else if (type === SOCK.RAW) call.fail(protocol === 0 ? Errno.EPROTONOSUPPORT : Errno.EPERM);
  else call.fail(type === SOCK.STREAM || type === SOCK.DGRAM ? Errno.EPROTONOSUPPORT : Errno.ESOCKTNOSUPPORT);
  return true;
}
