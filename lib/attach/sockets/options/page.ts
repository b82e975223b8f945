/**
 * The documentation's page of socket options, made from the tables that answer them.
 *
 * @module
 */

import { LEVELS, type NamedLevel } from "./names.ts";
import type { OptionKind } from "./option.ts";

const HEAD = `<!-- deno-fmt-ignore-file -->

# Socket options

<!-- Made by scripts/gen_socket_options.ts from lib/attach/sockets/options. Do not edit. -->

What \`getsockopt\` and \`setsockopt\` do with attachment \`sockets\`. Lengths, ranges and errors are Linux'.

- **real**: acts on our stack, or tells the truth about it.
- **stored**: remembered and given back, because there is nothing here for it to act on. Marked *, it acts on
  datagram and raw sockets and is stored on those of TCP.
- **refused**: fails, as on a kernel that was built without it, or for a program without the privilege.

Beside the tables: memberships of groups (\`IP_ADD_MEMBERSHIP\`, \`IPV6_JOIN_GROUP\`, \`MCAST_…\`, sources included),
\`UDP_SEGMENT\` of UDP sockets, and what netlink sockets have. Everything else is \`ENOPROTOOPT\`.
`;

/** What reads, writes and polls differ in, which nobody can trap: they go to the kernel's unix socket that stands in. */
const TAIL = `## What differs from Linux

Calls that name an address or a message (\`connect\`, \`recvfrom\`, \`recvmsg\`, \`getsockopt\`, …) are answered by sluice and
say what Linux says. Plain \`read\`, \`write\`, \`send\`, \`recv\`, \`poll\`, \`close\` are not trapped, for speed: they act on one
end of a pair of unix sockets, which says the same in all that is tested, but for this:

- \`SO_LINGER\` with a time does not make \`close\` wait. Nobody is told of a \`close\` before it is over, and to trap each one,
  of files as well, would cost some ten microseconds a time. What was written is delivered all the same, also when the
  program ends: sluice stays until it is. With a time of 0 \`close\` resets the connection.
- A plain \`recv\` on a connected datagram socket whose peer refused returns an empty datagram instead of ECONNREFUSED, and
  \`poll\` says POLLIN for it instead of POLLERR; a plain \`send\` after it is sent. \`recvfrom\` with an address, \`recvmsg\` and
  \`SO_ERROR\` have the error. (A unix socket has one error, ECONNRESET, and having it is its end.)
- A plain \`send\` on a datagram socket is not seen before it is over: without a peer, or of 65508 bytes and more (up to some
  200 KiB), it succeeds and the datagram is dropped and counted, where Linux says EDESTADDRREQ and EMSGSIZE. After
  \`shutdown(SHUT_RD)\` a plain \`recv\` that does not wait returns 0, not EAGAIN. FIONREAD tells the bytes of all datagrams
  that wait, not those of the first; of a stream TIOCOUTQ (SIOCOUTQ) tells what sluice has not taken yet, not what the
  peer has not acknowledged. SIOCGSTAMP fails: a control message (\`SO_TIMESTAMP\`) has the time.
- For the same reason a plain \`recv\` after a non-blocking \`connect\` that failed says ECONNRESET; \`poll\`, \`SO_ERROR\` and the
  next \`connect\` say what they should.
- A stream that is neither connected nor listening takes no bytes and has none, so \`read\` and \`write\` wait or say EAGAIN
  where Linux says ENOTCONN and EPIPE, and \`poll\` says nothing where Linux says POLLOUT and POLLHUP. A \`read\` of a
  listening socket is no error either, and returns a byte of no meaning while a connection waits.
- Urgent data (\`MSG_OOB\`) is that of unix sockets, from Linux 5.15 on; older kernels and those built without refuse it. It polls
  readable (POLLIN) also where it is all that waits, and FIONREAD counts past the mark. SIGURG comes with the
  urgent byte, not with the first announcement of it. An urgent byte that was read out of band is not read again in line
  when another becomes urgent while it is still unpassed.
- A signal handler without \`SA_RESTART\` may interrupt calls that Linux never interrupts (\`setsockopt\`). A call with a
  time-out (\`SO_RCVTIMEO\`) that a program itself repeats unchanged after EINTR may say EINTR once more. One that was
  carried out, and answered in the very moment of a signal, says EINTR too; repeated unchanged it gives its result.
- Memory that only the program itself can read (\`memfd_secret\`) holds no address and no message for a trapped call: EFAULT.
- A netlink socket is not the kernel's: \`mq_notify\` with SIGEV_THREAD, which is told by one, fails with EINVAL.
`;

/** Options that only datagrams, which are sent one by one, can honour. */
const OF_DATAGRAMS = new Set([
  "IP_TOS",
  "IP_TTL",
  "IP_MTU_DISCOVER",
  "IP_MULTICAST_IF",
  "IP_MULTICAST_TTL",
  "IP_MULTICAST_LOOP",
  "IP_ORIGDSTADDR",
  "IPV6_UNICAST_HOPS",
  "IPV6_TCLASS",
  "IPV6_MTU_DISCOVER",
  "IPV6_MULTICAST_IF",
  "IPV6_MULTICAST_HOPS",
  "IPV6_MULTICAST_LOOP",
  "IPV6_ORIGDSTADDR",
  "IPV6_2292PKTINFO",
  "IPV6_2292HOPLIMIT",
  "SO_TIMESTAMP",
  "SO_TIMESTAMPNS",
  "SO_TIMESTAMP_NEW",
  "SO_TIMESTAMPNS_NEW",
]);

const KINDS: readonly OptionKind[] = ["real", "stored", "refused"];

/** The page, as Markdown. */
export function optionsPage(): string {
  return `${HEAD}\n${LEVELS.map(section).join("\n")}\n${TAIL}`;
}

function section(level: NamedLevel): string {
  const lines = KINDS.flatMap((kind) => {
    const names = Object.entries(level.options).filter(([, option]) => option.kind === kind)
      .map(([number]) => nameOf(level, Number(number)));
    return names.length === 0 ? [] : [`- ${kind}: ${names.join(" ")}`];
  });
  return `## ${level.title}\n\n${lines.join("\n")}\n`;
}

function nameOf({ prefix, names }: NamedLevel, number: number): string {
  const known = names[number];
  if (known === undefined) throw new RangeError(`Cannot name socket option ${prefix}${number}`);
  const name = prefix + known;
  return `\`${name}\`${OF_DATAGRAMS.has(name) ? "*" : ""}`;
}
