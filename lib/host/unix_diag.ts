/**
 * Who is behind the name of a unix socket: the kernel's own table, asked over netlink (unix_diag, `ss -x`).
 *
 * A name in the file system proves nothing about who listens there: links and renames move it. The kernel's table says
 * which socket holds which file, and it holds only the sockets of one network namespace: that of the netlink socket.
 *
 * @module
 */

import { AF, SOCK } from "./constants.ts";
import { check } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { close, recv, send, socket } from "./sys.ts";

const NETLINK_SOCK_DIAG = 4, SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1, NLM_F_DUMP = 0x300, NLMSG_ERROR = 2, NLMSG_DONE = 3;
const SHOW_NAME = 1, SHOW_VFS = 2, SHOW_PEER = 4;
const ATTRIBUTE_NAME = 0, ATTRIBUTE_VFS = 1, ATTRIBUTE_PEER = 2;
const HEADER = 16, REQUEST = 24, MESSAGE = 16;
/** Most pieces of a dump that are read: about a hundred thousand sockets. */
const MOST_PIECES = 1_024;

/** A file, as the kernel tells files apart. */
export interface FileIdentity {
  readonly major: number;
  readonly minor: number;
  /** The low 32 bits, which is what the table has. */
  readonly inode: number;
}

/** A descriptor to ask the table of the network namespace we are in. Throws {@linkcode SystemError}. */
export function openUnixDiag(): number {
  return check(
    socket(AF.NETLINK, SOCK.RAW | SOCK.CLOEXEC | SOCK.NONBLOCK, NETLINK_SOCK_DIAG),
    "ask for unix sockets",
  );
}

/** The table of one network namespace. */
export class UnixDiag {
  readonly #fd: number;
  readonly #memory = new NativeMemory(32_768);

  /** @param fd from {@linkcode openUnixDiag}; ours from now on */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The inode of the socket that is bound to this file; 0 if none is. */
  holderOf(file: FileIdentity): number {
    const device = file.major << 20 | file.minor;
    return this.#find(
      SHOW_VFS,
      (view, type, at) =>
        type === ATTRIBUTE_VFS && view.getUint32(at, true) === file.inode &&
        view.getInt32(at + 4, true) === device,
    );
  }

  /** The inode of the socket with this abstract name (without the leading NUL); 0 if there is none. */
  holderOfName(name: Uint8Array): number {
    return this.#find(SHOW_NAME, (view, type, at, length) => {
      if (type !== ATTRIBUTE_NAME || length !== name.length + 1 || view.getUint8(at) !== 0) return false;
      for (let i = 0; i < name.length; i++) if (view.getUint8(at + 1 + i) !== name[i]) return false;
      return true;
    });
  }

  /** How many sockets are connected to the one with this inode. */
  connectedTo(inode: number): number {
    let count = 0;
    this.#find(SHOW_PEER, (view, type, at) => {
      if (type === ATTRIBUTE_PEER && view.getUint32(at, true) === inode) count++;
      return false;
    });
    return count;
  }

  close(): void {
    close(this.#fd);
  }

  #find(
    show: number,
    matches: (view: DataView, type: number, at: number, length: number) => boolean,
  ): number {
    const { view, bytes, address } = this.#memory;
    bytes.fill(0, 0, HEADER + REQUEST);
    view.setUint32(0, HEADER + REQUEST, true);
    view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
    view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true);
    bytes[HEADER] = AF.UNIX;
    view.setUint32(HEADER + 4, 0xffffffff, true);
    view.setUint32(HEADER + 12, show, true);
    if (send(this.#fd, address, HEADER + REQUEST, 0) < 0) return 0;
    let found = 0;
    for (let piece = 0; piece < MOST_PIECES; piece++) {
      const length = recv(this.#fd, address, bytes.length, 0);
      if (length < HEADER) return found;
      for (let at = 0; at + HEADER <= length;) {
        const size = view.getUint32(at, true), type = view.getUint16(at + 4, true);
        if (type === NLMSG_DONE || type === NLMSG_ERROR || size < HEADER) return found;
        const end = Math.min(at + size, length);
        for (let attribute = at + HEADER + MESSAGE; attribute + 4 <= end;) {
          const span = view.getUint16(attribute, true);
          if (span < 4) break;
          const kind = view.getUint16(attribute + 2, true);
          if (found === 0 && matches(view, kind, attribute + 4, span - 4)) {
            found = view.getUint32(at + HEADER + 4, true);
          }
          attribute += (span + 3) & ~3;
        }
        at += (size + 3) & ~3;
      }
    }
    return found;
  }
}
