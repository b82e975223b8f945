/**
 * Who is behind the name of a unix socket: the kernel's own table, asked over netlink (unix_diag, `ss -x`).
 *
 * A name in the file system proves nothing about who listens there: links and renames move it. The kernel's table says
 * which socket holds which file, and it holds only the sockets of one network namespace: that of the netlink socket.
 *
 * @module
 */

import { AF } from "./constants.ts";
import { dumpSockets, hasSocket } from "./sock_diag.ts";
import { close } from "./sys.ts";

const SHOW_NAME = 1, SHOW_VFS = 2, SHOW_PEER = 4;
const ATTRIBUTE_NAME = 0, ATTRIBUTE_VFS = 1, ATTRIBUTE_PEER = 2;
/** Bytes of `struct unix_diag_req` and `struct unix_diag_msg`. */
const REQUEST = 24, MESSAGE = 16;
/** `INET_DIAG_NOCOOKIE`, twice: any socket will do. */
const NO_COOKIE = -1;

/** A file, as the kernel tells files apart. */
export interface FileIdentity {
  readonly major: number;
  readonly minor: number;
  /** The low 32 bits, which is what the table has. */
  readonly inode: number;
}

/** The table of one network namespace. */
export class UnixDiag {
  readonly #fd: number;

  /** @param fd from `openSockDiag`; ours from now on */
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

  /** Whether there is a socket with this inode; undefined: nobody can tell. */
  has(inode: number): boolean | undefined {
    return hasSocket(this.#fd, {
      family: AF.UNIX,
      request: REQUEST,
      fill: (view, at) => {
        view.setUint32(at + 8, inode, true);
        view.setInt32(at + 16, NO_COOKIE);
        view.setInt32(at + 20, NO_COOKIE);
      },
    });
  }

  close(): void {
    close(this.#fd);
  }

  #find(
    show: number,
    matches: (view: DataView, type: number, at: number, length: number) => boolean,
  ): number {
    const fill = (view: DataView, at: number) => view.setUint32(at + 12, show, true);
    let found = 0;
    dumpSockets(this.#fd, { family: AF.UNIX, request: REQUEST, message: MESSAGE, fill }, (view, at, end) => {
      for (let attribute = at + MESSAGE; attribute + 4 <= end;) {
        const span = view.getUint16(attribute, true);
        if (span < 4) break;
        const kind = view.getUint16(attribute + 2, true);
        if (found === 0 && matches(view, kind, attribute + 4, span - 4)) found = view.getUint32(at + 4, true);
        attribute += (span + 3) & ~3;
      }
    });
    return found;
  }
}
