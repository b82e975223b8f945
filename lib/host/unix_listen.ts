/**
 * Unix sockets with names in the file system, for who serves.
 *
 * A name that a dead process left behind is taken over; a file that is no socket, and a socket that somebody holds, are
 * not. Non-blocking, close-on-exec. Functions that open throw {@linkcode SystemError} or an `Error` that says why; the
 * others return a count ≥ 0 or −errno.
 *
 * @module
 */

import { lstatSync, readlinkSync, renameSync } from "node:fs";
import { AF, SOCK } from "./constants.ts";
import { check, Errno, errnoText } from "./errno.ts";
import { UNIX_PATH_MAX } from "./structs.ts";
import { accept4, close, connect, listen, socket } from "./sys.ts";
import { bindUnix, connectUnix, removeSocket } from "./unix_socket.ts";

/** Kinds of unix sockets. */
export type UnixKind = "stream" | "datagram" | "seqpacket";

const TYPE: Readonly<Record<UnixKind, number>> = {
  stream: SOCK.STREAM,
  datagram: SOCK.DGRAM,
  seqpacket: SOCK.SEQPACKET,
};
const FLAGS = SOCK.NONBLOCK | SOCK.CLOEXEC;
/** Bytes of a `sockaddr_un`. */
export const UNIX_NAME_SIZE = 2 + UNIX_PATH_MAX;
const BACKLOG = 128;
/** Joined to a name while the socket is being put in place; as short as can be. */
const NEW = "~";

/** A socket without a name. */
export function openUnix(kind: UnixKind): number {
  return check(socket(AF.UNIX, TYPE[kind] | FLAGS, 0), "open a unix socket");
}

/**
 * A socket with the name `path`, which listens unless it is for datagrams. A socket that was there is replaced in one
 * step, so the name is never missing; what is connected to the old one stays connected.
 *
 * @throws {Error} `Cannot listen on PATH: …`
 */
export function listenUnix(kind: UnixKind, path: string): number {
  const fd = openUnix(kind);
  try {
    const long = new TextEncoder().encode(path + NEW).length >= UNIX_PATH_MAX;
    const name = long ? path : path + NEW;
    removeIfSocket(name);
    succeed(bindUnix(fd, name), path);
    if (kind !== "datagram") succeed(listen(fd, BACKLOG), path);
    if (!long) renameSync(name, path);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Makes sure that nobody holds the name.
 *
 * @throws {Error} when the file is no socket, or somebody listens there
 */
export function claimUnix(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`Cannot listen on ${path}: the file exists, and is no socket`);
  const probe = openUnix("stream");
  const result = connectUnix(probe, path);
  close(probe);
  // A socket of another kind answers EPROTOTYPE, a busy one EAGAIN: only nobody refuses.
  if (result !== -Errno.ECONNREFUSED) {
    throw new Error(
      `Cannot listen on ${path}: ${
        result === -Errno.EACCES ? "permission denied" : "another process listens there"
      }`,
    );
  }
}

/** Removes a socket's name; nothing happens if there is none, or something else. */
export function removeIfSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) removeSocket(path);
}

/** The inode of the file `path`; 0 if there is none. */
export function inodeOfPath(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

/** The inode by which the kernel knows a socket. */
export function inodeOfSocket(fd: number): number {
  return Number(/^socket:\[([0-9]+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? 0);
}

/** Takes a waiting connection; −EAGAIN when there is none. */
export function acceptUnix(fd: number): number {
  return accept4(fd, 0, 0, FLAGS);
}

/** Connects to a name of `length` bytes at `address`, as the kernel gave it. */
export function connectToName(fd: number, address: number, length: number): number {
  return connect(fd, address, length);
}

function succeed(result: number, path: string): void {
  if (result >= 0) return;
  const why = result === -Errno.ENOENT ? "no such directory" : errnoText(-result);
  throw new Error(`Cannot listen on ${path}: ${why}`);
}
