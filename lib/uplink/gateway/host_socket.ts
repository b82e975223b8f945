/**
 * Host sockets as the relays want them: opened bare, so that a connection that lives for one request pays only for
 * what it uses. Every function returns ≥ 0 or −errno.
 *
 * @module
 */

import { AF, IPPROTO, SO, SOCK, SOL, TCP } from "../../host/constants.ts";
import { localAddress, setOption } from "../../host/inet.ts";
import { alloc } from "../../host/memory.ts";
import { type AddressWords, SocketAddress } from "../../host/structs.ts";
import { setsockopt, socket } from "../../host/sys.ts";

const FLAGS = SOCK.NONBLOCK | SOCK.CLOEXEC;

/** `struct linger { on, 0 seconds }`: close() sends a RST and forgets what was queued. */
const linger = alloc(8);
linger.words[0] = 1;

/** A TCP socket with every option at its default. */
export function openStream(family: 4 | 6): number {
  return socket(family === 4 ? AF.INET : AF.INET6, SOCK.STREAM | FLAGS, IPPROTO.TCP);
}

/** Hop limits below this are a traceroute's, and carried over; no ordinary sender begins so low. */
const LOW_HOP_LIMIT = 32;

/**
 * What to set for a packet that reached us with `hopLimit`: one hop less, as we are one, if it is low; else −1, the
 * host's default.
 */
export function carriedHopLimit(hopLimit: number): number {
  return hopLimit <= LOW_HOP_LIMIT ? Math.max(1, hopLimit - 1) : -1;
}

const own = new SocketAddress();

/**
 * Whether a TCP socket that was connected to `address`, `port` is connected to itself: the kernel may choose the very port
 * that is dialled on one of the host's own addresses, and two SYNs that cross are a connection (RFC 9293 section 3.5).
 */
export function isOwnPeer(fd: number, address: AddressWords, port: number): boolean {
  return localAddress(fd, own) && own.port === port && own.d === address.d && own.c === address.c &&
    own.b === address.b && own.a === address.a && own.family === address.family;
}

/** A UDP socket with every option at its default. */
export function openDatagram(family: 4 | 6): number {
  return socket(family === 4 ? AF.INET : AF.INET6, SOCK.DGRAM | FLAGS, IPPROTO.UDP);
}

/** Nagle's algorithm off. */
export function setNoDelay(fd: number): number {
  return setOption(fd, SOL.TCP, TCP.NODELAY, 1);
}

/** Probes a peer that is silent, first after a minute. */
export function setKeepAlive(fd: number): number {
  setOption(fd, SOL.TCP, TCP.KEEPIDLE, 60);
  return setOption(fd, SOL.SOCKET, SO.KEEPALIVE, 1);
}

/** `close()` will reset the connection (RFC 9293 section 3.10.5 ABORT). */
export function setResetOnClose(fd: number): number {
  return setsockopt(fd, SOL.SOCKET, SO.LINGER, linger.address, 8);
}
