/**
 * Sockets that need a privilege, and those that nobody has: raw ones, and types that IP does not know.
 *
 * `--net-raw` is to the guest what `CAP_NET_RAW` is to a container: with it every program has raw sockets, without it none.
 *
 * @module
 */

import { AF, SOCK } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { Call } from "../call.ts";
import { DatagramSocket } from "../datagram/datagram_socket.ts";
import type { SocketRequest } from "../families.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { RawSocket } from "./raw_socket.ts";

/** Protocol numbers that the kernel has room for (`IPPROTO_MAX`), which are more than the header has. */
const MOST_PROTOCOL = 262;

/** Opens raw sockets where the guest may have them. */
export function openRaw(context: SocketsContext, call: Call, request: SocketRequest): boolean {
  const { domain, type, protocol, cloexec, nonblock } = request;
  if (!context.netRaw || type !== SOCK.RAW || (domain !== AF.INET && domain !== AF.INET6)) return false;
  if (protocol <= 0 || protocol > 255) return false;
  context.supervisor.openPair(
    DatagramSocket.pairType,
    (near, inode) => new RawSocket(context, near, inode, domain, protocol),
    call,
    cloexec,
    nonblock,
  );
  return true;
}

/** Refuses what is left, with the errnos of `inet_create`; the last to be asked. */
export function refuseOthers(_context: SocketsContext, call: Call, request: SocketRequest): boolean {
  const { domain, type, protocol } = request;
  if (domain !== AF.INET && domain !== AF.INET6) return false;
  if (protocol < 0 || protocol > MOST_PROTOCOL) call.fail(Errno.EINVAL);
  else if (type === SOCK.RAW) call.fail(protocol === 0 ? Errno.EPROTONOSUPPORT : Errno.EPERM);
  else call.fail(type === SOCK.STREAM || type === SOCK.DGRAM ? Errno.EPROTONOSUPPORT : Errno.ESOCKTNOSUPPORT);
  return true;
}
