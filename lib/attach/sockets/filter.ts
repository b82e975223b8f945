/**
 * The filter, as data: which system calls of the guest are answered by us, which fail, which go on.
 *
 * Everything that is not named goes on to the kernel. What reads and writes through a descriptor is not named: the pair
 * carries it. What could make or configure a socket of the kernel's own network, by any door, is.
 *
 * @module
 */

import { assembleProgram, SeccompAction, seccompProgram, type SyscallRule } from "../../host/bpf.ts";
import { AF } from "../../host/constants.ts";
import { Errno } from "../../host/errno.ts";
import type { NativeMemory } from "../../host/memory.ts";
import { SOCKET_CALLS, type SocketCallNumbers } from "../../host/socket_calls.ts";

const { allow, notify, errno } = SeccompAction;

/** Always ours to answer. */
const TRAPPED = [
  "bind",
  "connect",
  "listen",
  "accept",
  "accept4",
  "getsockname",
  "getpeername",
  "getsockopt",
  "setsockopt",
  "shutdown",
  "sendmsg",
  "recvmsg",
  "sendmmsg",
  "recvmmsg",
] as const;

/**
 * Does work of other calls in the kernel, unseen by any filter. A kernel without it says ENOSYS, and programs cope.
 */
const UNSEEN = ["io_uring_setup", "io_uring_enter", "io_uring_register"] as const;

/** Commands of sockets and interfaces, `SIOC…`: 0x8900 to 0x89ff. */
const SIOC = { argument: 1, mask: 0xffffff00, value: 0x8900 } as const;

/**
 * Bytes of the netlink requests of musl's `getifaddrs` and `if_nameindex`: it sends one, and at once receives with
 * MSG_DONTWAIT, because a kernel has answered by then. So must we, and only a trapped call lets us. A send of just this
 * length to another socket is let through, for the price of a trap.
 */
export const MUSL_REQUEST = 20;

/** The rules for an architecture with these numbers. */
export function rulesFor(calls: SocketCallNumbers): readonly SyscallRule[] {
  return [
    // Most frequent first: a rule that does not match costs one instruction.
    { number: calls.ioctl, cases: [{ when: SIOC, then: notify }] },
    // Without an address these are send and recv, which the pair serves.
    {
      number: calls.sendto,
      cases: [
        { when: { argument: 4, present: true }, then: notify },
        { when: { argument: 2, oneOf: [MUSL_REQUEST] }, then: notify },
      ],
    },
    { number: calls.recvfrom, cases: [{ when: { argument: 4, present: true }, then: notify }] },
    ...TRAPPED.map((name) => ({ number: calls[name], cases: [{ then: notify }] })),
    {
      number: calls.socket,
      cases: [
        { when: { argument: 0, oneOf: [AF.UNIX] }, then: allow },
        { when: { argument: 0, oneOf: [AF.INET, AF.INET6, AF.NETLINK, AF.PACKET] }, then: notify },
        { then: errno(Errno.EAFNOSUPPORT) },
      ],
    },
    {
      number: calls.socketpair,
      cases: [
        { when: { argument: 0, oneOf: [AF.UNIX] }, then: allow },
        { when: { argument: 0, oneOf: [AF.INET, AF.INET6, AF.NETLINK] }, then: errno(Errno.EOPNOTSUPP) },
        { then: errno(Errno.EAFNOSUPPORT) },
      ],
    },
    ...UNSEEN.map((name) => ({ number: calls[name], cases: [{ then: errno(Errno.ENOSYS) }] })),
  ];
}

/** The filter of this machine, ready for `seccomp(2)`. Calls of a foreign architecture, and x32, do not exist. */
export function assembleFilter(): NativeMemory {
  return assembleProgram(seccompProgram(rulesFor(SOCKET_CALLS), errno(Errno.ENOSYS)));
}
