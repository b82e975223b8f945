/**
 * Numbers of the system calls that have to do with sockets or lead around them, of both architectures.
 *
 * @module
 */

import { ARCH } from "./arch.ts";

/** Calls on sockets, by the names they have in C. */
export interface SocketCallNumbers {
  readonly ioctl: number;
  readonly socket: number;
  readonly socketpair: number;
  readonly bind: number;
  readonly listen: number;
  readonly accept: number;
  readonly accept4: number;
  readonly connect: number;
  readonly getsockname: number;
  readonly getpeername: number;
  readonly sendto: number;
  readonly recvfrom: number;
  readonly setsockopt: number;
  readonly getsockopt: number;
  readonly shutdown: number;
  readonly sendmsg: number;
  readonly recvmsg: number;
  readonly sendmmsg: number;
  readonly recvmmsg: number;
  readonly request_key: number;
  readonly io_uring_setup: number;
  readonly io_uring_enter: number;
  readonly io_uring_register: number;
}

const COMMON = { io_uring_setup: 425, io_uring_enter: 426, io_uring_register: 427 } as const;

/** Both tables; the filter's test assembles either. */
export const SOCKET_CALLS_OF: Readonly<Record<typeof ARCH, SocketCallNumbers>> = {
  x86_64: {
    ioctl: 16,
    socket: 41,
    connect: 42,
    accept: 43,
    sendto: 44,
    recvfrom: 45,
    sendmsg: 46,
    recvmsg: 47,
    shutdown: 48,
    bind: 49,
    listen: 50,
    getsockname: 51,
    getpeername: 52,
    socketpair: 53,
    setsockopt: 54,
    getsockopt: 55,
    request_key: 249,
    accept4: 288,
    recvmmsg: 299,
    sendmmsg: 307,
    ...COMMON,
  },
  aarch64: {
    ioctl: 29,
    socket: 198,
    socketpair: 199,
    bind: 200,
    listen: 201,
    accept: 202,
    connect: 203,
    getsockname: 204,
    getpeername: 205,
    sendto: 206,
    recvfrom: 207,
    setsockopt: 208,
    getsockopt: 209,
    shutdown: 210,
    sendmsg: 211,
    recvmsg: 212,
    request_key: 218,
    accept4: 242,
    recvmmsg: 243,
    sendmmsg: 269,
    ...COMMON,
  },
};

/** Those of this machine. */
export const SOCKET_CALLS: SocketCallNumbers = SOCKET_CALLS_OF[ARCH];
