/**
 * Sockets of the host's network: non-blocking, close-on-exec, for who relays between them and a stack.
 *
 * Every function returns a descriptor or a count ≥ 0, or −errno. Nothing here throws or waits.
 *
 * @module
 */

import { AF, IP, IPPROTO, IPV6, SIOC, SO, SOCK, SOL, TCP } from "./constants.ts";
import { NativeMemory } from "./memory.ts";
import {
  type AddressWords,
  readSockaddr,
  SOCKADDR_SIZE,
  type SocketAddress,
  writeSockaddr,
} from "./structs.ts";
import {
  accept4,
  bind,
  close,
  connect,
  getpeername,
  getsockname,
  getsockopt,
  ioctl,
  listen,
  setsockopt,
  socket,
} from "./sys.ts";

const FLAGS = SOCK.NONBLOCK | SOCK.CLOEXEC;

// Scratch of this thread: a socket address, its length, an option's value.
const LENGTH = SOCKADDR_SIZE, VALUE = SOCKADDR_SIZE + 8;
const scratch = new NativeMemory(SOCKADDR_SIZE + 24);
const { address: here, view } = scratch;

/** The `AF_…` of an address. */
function domainOf(address: AddressWords): number {
  return address.family === 4 ? AF.INET : AF.INET6;
}

/** Sets an integer option. */
export function setOption(fd: number, level: number, name: number, value: number): number {
  view.setInt32(VALUE, value, true);
  return setsockopt(fd, level, name, here + VALUE, 4);
}

/** An integer option's value; −errno when it cannot be read. */
export function getOption(fd: number, level: number, name: number): number {
  view.setInt32(VALUE, 0, true);
  view.setInt32(LENGTH, 4, true);
  const result = getsockopt(fd, level, name, here + VALUE, here + LENGTH);
  return result < 0 ? result : view.getInt32(VALUE, true);
}

/** The socket's pending error, positive, 0 for none; reading clears it (`SO_ERROR`). */
export function socketError(fd: number): number {
  const error = getOption(fd, SOL.SOCKET, SO.ERROR);
  return error < 0 ? -error : error;
}

/** Whether the next byte of a stream is its urgent one. */
export function atUrgentMark(fd: number): boolean {
  return ioctl(fd, SIOC.ATMARK, here + VALUE) >= 0 && view.getInt32(VALUE, true) !== 0;
}

/** `connect(2)`: 0, or −EINPROGRESS, or another −errno. */
export function connectTo(fd: number, address: AddressWords, port: number, scope = 0): number {
  return connect(fd, here, writeSockaddr(view, 0, address, port, scope));
}

/** Dissolves a datagram socket's association: `connect(2)` to `AF_UNSPEC`. */
export function disconnect(fd: number): number {
  view.setUint16(0, AF.UNSPEC, true);
  return connect(fd, here, 16);
}

/** `bind(2)`. */
export function bindTo(fd: number, address: AddressWords, port: number, scope = 0): number {
  return bind(fd, here, writeSockaddr(view, 0, address, port, scope));
}

/** Where the socket is bound; false when it cannot be told. */
export function localAddress(fd: number, into: SocketAddress): boolean {
  view.setInt32(LENGTH, SOCKADDR_SIZE, true);
  return getsockname(fd, here, here + LENGTH) >= 0 && readSockaddr(view, 0, into);
}

/** Whom the socket is connected to; false when to nobody. */
export function peerAddress(fd: number, into: SocketAddress): boolean {
  view.setInt32(LENGTH, SOCKADDR_SIZE, true);
  return getpeername(fd, here, here + LENGTH) >= 0 && readSockaddr(view, 0, into);
}

/** A listening TCP socket. IPv6 sockets take IPv6 only, so that both families can have the port. */
export function tcpListen(address: AddressWords, port: number, backlog = 1_024): number {
  const fd = socket(domainOf(address), SOCK.STREAM | FLAGS, IPPROTO.TCP);
  if (fd < 0) return fd;
  setOption(fd, SOL.SOCKET, SO.REUSEADDR, 1);
  if (address.family === 6) setOption(fd, SOL.IPV6, IPV6.V6ONLY, 1);
  let result = bindTo(fd, address, port);
  if (result >= 0) result = listen(fd, backlog);
  if (result >= 0) return fd;
  close(fd);
  return result;
}

/** Takes a waiting connection; −EAGAIN when there is none. `into` gets the client's address. */
export function tcpAccept(fd: number, into: SocketAddress): number {
  view.setInt32(LENGTH, SOCKADDR_SIZE, true);
  const accepted = accept4(fd, here, here + LENGTH, FLAGS);
  if (accepted < 0) return accepted;
  readSockaddr(view, 0, into);
  setOption(accepted, SOL.TCP, TCP.NODELAY, 1);
  return accepted;
}

/** What a UDP socket may ask for. */
export interface UdpOptions {
  /** ICMP errors are queued and reported (`IP_RECVERR`), also for sockets that are not connected. */
  readonly receiveErrors?: boolean;
  /** Several sockets may share the port (`SO_REUSEADDR`). */
  readonly reuseAddress?: boolean;
}

/** A UDP socket, bound when `address` is given. IPv6 sockets take IPv6 only. */
export function udpSocket(family: 4 | 6, address?: AddressWords, port = 0, options: UdpOptions = {}): number {
  const fd = socket(family === 4 ? AF.INET : AF.INET6, SOCK.DGRAM | FLAGS, IPPROTO.UDP);
  if (fd < 0) return fd;
  if (family === 6) setOption(fd, SOL.IPV6, IPV6.V6ONLY, 1);
  if (options.reuseAddress === true) setOption(fd, SOL.SOCKET, SO.REUSEADDR, 1);
  if (options.receiveErrors === true) receiveErrors(fd, family);
  const result = address === undefined ? 0 : bindTo(fd, address, port);
  if (result >= 0) return fd;
  close(fd);
  return result;
}

/**
 * A ping socket: sends echo requests, hears the replies to its own identifier. Needs no privilege where
 * `net.ipv4.ping_group_range` holds our group, else −EACCES. The kernel writes identifier and checksum.
 */
export function pingSocket(family: 4 | 6, options: UdpOptions = {}): number {
  const fd = family === 4
    ? socket(AF.INET, SOCK.DGRAM | FLAGS, IPPROTO.ICMP)
    : socket(AF.INET6, SOCK.DGRAM | FLAGS, IPPROTO.ICMPV6);
  if (fd >= 0 && options.receiveErrors === true) receiveErrors(fd, family);
  return fd;
}

/** Queues ICMP errors for `receiveError` (`IP_RECVERR`). */
export function receiveErrors(fd: number, family: 4 | 6): number {
  return family === 4 ? setOption(fd, SOL.IP, IP.RECVERR, 1) : setOption(fd, SOL.IPV6, IPV6.RECVERR, 1);
}

/** Hop limit of what is sent from now on; −1: the host's default. */
export function setHopLimit(fd: number, family: 4 | 6, hopLimit: number): number {
  return family === 4
    ? setOption(fd, SOL.IP, IP.TTL, hopLimit)
    : setOption(fd, SOL.IPV6, IPV6.UNICAST_HOPS, hopLimit);
}
