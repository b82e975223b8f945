/**
 * Two connected unix sockets.
 *
 * @module
 */

import { AF, F, SO, SOCK, SOL } from "./constants.ts";
import { O } from "./arch.ts";
import { check } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { fcntl, setsockopt, socketpair } from "./sys.ts";

const pair = new NativeMemory(8);

/**
 * Two connected sockets that keep the boundaries of messages and tell of each other's end (`SOCK_SEQPACKET`),
 * both close-on-exec.
 *
 * @param type another `SOCK_…`, with `SOCK.NONBLOCK` if wanted
 * @throws {SystemError} when there are too many descriptors
 */
export function socketPair(type: number = SOCK.SEQPACKET): [near: number, far: number] {
  check(socketpair(AF.UNIX, type | SOCK.CLOEXEC, 0, pair.address), "make a pair of sockets");
  return [pair.words[0]!, pair.words[1]!];
}

/**
 * As {@linkcode socketPair}, for who must go on when there are too many descriptors: the pair, or a positive errno.
 */
export function tryPair(type: number): readonly [near: number, far: number] | number {
  const result = socketpair(AF.UNIX, type | SOCK.CLOEXEC, 0, pair.address);
  return result < 0 ? -result : [pair.words[0]!, pair.words[1]!];
}

/** Clears all status flags, `O_NONBLOCK` among them, of a socket that was just made. */
export function setBlocking(fd: number): void {
  fcntl(fd, F.SETFL, O.RDWR);
}

const timeval = new NativeMemory(16);

/** Lets a receive that would block fail with EAGAIN after this many seconds. */
export function setReceiveTimeout(fd: number, seconds: number): void {
  timeval.words[0] = seconds;
  check(setsockopt(fd, SOL.SOCKET, SO.RCVTIMEO, timeval.address, 16), "limit the wait for a message");
}
