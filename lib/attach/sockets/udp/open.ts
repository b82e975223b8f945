/**
 * `socket(AF_INET or AF_INET6, SOCK_DGRAM, 0 or IPPROTO_UDP)`.
 *
 * @module
 */

import { AF, IPPROTO, SOCK } from "../../../host/constants.ts";
import type { Call } from "../call.ts";
import { DatagramSocket } from "../datagram/datagram_socket.ts";
import type { SocketRequest } from "../families.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { UdpSocket } from "./udp_socket.ts";

/** Opens UDP sockets. */
export function openUdp(context: SocketsContext, call: Call, request: SocketRequest): boolean {
  const { domain, type, protocol, cloexec, nonblock } = request;
  if ((domain !== AF.INET && domain !== AF.INET6) || type !== SOCK.DGRAM) return false;
  if (protocol !== 0 && protocol !== IPPROTO.UDP) return false;
  context.supervisor.openPair(
    DatagramSocket.pairType,
    (near, inode) => new UdpSocket(context, near, inode, domain),
    call,
    cloexec,
    nonblock,
  );
  return true;
}
