/**
 * The kernel's own table of TCP sockets, asked over netlink (inet_diag, `ss -t`).
 *
 * @module
 */

import { AF, IPPROTO, SOCK } from "./constants.ts";
import { NativeMemory } from "./memory.ts";
import { SocketAddress } from "./structs.ts";
import { close, recv, send, socket } from "./sys.ts";

const NETLINK_SOCK_DIAG = 4, SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1, NLM_F_DUMP = 0x300, NLMSG_ERROR = 2, NLMSG_DONE = 3;
const HEADER = 16, REQUEST = 56, MESSAGE = 72;
/** Most pieces of a dump that are read: about a hundred thousand sockets. */
const MOST_PIECES = 1_024;

/** One socket of the table. */
export interface DiagSocket {
  /** `SO_COOKIE`. */
  readonly cookie: bigint;
  /** `TCP_…` of the kernel: 1 established, 10 listening. */
  readonly state: number;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly receiveQueue: number;
  readonly sendQueue: number;
  readonly inode: number;
  readonly user: number;
}

let memory: NativeMemory | undefined;

/** Every TCP socket of the network namespace that we are in, for whom `wanted` says yes; [] when nobody may ask. */
export function tcpSockets(wanted: (socket: DiagSocket) => boolean): DiagSocket[] {
  const fd = socket(AF.NETLINK, SOCK.RAW | SOCK.CLOEXEC | SOCK.NONBLOCK, NETLINK_SOCK_DIAG);
  if (fd < 0) return [];
  const found: DiagSocket[] = [];
  for (const family of [AF.INET, AF.INET6]) dump(fd, family, found, wanted);
  close(fd);
  return found;
}

function dump(
  fd: number,
  family: number,
  found: DiagSocket[],
  wanted: (socket: DiagSocket) => boolean,
): void {
  memory ??= new NativeMemory(32_768);
  const { view, bytes, address } = memory;
  bytes.fill(0, 0, HEADER + REQUEST);
  view.setUint32(0, HEADER + REQUEST, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true);
  bytes[HEADER] = family;
  bytes[HEADER + 1] = IPPROTO.TCP;
  view.setUint32(HEADER + 4, 0xffffffff, true);
  if (send(fd, address, HEADER + REQUEST, 0) < 0) return;
  for (let piece = 0; piece < MOST_PIECES; piece++) {
    const length = recv(fd, address, bytes.length, 0);
    if (length < HEADER) return;
    for (let at = 0; at + HEADER <= length;) {
      const size = view.getUint32(at, true), type = view.getUint16(at + 4, true);
      if (type === NLMSG_DONE || type === NLMSG_ERROR || size < HEADER + MESSAGE) return;
      const one = read(view, at + HEADER);
      if (wanted(one)) found.push(one);
      at += (size + 3) & ~3;
    }
  }
}

/** `struct inet_diag_msg` at `at`. */
function read(view: DataView, at: number): DiagSocket {
  const v4 = view.getUint8(at) === AF.INET;
  const end = (port: number, words: number): SocketAddress => {
    const [a, b, c, d] = [0, 4, 8, 12].map((offset) => view.getInt32(words + offset)) as [
      number,
      number,
      number,
      number,
    ];
    const mapped = !v4 && a === 0 && b === 0 && c === 0xffff;
    const address = v4
      ? { family: 4, a: 0, b: 0, c: 0xffff, d: a } as const
      : { family: mapped ? 4 : 6, a, b, c, d } as const;
    return new SocketAddress().set(address, view.getUint16(port));
  };
  return {
    state: view.getUint8(at + 1),
    local: end(at + 4, at + 8),
    remote: end(at + 6, at + 24),
    cookie: view.getBigUint64(at + 44, true),
    receiveQueue: view.getUint32(at + 56, true),
    sendQueue: view.getUint32(at + 60, true),
    user: view.getUint32(at + 64, true),
    inode: view.getUint32(at + 68, true),
  };
}
