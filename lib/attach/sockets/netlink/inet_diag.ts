/**
 * `NETLINK_SOCK_DIAG` for inet sockets: what `ss -tuan` asks (`inet_diag_dump_icsk`, `udp_dump`).
 *
 * Other families are ENOENT, as on a kernel without their modules: `ss` reads `/proc/net` then, where the kernel's unix
 * sockets are.
 *
 * @module
 */

import { AF, IPPROTO } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { SocketFacts } from "../../../stack/facts.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import { TCP_INFO_SIZE, writeIdleInfo, writeTcpFacts } from "../tcp/tcp_info.ts";
import { INET_DIAG, NLM_F, SOCK_DESTROY, SOCK_DIAG_BY_FAMILY } from "./numbers.ts";
import type { ReplyWriter } from "./reply_writer.ts";
import { Refusal, type Request } from "./request.ts";
import type { Outcome } from "./rtnetlink.ts";

/** Bytes of `struct inet_diag_req_v2` and of `struct inet_diag_msg`. */
const REQUEST_SIZE = 56, MESSAGE_SIZE = 72;
/** Offsets in the request: states to show, and the identity of a socket. */
const REQUEST_STATES = 4, REQUEST_ID = 8;
/** `SOCK_RAW` asks for protocol 255. */
const IPPROTO_RAW = 255;
/** Bytes of `struct inet_diag_meminfo`-like arrays: `SK_MEMINFO_VARS` words. */
const SK_MEMINFO_BYTES = 36;

/** Numbers of Linux for the states that `ss` names (`include/net/tcp_states.h`). */
const STATES: Readonly<Record<string, number>> = {
  "ESTAB": 1,
  "SYN-SENT": 2,
  "SYN-RECV": 3,
  "FIN-WAIT-1": 4,
  "FIN-WAIT-2": 5,
  "TIME-WAIT": 6,
  "UNCONN": 7,
  "CLOSE-WAIT": 8,
  "LAST-ACK": 9,
  "LISTEN": 10,
  "CLOSING": 11,
};
const LISTEN = 10, CLOSE = 7;

/** A socket, and what only the attachment knows of it. */
export interface DiagSocket {
  readonly facts: SocketFacts;
  /** The guest's inode, by which `ss -p` finds the process; 0: none of the guest's. */
  readonly inode: number;
  readonly uid: number;
}

/** Answers one request of `NETLINK_SOCK_DIAG`. */
export function answerDiag(request: Request, sockets: () => Iterable<DiagSocket>, out: ReplyWriter): Outcome {
  const refused = (errno: number): Outcome => ({ refusal: new Refusal(errno), dump: false, apart: false });
  const { type } = request;
  if (type === SOCK_DESTROY) return refused(Errno.EPERM);
  if (type !== SOCK_DIAG_BY_FAMILY) return refused(Errno.EINVAL);
  const family = request.u8(0), protocol = request.u8(1);
  if (request.length < 4) return refused(Errno.EINVAL);
  if (family !== AF.INET && family !== AF.INET6) return refused(Errno.ENOENT);
  if (request.length < REQUEST_SIZE) return refused(Errno.EINVAL);
  const kind = protocol === IPPROTO.TCP
    ? "tcp"
    : protocol === IPPROTO.UDP
    ? "udp"
    : protocol === IPPROTO_RAW
    ? "raw"
    : undefined;
  if (kind === undefined) {
    return { refusal: new Refusal(Errno.ENOENT), dump: request.isDump, apart: false };
  }
  const of = family === AF.INET ? 4 : 6;
  if (!request.isDump) return { refusal: one(request, kind, of, sockets(), out), dump: false, apart: false };
  const states = request.u32(REQUEST_STATES);
  const port = portOf(request, 0), remotePort = portOf(request, 2);
  for (const socket of sockets()) {
    const { facts } = socket;
    if (facts.protocol !== kind || facts.family !== of) continue;
    if ((states & (1 << stateOf(facts))) === 0) continue;
    if ((port !== 0 && port !== facts.localPort) || (remotePort !== 0 && remotePort !== facts.remotePort)) {
      continue;
    }
    write(request, socket, out);
  }
  return { dump: true, apart: true };
}

function stateOf(facts: SocketFacts): number {
  return STATES[facts.state] ?? CLOSE;
}

/** A port of the request's identity, which is in network order. */
function portOf(request: Request, at: number): number {
  return (request.u8(REQUEST_ID + at) << 8) | request.u8(REQUEST_ID + at + 1);
}

/** The socket of exactly this identity. */
function one(
  request: Request,
  kind: SocketFacts["protocol"],
  family: 4 | 6,
  sockets: Iterable<DiagSocket>,
  out: ReplyWriter,
): Refusal | undefined {
  const at = 16 + REQUEST_ID + 4;
  const read = (from: number) =>
    (family === 4 ? IpAddress.readV4(request.view, from) : IpAddress.readV6(request.view, from)).toString();
  const local = read(at), remote = read(at + 16);
  const port = portOf(request, 0), remotePort = portOf(request, 2);
  for (const socket of sockets) {
    const { facts } = socket;
    if (facts.protocol !== kind || facts.localPort !== port || facts.remotePort !== remotePort) continue;
    if (facts.local !== local || facts.remote !== remote) continue;
    write(request, socket, out);
    return undefined;
  }
  return new Refusal(Errno.ENOENT);
}

function write(request: Request, { facts, inode, uid }: DiagSocket, out: ReplyWriter): void {
  const flags = request.isDump ? NLM_F.MULTI : 0;
  const extensions = request.u8(2);
  const wants = (type: number) => (extensions & (1 << (type - 1))) !== 0;
  const state = stateOf(facts);
  const at = out.begin(SOCK_DIAG_BY_FAMILY, flags, request.sequence, request.asker.port, MESSAGE_SIZE);
  const { view } = out;
  view.setUint8(at, facts.family === 4 ? AF.INET : AF.INET6);
  view.setUint8(at + 1, state);
  view.setUint16(at + 4, facts.localPort);
  view.setUint16(at + 6, facts.remotePort);
  IpAddress.parse(facts.local)?.write(view, at + 8);
  IpAddress.parse(facts.remote)?.write(view, at + 24);
  // The cookie identifies a socket between two dumps; an inode does, too.
  view.setUint32(at + 44, inode, true);
  view.setUint32(at + 56, facts.receiveQueue, true);
  view.setUint32(at + 60, facts.sendQueue, true);
  view.setUint32(at + 64, uid, true);
  view.setUint32(at + 68, inode, true);
  out.u8(INET_DIAG.SHUTDOWN, 0);
  if (facts.family === 6 && (state === LISTEN || state === CLOSE)) out.u8(INET_DIAG.SKV6ONLY, 0);
  if (wants(INET_DIAG.SKMEMINFO)) {
    const memory = out.zeros(INET_DIAG.SKMEMINFO, SK_MEMINFO_BYTES);
    out.view.setUint32(memory, facts.receiveQueue, true);
    out.view.setUint32(memory + 16, facts.sendQueue, true);
  }
  if (facts.protocol === "tcp" && wants(INET_DIAG.INFO)) {
    const info = new Uint8Array(TCP_INFO_SIZE);
    const words = new DataView(info.buffer);
    if (facts.tcp !== undefined) writeTcpFacts(words, state, facts.tcp);
    else if (state === LISTEN) writeIdleInfo(words, facts.receiveQueue, facts.sendQueue);
    out.bytes(INET_DIAG.INFO, info);
  }
  if (facts.tcp !== undefined && wants(INET_DIAG.CONG)) out.text(INET_DIAG.CONG, facts.tcp.congestion);
  out.end();
}
