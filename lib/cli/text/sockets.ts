/**
 * Endpoints as `ss` prints them. Addresses and ports are always numbers: names belong to the host, not to the stack.
 *
 * @module
 */

import type { SocketJson, TcpJson } from "../../control/render/socket.ts";

/** What `ss` was asked to show. */
export interface SocketView {
  /** A column for the protocol: `ss` has it if more than one is asked for. */
  readonly netid: boolean;
  /** A line below each TCP endpoint: `ss -i`. */
  readonly details: boolean;
  readonly heading: boolean;
}

type Row = readonly [
  netid: string,
  state: string,
  receiveQueue: string,
  sendQueue: string,
  local: string,
  localPort: string,
  peer: string,
  peerPort: string,
];

const HEADING: Row = ["Netid", "State", "Recv-Q", "Send-Q", "Local Address", "Port", "Peer Address", "Port"];

/** The table. */
export function formatSockets(sockets: readonly SocketJson[], view: SocketView): string {
  const rows = sockets.map(rowOf);
  const all = [HEADING, ...rows];
  const widths = HEADING.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const format = (row: Row, last: string) => {
    const cell = (column: number) => row[column]!.padEnd(widths[column]!);
    const end = (column: number) => `${row[column]!.padStart(widths[column]!)}:${cell(column + 1)}`;
    const columns = [cell(1), cell(2), cell(3), end(4), end(6), last];
    return `${(view.netid ? [cell(0), ...columns] : columns).join(" ").trimEnd()}\n`;
  };
  const lines = rows.map((row, i) => {
    const { tcp } = sockets[i]!;
    return format(row, "") + (view.details && tcp !== undefined ? `\t ${formatTcp(tcp)}\n` : "");
  });
  // We know no processes: the endpoints are the stack's own. The heading stays, so that columns count as in `ss`.
  return (view.heading ? format(HEADING, "Process") : "") + lines.join("");
}

function rowOf(socket: SocketJson): Row {
  const any = socket.peer_port === 0;
  return [
    socket.netid,
    socket.state,
    String(socket.recv_q),
    String(socket.send_q),
    bracketed(socket.local),
    socket.local_port === 0 ? "*" : String(socket.local_port),
    bracketed(socket.peer),
    any ? "*" : String(socket.peer_port),
  ];
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** The words of `ss -i` in its order. */
function formatTcp(tcp: TcpJson): string {
  const words: string[] = [];
  if (tcp.ts) words.push("ts");
  if (tcp.sack) words.push("sack");
  if (tcp.ecn) words.push("ecn");
  words.push(tcp.congestion);
  if (tcp.snd_wscale > 0 || tcp.rcv_wscale > 0) words.push(`wscale:${tcp.snd_wscale},${tcp.rcv_wscale}`);
  words.push(`rto:${tcp.rto}`);
  if (tcp.rtt > 0) words.push(`rtt:${tcp.rtt}/${tcp.rttvar}`);
  words.push(`mss:${tcp.mss}`, `pmtu:${tcp.pmtu}`, `cwnd:${tcp.cwnd}`);
  if (tcp.ssthresh !== undefined) words.push(`ssthresh:${tcp.ssthresh}`);
  for (const name of ["bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received"] as const) {
    if (tcp[name] > 0) words.push(`${name}:${tcp[name]}`);
  }
  if (tcp.retrans > 0) words.push(`retrans:0/${tcp.retrans}`);
  words.push(`snd_wnd:${tcp.snd_wnd}`, `rcv_wnd:${tcp.rcv_wnd}`);
  return words.join(" ");
}
