/**
 * The kernel's tables of sockets, asked over netlink (sock_diag(7)): those of the network namespace that the netlink
 * socket was made in.
 *
 * @module
 */

import { SOCK } from "./constants.ts";
import { Errno } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { openNetlink } from "./netlink.ts";
import { recv, send } from "./sys.ts";

const NETLINK_SOCK_DIAG = 4, SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1, NLM_F_DUMP = 0x300, NLMSG_ERROR = 2, NLMSG_DONE = 3;
const HEADER = 16;
/** Every request has a mask of states here; all of them. */
const STATES = HEADER + 4, ALL_STATES = 0xffffffff;
/** Most pieces of a dump that are read: about a hundred thousand sockets. */
const MOST_PIECES = 1_024;
/** Bytes of one piece (`NLMSG_GOODSIZE` and more). */
const PIECE = 32_768;

let memory: NativeMemory | undefined;

/** A descriptor to ask. Throws {@linkcode SystemError}. */
export function openSockDiag(): number {
  return openNetlink(NETLINK_SOCK_DIAG, SOCK.RAW | SOCK.NONBLOCK, "ask for the kernel's sockets");
}

/** What is asked for. */
export interface DiagRequest {
  /** `AF.INET`, `AF.UNIX`, … */
  readonly family: number;
  /** Bytes of the family's request, and of what is told of a socket at least, headers of netlink aside. */
  readonly request: number;
  readonly message: number;
  /** Writes what the request says beside family and states. */
  fill(view: DataView, at: number): void;
}

/**
 * Has every socket of a family told: the family's message is at `at`, its attributes end at `end`. Silent when nobody may
 * ask.
 *
 * @param fd from {@linkcode openSockDiag}
 */
export function dumpSockets(
  fd: number,
  { family, request, message, fill }: DiagRequest,
  onSocket: (view: DataView, at: number, end: number) => void,
): void {
  const { view, bytes, address } = requestFor(family, request, NLM_F_REQUEST | NLM_F_DUMP);
  fill(view, HEADER);
  if (send(fd, address, HEADER + request, 0) < 0) return;
  for (let piece = 0; piece < MOST_PIECES; piece++) {
    const length = recv(fd, address, bytes.length, 0);
    if (length < HEADER) return;
    for (let at = 0; at + HEADER <= length;) {
      const size = view.getUint32(at, true), type = view.getUint16(at + 4, true);
      if (type === NLMSG_DONE || type === NLMSG_ERROR || size < HEADER + message) return;
      onSocket(view, at + HEADER, Math.min(at + size, length));
      at += (size + 3) & ~3;
    }
  }
}

/**
 * Whether there is the very socket that is asked for; undefined when nobody may ask.
 *
 * @param fd from {@linkcode openSockDiag}
 */
export function hasSocket(
  fd: number,
  { family, request, fill }: Pick<DiagRequest, "family" | "request" | "fill">,
): boolean | undefined {
  const { view, bytes, address } = requestFor(family, request, NLM_F_REQUEST);
  fill(view, HEADER);
  if (send(fd, address, HEADER + request, 0) < 0) return undefined;
  if (recv(fd, address, bytes.length, 0) < HEADER + 4) return undefined;
  const type = view.getUint16(4, true);
  if (type === SOCK_DIAG_BY_FAMILY) return true;
  return type === NLMSG_ERROR && view.getInt32(HEADER, true) === -Errno.ENOENT ? false : undefined;
}

function requestFor(family: number, request: number, flags: number): NativeMemory {
  memory ??= new NativeMemory(PIECE);
  const { view, bytes } = memory;
  bytes.fill(0, 0, HEADER + request);
  view.setUint32(0, HEADER + request, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, flags, true);
  bytes[HEADER] = family;
  view.setUint32(STATES, ALL_STATES, true);
  return memory;
}
