/**
 * The kernel's own table of TCP sockets, asked over netlink (inet_diag, `ss -t`).
 *
 * @module
 */

import { AF, IPPROTO } from "./constants.ts";
import { dumpSockets, openSockDiag } from "./sock_diag.ts";
import { SocketAddress } from "./structs.ts";
import { close } from "./sys.ts";

/** Bytes of `struct inet_diag_req_v2` and `struct inet_diag_msg`. */
const REQUEST = 56, MESSAGE = 72;

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

/** Every TCP socket of the network namespace that we are in, for whom `wanted` says yes; [] when nobody may ask. */
export function tcpSockets(wanted: (socket: DiagSocket) => boolean): DiagSocket[] {
  const found: DiagSocket[] = [];
  let fd: number;
  try {
    fd = openSockDiag();
  } catch {
    return found;
  }
  const fill = (view: DataView, at: number) => view.setUint8(at + 1, IPPROTO.TCP);
  for (const family of [AF.INET, AF.INET6]) {
    dumpSockets(fd, { family, request: REQUEST, message: MESSAGE, fill }, (view, at) => {
      const one = read(view, at);
      if (wanted(one)) found.push(one);
    });
  }
  close(fd);
  return found;
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
