/**
 * Unix sockets by name: dialling, binding, and whether a name still means the same socket.
 *
 * @module
 */

import { statSync } from "node:fs";
import { AF, SO, SOCK, SOL } from "./constants.ts";
import { Errno } from "./errno.ts";
import { setOption } from "./inet.ts";
import { cString, NativeMemory } from "./memory.ts";
import { SOCKADDR_SIZE, writeSockaddrUnix } from "./structs.ts";
import { bind, close, connect, socket, unlink } from "./sys.ts";

const sockaddr = new NativeMemory(SOCKADDR_SIZE);

/** `connect(2)`: 0 or −errno; −EAGAIN when a listener's backlog is full. A leading `@`: an abstract name. */
export function connectUnix(fd: number, path: string): number {
  return connect(fd, sockaddr.address, writeSockaddrUnix(sockaddr, 0, path));
}

/** `bind(2)`, which makes the file: 0 or −errno. */
export function bindUnix(fd: number, path: string): number {
  return bind(fd, sockaddr.address, writeSockaddrUnix(sockaddr, 0, path));
}

/**
 * A socket connected to `path`, non-blocking and close-on-exec; or −errno.
 *
 * @param type `SOCK.STREAM`, `SOCK.DGRAM` or `SOCK.SEQPACKET`
 * @param from the name to bind first, so that a datagram peer can answer
 * @throws {RangeError} for a path that is too long
 */
export function dialUnix(type: number, path: string, from?: string): number {
  const fd = socket(AF.UNIX, type | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  if (fd < 0) return fd;
  let result = from === undefined ? 0 : bindUnix(fd, from);
  const bound = from !== undefined && result >= 0;
  if (result >= 0) result = connectUnix(fd, path);
  if (result >= 0) return fd;
  close(fd);
  if (bound) removeSocket(from);
  return result;
}

/** Asks for room for `bytes` in both directions; the kernel gives what its limits allow, and more to root. */
export function setSocketBuffers(fd: number, bytes: number): void {
  if (setOption(fd, SOL.SOCKET, SO.SNDBUFFORCE, bytes) < 0) setOption(fd, SOL.SOCKET, SO.SNDBUF, bytes);
  if (setOption(fd, SOL.SOCKET, SO.RCVBUFFORCE, bytes) < 0) setOption(fd, SOL.SOCKET, SO.RCVBUF, bytes);
}

/** Removes a socket's file; one that is gone already is fine. */
export function removeSocket(path: string): void {
  if (!path.startsWith("@")) unlink(cString(path).address);
}

/**
 * Whether somebody has the datagram socket at `path`. Nobody notices: connecting a datagram socket sends nothing. EPERM is a
 * sign of life, too: the socket is there, and is connected to one other (unix(7)).
 */
export function answersDatagrams(path: string): boolean {
  const fd = dialUnix(SOCK.DGRAM, path);
  if (fd < 0) return fd === -Errno.EPERM;
  close(fd);
  return true;
}

/** Whether there is something at `path` that is no socket. */
export function isNoSocket(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isSocket() === false;
  } catch {
    return false;
  }
}

/** Names the file at `path`, so that another one in its place can be told; undefined if there is none. */
export function fileIdentity(path: string): string | undefined {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? undefined : `${stat.dev}:${stat.ino}:${stat.ctimeNs}`;
  } catch {
    return undefined;
  }
}
