/**
 * Opens impersonated sockets.
 *
 * @module
 */

import { AF, IPPROTO, SOCK } from "../../../host/constants.ts";
import { DatagramSocket } from "../datagram/datagram_socket.ts";
import type { Opener } from "../families.ts";
import { streamsOf } from "../tcp/streams.ts";
import { ImpersonatedDatagram } from "./datagram_socket.ts";
import { ImpersonatedStream, impersonationOf } from "./stream_socket.ts";

/** TCP. */
export const openImpersonatedTcp: Opener = (context, call, { domain, type, protocol, cloexec, nonblock }) => {
  const { host } = context;
  if (host === undefined || (domain !== AF.INET && domain !== AF.INET6) || type !== SOCK.STREAM) return false;
  if (protocol !== IPPROTO.IP && protocol !== IPPROTO.TCP) return false;
  const streams = streamsOf(context);
  const make = (near: number, inode: number, far: number) => {
    const socket = new ImpersonatedStream(impersonationOf(host), streams, domain, near, inode);
    socket.prepare(near, far);
    return socket;
  };
  context.supervisor.openPair(SOCK.STREAM, make, call, cloexec, nonblock);
  return true;
};

/** UDP. */
export const openImpersonatedUdp: Opener = (context, call, { domain, type, protocol, cloexec, nonblock }) => {
  const { host } = context;
  if (host === undefined || (domain !== AF.INET && domain !== AF.INET6) || type !== SOCK.DGRAM) return false;
  if (protocol !== IPPROTO.IP && protocol !== IPPROTO.UDP) return false;
  const make = (near: number, inode: number) => new ImpersonatedDatagram(host, context, near, inode, domain);
  context.supervisor.openPair(DatagramSocket.pairType, make, call, cloexec, nonblock);
  return true;
};
