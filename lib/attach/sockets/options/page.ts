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
  return `${HEAD}\n${LEVELS.map(section).join("\n")}`;
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
