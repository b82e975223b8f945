/**
 * Opening packet sockets: the kernel does it.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { Instant } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import type { SocketRequest } from "../families.ts";
import type { SocketsContext } from "../guest_socket.ts";

const SOCK_PACKET = 10;

/**
 * Without `--net-raw` they are refused as without CAP_NET_RAW; where there is nothing to see (no namespace of our own, or
 * one that the guest has made) as by a kernel that does not know them.
 */
export function openPacket(context: SocketsContext, call: Call, { domain, type }: SocketRequest): boolean {
  // As of old: the kernel reads AF_PACKET in its place.
  const isOld = domain === AF.INET && type === SOCK_PACKET;
  if (domain !== AF.PACKET && !isOld) return false;
  const { packets, netRaw, supervisor, reactor } = context;
  if (!netRaw) call.fail(Errno.EPERM);
  else if (packets?.available !== true || !supervisor.isHome(call.tid)) call.fail(Errno.EAFNOSUPPORT);
  else {
    packets.opens(reactor.now() as Instant);
    call.pass();
  }
  return true;
}
