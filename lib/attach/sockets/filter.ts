/**
 * The filter, as data: which system calls of the guest are answered by us, which fail, which go on.
 *
 * Everything that is not named goes on to the kernel. What reads and writes through a descriptor is not named: the pair
 * carries it. What could make or configure a socket of the kernel's own network, by any door, is; and what has somebody
 * else use that network for the guest.
 *
 * @module
 */

import { assembleProgram, SeccompAction, seccompProgram, type SyscallRule } from "../../host/bpf.ts";
import { AF } from "../../host/constants.ts";
import { Errno } from "../../host/errno.ts";
import type { NativeMemory } from "../../host/memory.ts";
import { SOCKET_CALLS, type SocketCallNumbers } from "../../host/socket_calls.ts";
import { TUNSETIFF } from "../../host/tun.ts";

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

/** What a guest may type for the shell that we were started from, which has the host's network (`ioctl_tty(2)`). */
const TIOCSTI = { argument: 1, oneOf: [0x5412] } as const,
  TIOCLINUX = { argument: 1, oneOf: [0x541c] } as const;

/** Attaches to a TUN or TAP device. The kernel allows that to the owner of a persistent one. */
const TUNSETIFF_ONLY = { argument: 1, oneOf: [TUNSETIFF] } as const;

/**
 * With information for it, `request_key` has the kernel start a program beside all namespaces, as root, to make the key:
 * those of type `dns_resolver` are names that it looks up in the host's network.
 */
const CALLOUT = { argument: 2, present: true } as const;

/**
 * Bytes of the netlink requests of musl's `getifaddrs` and `if_nameindex`: it sends one, and at once receives with
 * MSG_DONTWAIT, because a kernel has answered by then. So must we, and only a trapped call lets us. A send of just this
 * length to another socket is let through, for the price of a trap.
 */
export const MUSL_REQUEST = 20;

/**
 * The rules for an architecture with these numbers.
 *
 * @param ownNetwork the guest is in a network namespace of its own: devices of the host are not in it
 */
export function rulesFor(calls: SocketCallNumbers, ownNetwork: boolean): readonly SyscallRule[] {
  return [
    // Most frequent first: a rule that does not match costs one instruction.
    {
      number: calls.ioctl,
      cases: [
        { when: SIOC, then: notify },
        { when: TIOCSTI, then: errno(Errno.EIO) },
        { when: TIOCLINUX, then: errno(Errno.EPERM) },
        ...(ownNetwork ? [] : [{ when: TUNSETIFF_ONLY, then: errno(Errno.EPERM) }]),
      ],
    },
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
    { number: calls.request_key, cases: [{ when: CALLOUT, then: errno(Errno.ENOKEY) }] },
    ...UNSEEN.map((name) => ({ number: calls[name], cases: [{ then: errno(Errno.ENOSYS) }] })),
  ];
}

/** The filter of this machine, ready for `seccomp(2)`. Calls of a foreign architecture, and x32, do not exist. */
export function assembleFilter(ownNetwork: boolean): NativeMemory {
  return assembleProgram(seccompProgram(rulesFor(SOCKET_CALLS, ownNetwork), errno(Errno.ENOSYS)));
}
