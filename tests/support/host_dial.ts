/**
 * Clients on the host: non-blocking sockets on their way to an address.
 *
 * @module
 */

import { AF, IPPROTO, SOCK } from "../../lib/host/constants.ts";
import { Errno } from "../../lib/host/errno.ts";
import { bindTo, connectTo, udpSocket } from "../../lib/host/inet.ts";
import type { AddressWords } from "../../lib/host/structs.ts";
import { close, socket } from "../../lib/host/sys.ts";

/**
 * Begins a TCP connection; writable when it is made or has failed (then `socketError` says how). The descriptor, or −errno
 * for a failure that is known at once.
 *
 * @param from local address to bind, any port
 */
export function tcpDial(address: AddressWords, port: number, from?: AddressWords): number {
  const family = address.family === 4 ? AF.INET : AF.INET6;
  const fd = socket(family, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, IPPROTO.TCP);
  const bound = from === undefined ? 0 : bindTo(fd, from, 0);
  return settled(fd, bound < 0 ? bound : connectTo(fd, address, port));
}

/** A UDP socket connected to `address`, whose ICMP errors are queued (`IP_RECVERR`). */
export function udpDial(address: AddressWords, port: number): number {
  const fd = udpSocket(address.family, undefined, 0, { receiveErrors: true });
  return settled(fd, connectTo(fd, address, port));
}

function settled(fd: number, result: number): number {
  if (result >= 0 || result === -Errno.EINPROGRESS) return fd;
  close(fd);
  return result;
}
