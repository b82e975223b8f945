/**
 * `socket(AF_INET or AF_INET6, SOCK_STREAM, …)`.
 *
 * @module
 */

import { AF, IPPROTO, SOCK } from "../../../host/constants.ts";
import type { Opener } from "../families.ts";
import { StreamSocket } from "./stream_socket.ts";
import { streamsOf } from "./streams.ts";

/** Opens TCP sockets. */
export const openTcp: Opener = (context, call, request) => {
  const { domain, type, protocol } = request;
  if ((domain !== AF.INET && domain !== AF.INET6) || type !== SOCK.STREAM) return false;
  if (protocol !== IPPROTO.IP && protocol !== IPPROTO.TCP) return false;
  const streams = streamsOf(context);
  const make = (near: number, inode: number, far: number) => {
    const socket = new StreamSocket(streams, domain, near, inode);
    socket.prepare(near, far);
    return socket;
  };
  context.supervisor.openPair(SOCK.STREAM, make, call, request.cloexec, request.nonblock);
  return true;
};
