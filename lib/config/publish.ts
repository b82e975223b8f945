/**
 * Published ports: `[addr:]hostport:[guestaddr:]guestport[/tcp|udp]`.
 *
 * ```text
 *  8080:80                  every address of the host, TCP
 *  127.0.0.1:8080:80/udp    one address, UDP
 *  [::1]:8080:80            IPv6 in brackets
 *  8000-8010:9000-9010      two ranges of one length, port by port
 *  8080:192.168.127.3:80    one of several guests (serve)
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
  /** Which guest, where there are several (`serve`). */
  readonly guestAddress?: IpAddress;
}

/** Ports that one process may publish: a descriptor each. */
export const MAX_PUBLISHED = 1024;

/** Reads one value of `--publish`, ranges expanded. Returns the reason as a string if it is not one. */
export function parsePublish(text: string): readonly Publish[] | string {
  const slash = text.lastIndexOf("/");
  const protocol = slash < 0 ? "tcp" : text.slice(slash + 1);
  if (protocol !== "tcp" && protocol !== "udp") return `unknown protocol "${protocol}": must be tcp or udp`;
  const ports = slash < 0 ? text : text.slice(0, slash);

  const fields = splitFields(ports);
  if (typeof fields === "string") return fields;
  let hostAddress: IpAddress | undefined;
  let guestAddress: IpAddress | undefined;
  if (fields.length >= 3 && !RANGE.test(fields[0]!)) {
    hostAddress = IpAddress.parse(fields[0]!);
    if (hostAddress === undefined) return `"${fields[0]}" is not an IP address`;
    fields.shift();
    if (IpAddress.parse(fields[0]!) !== undefined) return "two addresses";
  }
  if (fields.length === 3) {
    guestAddress = IpAddress.parse(fields[1]!);
    if (guestAddress === undefined) return `"${fields[1]}" is not an IP address`;
    fields.splice(1, 1);
  }
  if (fields.length !== 2) return "want [addr:]hostport:[guestaddr:]guestport[/tcp|udp]";

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
      ...(guestAddress === undefined ? {} : { guestAddress }),
      hostPort: host.first + i,
      guestPort: guest.first + i,
    });
  }
  return published;
}

/** What may stand in the place of a port. */
const RANGE = /^[0-9]*(-[0-9]*)?$/;

/** The fields between colons; those of an IPv6 address in brackets are not among them. A string says what is wrong. */
function splitFields(text: string): string[] | string {
  const fields: string[] = [];
  let rest = text;
  for (;;) {
    const bracketed = rest.startsWith("[");
    const end = bracketed ? rest.indexOf("]:") + 1 : rest.indexOf(":");
    if (bracketed && end === 0) return "an IPv6 address is written [addr]:hostport:guestport";
    const field = end < 0 ? rest : rest.slice(0, end);
    if (bracketed) {
      const address = field.slice(1, -1);
      if (IpAddress.parse(address)?.family !== 6) return `"${address}" is not an IPv6 address`;
      fields.push(address);
    } else fields.push(field);
    if (end < 0) break;
    rest = rest.slice(end + 1);
  }
  if (fields.length > 4) return "an IPv6 address must be in brackets: [addr]:hostport:guestport";
  return fields;
}

/** The text that {@linkcode parsePublish} reads back; `/tcp` is always said. */
export function formatPublish(publish: Publish): string {
  const { protocol, hostAddress, hostPort, guestAddress, guestPort } = publish;
  return `${prefix(hostAddress)}${hostPort}:${prefix(guestAddress)}${guestPort}/${protocol}`;
}

function prefix(address: IpAddress | undefined): string {
  if (address === undefined) return "";
  return address.family === 6 ? `[${address}]:` : `${address}:`;
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
