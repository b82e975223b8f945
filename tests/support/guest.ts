/**
 * The shape that every test with a real program has: who runs it, over which family, and what to say when it fails.
 *
 * @module
 */

import { strictEqual } from "node:assert/strict";
import { type Finished, run, type RunOptions, type Scope } from "./e2e.ts";
import { needs } from "./capability.ts";

/** What a machine needs for these tests. */
export const MACHINE = needs("root", "tun", "userns", "user:tester");

/** How a test meets one address family. */
export interface Family {
  readonly name: "IPv4" | "IPv6";
  /** The host's loopback address. */
  readonly host: string;
  /** What the guest calls it with `--host-loopback`. */
  readonly gateway: string;
  /** The same in a URL. */
  readonly url: string;
  /** The family's flag of most programs. */
  readonly flag: "-4" | "-6";
  /** Its first element in python's socket addresses. */
  readonly python: "AF_INET" | "AF_INET6";
  readonly socat: "4" | "6";
}

export const IPV4: Family = {
  name: "IPv4",
  host: "127.0.0.1",
  gateway: "10.0.2.2",
  url: "10.0.2.2",
  flag: "-4",
  python: "AF_INET",
  socat: "4",
};

export const IPV6: Family = {
  name: "IPv6",
  host: "::1",
  gateway: "fd00::2",
  url: "[fd00::2]",
  flag: "-6",
  python: "AF_INET6",
  socat: "6",
};

/** One row of "as root and as an ordinary user, over IPv4 and over IPv6". */
export interface Situation {
  readonly name: string;
  readonly family: Family;
  /** Who runs sluice. */
  readonly as: RunOptions;
  /** How the guest is attached; absent: the default. */
  readonly attach?: "tap" | "sockets";
}

/** Root, and an ordinary user. */
export const USERS: readonly { readonly name: string; readonly as: RunOptions }[] = [
  { name: "root", as: {} },
  { name: "tester", as: { user: "tester" } },
];

/** Every user over every family; either attachment with each of them once. */
export const SITUATIONS: readonly Situation[] = USERS.flatMap(({ name, as }, user) =>
  [IPV4, IPV6].map((family, i) => {
    const attach = user === i ? "tap" as const : "sockets" as const;
    return { name: `${family.name}, ${name}, ${attach}`, family, as, attach };
  })
);

/** Runs a program behind the stack, with the host's loopback in reach. */
export function behind(
  scope: Scope,
  situation: { readonly as: RunOptions; readonly attach?: "tap" | "sockets" },
  argv: readonly string[],
  options: RunOptions & { readonly flags?: readonly string[] } = {},
): Promise<Finished> {
  const { flags = [], ...rest } = options;
  const attach = situation.attach === undefined ? [] : [`--attach=${situation.attach}`];
  return run([scope.binary(), "--host-loopback", ...attach, ...flags, "do", "--", ...argv], {
    limit: 30_000,
    ...situation.as,
    ...rest,
  });
}

/** Fails with everything the program said unless it ended with status 0. */
export function succeeded(result: Finished): Finished {
  const how = result.signal === null ? `status ${result.status}` : `signal ${result.signal}`;
  const said = `ended with ${how}\nstderr: ${tail(result.stderr)}\nstdout: ${tail(result.stdout)}`;
  strictEqual(result.status, 0, said);
  return result;
}

function tail(text: string): string {
  return text.length > 4_000 ? `…${text.slice(-4_000)}` : text;
}
