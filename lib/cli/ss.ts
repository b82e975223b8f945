/**
 * `sluice ss`: the endpoints of the stack in the manner of `ss`.
 *
 * @module
 */

import type { SocketJson } from "../control/render/socket.ts";
import { type Command, type CommandContext, ExitStatus, UsageFailure } from "./command.ts";
import { ask, readWords } from "./observe.ts";
import { formatJson } from "./text/json.ts";
import { formatSockets } from "./text/sockets.ts";

/** The command. */
export const ss: Command = {
  name: "ss",
  summary: "sockets of a running stack",
  usage: "sluice ss [-tuwalniH46] [-p] [-j] [ID]",
  details: `
Without -a or -l only connected sockets are shown. The stack knows numbers, not names, and endpoints, not
processes: -n is always on, and -p is accepted and adds nothing.`,
  withoutConfig: true,
  run: showSockets,
};

const OPTIONS = {
  t: "tcp",
  tcp: "tcp",
  u: "udp",
  udp: "udp",
  w: "raw",
  raw: "raw",
  a: "all",
  all: "all",
  l: "listening",
  listening: "listening",
  n: "numeric",
  numeric: "numeric",
  p: "processes",
  processes: "processes",
  i: "info",
  info: "info",
  j: "json",
  json: "json",
  H: "bare",
  "no-header": "bare",
  4: "4",
  ipv4: "4",
  6: "6",
  ipv6: "6",
};

/** `ss` prints protocols in this order. */
const ORDER = ["icmp", "raw", "udp", "tcp"];

async function showSockets({ args, stdout }: CommandContext): Promise<number> {
  const { options, words: [id, ...more] } = readWords(args, OPTIONS, true);
  if (more.length > 0) {
    throw new UsageFailure(
      `wrong usage: unexpected ${JSON.stringify(more[0])}`,
      "filters are not known: use jq",
    );
  }
  const [all = []] = await ask<SocketJson[]>(id, "/v1/sockets");
  const sockets = all.filter((socket) => isWanted(socket, options))
    .sort((a, b) => ORDER.indexOf(a.netid) - ORDER.indexOf(b.netid));
  if (options.has("json")) {
    stdout(formatJson(sockets));
  } else {
    stdout(formatSockets(sockets, {
      netid: protocols(options).length !== 1,
      details: options.has("info"),
      heading: !options.has("bare"),
    }));
  }
  return ExitStatus.ok;
}

function isWanted(socket: SocketJson, options: ReadonlySet<string>): boolean {
  const wanted = protocols(options);
  const group = socket.netid === "icmp" ? "raw" : socket.netid;
  if (wanted.length > 0 && !wanted.includes(group)) return false;
  const families = ["4", "6"].filter((family) => options.has(family));
  if (families.length === 1 && families[0] !== (socket.family === "inet" ? "4" : "6")) return false;
  if (options.has("all")) return true;
  const listens = socket.state === "LISTEN" || socket.state === "UNCONN";
  if (options.has("listening")) return listens;
  // `ss` without -a: all states but those that wait for a peer, and TIME-WAIT (`SS_ALL & ~…` in its source).
  return !listens && socket.state !== "TIME-WAIT" && socket.state !== "SYN-RECV" && socket.state !== "CLOSE";
}

function protocols(options: ReadonlySet<string>): string[] {
  return ["tcp", "udp", "raw"].filter((protocol) => options.has(protocol));
}
