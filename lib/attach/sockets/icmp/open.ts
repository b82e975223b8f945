/**
 * `socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)` and its sister of IPv6. The guest's group does not matter, as it does to
 * Linux (`net.ipv4.ping_group_range`): who may ping is decided at the gateway.
 *
 * @module
 */

import { AF, IPPROTO, SOCK } from "../../../host/constants.ts";
import type { Call } from "../call.ts";
import { DatagramSocket } from "../datagram/datagram_socket.ts";
import type { SocketRequest } from "../families.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { PingSocket } from "./ping_socket.ts";

/** Opens ping sockets. */
export function openPing(context: SocketsContext, call: Call, request: SocketRequest): boolean {
  const { domain, type, protocol, cloexec, nonblock } = request;
  if (type !== SOCK.DGRAM) return false;
  const wanted = domain === AF.INET ? IPPROTO.ICMP : domain === AF.INET6 ? IPPROTO.ICMPV6 : -1;
  if (protocol !== wanted) return false;
  context.supervisor.openPair(
    DatagramSocket.pairType,
    (near, inode) => new PingSocket(context, near, inode, domain),
    call,
    cloexec,
    nonblock,
  );
  return true;
}
