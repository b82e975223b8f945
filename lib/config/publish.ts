/**
 * Published ports: `[addr:]hostport:guestport[/tcp|udp]`.
 *
 * ```text
 *  8080:80                  every address of the host, TCP
 *  127.0.0.1:8080:80/udp    one address, UDP
 *  [::1]:8080:80            IPv6 in brackets
 *  8000-8010:9000-9010      two ranges of one length, port by port
 * ```
 *
 * @module
 */

import { IpAddress } from "../stack/wire/address.ts";

/** One port of the host that leads to one port of the guest. */
export interface Publish {
  readonly protocol: "tcp" | "udp";
  /** Absent: every address of the host, both families. */
  readonly hostAddress?: IpAddress;
  readonly hostPort: number;
  readonly guestPort: number;
}

/** Ports that one process may publish: a descriptor each. */
export const MAX_PUBLISHED = 1024;

/** Reads one value of `--publish`, ranges expanded. Returns the reason as a string if it is not one. */
export function parsePublish(text: string): readonly Publish[] | string {
  const slash = text.lastIndexOf("/");
  const protocol = slash < 0 ? "tcp" : text.slice(slash + 1);
  if (protocol !== "tcp" && protocol !== "udp") return `unknown protocol "${protocol}": must be tcp or udp`;
  let ports = slash < 0 ? text : text.slice(0, slash);

  let hostAddress: IpAddress | undefined;
  if (ports.startsWith("[")) {
    const close = ports.indexOf("]:");
    if (close < 0) return "an IPv6 address is written [addr]:hostport:guestport";
    hostAddress = IpAddress.parse(ports.slice(1, close));
    if (hostAddress?.family !== 6) return `"${ports.slice(1, close)}" is not an IPv6 address`;
    ports = ports.slice(close + 2);
  }
  const fields = ports.split(":");
  if (fields.length > 3) return "an IPv6 address must be in brackets: [addr]:hostport:guestport";
  if (fields.length === 3) {
    if (hostAddress !== undefined) return "two addresses";
    hostAddress = IpAddress.parse(fields[0]!);
    if (hostAddress === undefined) return `"${fields[0]}" is not an IP address`;
    fields.shift();
  }
  if (fields.length !== 2) return "want [addr:]hostport:guestport[/tcp|udp]";

  const host = parseRange(fields[0]!, "host port");
  if (typeof host === "string") return host;
  const guest = parseRange(fields[1]!, "guest port");
  if (typeof guest === "string") return guest;
  const count = host.last - host.first + 1;
  const guestCount = guest.last - guest.first + 1;
  if (count !== guestCount) {
    return `the ranges differ in length: ${count} host ports, ${guestCount} guest ports`;
  }
  if (count > MAX_PUBLISHED) return `a range of ${count} ports exceeds the limit of ${MAX_PUBLISHED}`;

  const published: Publish[] = [];
  for (let i = 0; i < count; i++) {
    published.push({
      protocol,
      ...(hostAddress === undefined ? {} : { hostAddress }),
      hostPort: host.first + i,
      guestPort: guest.first + i,
    });
  }
  return published;
}

/** The text that {@linkcode parsePublish} reads back; `/tcp` is always said. */
export function formatPublish(publish: Publish): string {
  const { protocol, hostAddress, hostPort, guestPort } = publish;
  const address = hostAddress === undefined
    ? ""
    : hostAddress.family === 6
    ? `[${hostAddress}]:`
    : `${hostAddress}:`;
  return `${address}${hostPort}:${guestPort}/${protocol}`;
}

/** Two published ports that want the same port of the host; undefined if there are none. */
export function findClash(published: readonly Publish[]): readonly [Publish, Publish] | undefined {
  const byPort = new Map<string, Publish[]>();
  for (const publish of published) {
    const key = `${publish.hostPort}/${publish.protocol}`;
    const others = byPort.get(key) ?? [];
    for (const other of others) if (overlap(publish.hostAddress, other.hostAddress)) return [other, publish];
    others.push(publish);
    byPort.set(key, others);
  }
  return undefined;
}

function overlap(a: IpAddress | undefined, b: IpAddress | undefined): boolean {
  if (a === undefined || b === undefined) return true;
  if (a.family !== b.family) return false;
  return a.isUnspecified() || b.isUnspecified() || a.equals(b);
}

function parseRange(text: string, what: string): { first: number; last: number } | string {
  const dash = text.indexOf("-");
  const first = parsePort(dash < 0 ? text : text.slice(0, dash), what);
  if (typeof first === "string") return first;
  if (dash < 0) return { first, last: first };
  const last = parsePort(text.slice(dash + 1), what);
  if (typeof last === "string") return last;
  return last < first ? `the range ${text} runs backwards` : { first, last };
}

function parsePort(text: string, what: string): number | string {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : `${what} "${text}" must be a number from 1 to 65535`;
}
