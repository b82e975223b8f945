/**
 * Descriptors sent through a unix socket (`SCM_RIGHTS`).
 *
 * @module
 */

import { MSG, SCM, SOL } from "./constants.ts";
import { check } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { cmsgLength, cmsgSpace, findCmsg, Msghdr, writeCmsg, writeIovec } from "./structs.ts";
import { recvmsg, send, sendmsg } from "./sys.ts";

/** Most descriptors in one message (`SCM_MAX_FD` is 253; nobody needs as many). */
const MOST = 16;
const IOV = 64, CONTROL = 80;

/** A message header with one iovec and room for `MOST` descriptors. */
function header(address: number, length: number, control: number): NativeMemory {
  const memory = new NativeMemory(CONTROL + cmsgSpace(4 * MOST));
  memory.setPointer(Msghdr.iov, memory.address + IOV);
  memory.setPointer(Msghdr.iovLength, 1);
  writeIovec(memory, IOV, 0, address, length);
  memory.setPointer(Msghdr.control, memory.address + CONTROL);
  memory.setPointer(Msghdr.controlLength, control);
  return memory;
}

/**
 * Sends `bytes` (at least one) with a duplicate of `fd`; blocks if the socket does. Throws {@linkcode
 * SystemError}.
 */
export function sendDescriptor(socket: number, fd: number, bytes: Uint8Array): void {
  const data = new NativeMemory(bytes.length);
  data.bytes.set(bytes);
  const memory = header(data.address, bytes.length, cmsgSpace(4));
  const at = writeCmsg(memory.view, CONTROL, SOL.SOCKET, SCM.RIGHTS, 4);
  memory.view.setInt32(at, fd, true);
  check(sendmsg(socket, memory.address, MSG.NOSIGNAL), "pass a descriptor");
}

/** Sends `bytes` (at least one); blocks if the socket does. Throws {@linkcode SystemError}. */
export function sendMessage(socket: number, bytes: Uint8Array): void {
  const data = new NativeMemory(bytes.length);
  data.bytes.set(bytes);
  check(send(socket, data.address, bytes.length, MSG.NOSIGNAL), "send a message");
}

/** A message that may carry descriptors. */
export interface ReceivedMessage {
  /** Empty at the end of the stream. */
  readonly bytes: Uint8Array;
  /** Ours now, close-on-exec. */
  readonly descriptors: readonly number[];
}

/**
 * Receives one message of at most `limit` bytes; blocks if the socket does. Descriptors above the limit of a
 * message are closed, not leaked. Throws {@linkcode SystemError}, EAGAIN too.
 */
export function receiveMessage(socket: number, limit = 65_536): ReceivedMessage {
  const data = new NativeMemory(limit);
  const memory = header(data.address, limit, cmsgSpace(4 * MOST));
  const length = check(recvmsg(socket, memory.address, MSG.CMSG_CLOEXEC), "receive a message");
  const { view } = memory;
  const descriptors: number[] = [];
  const at = findCmsg(view, CONTROL, memory.getPointer(Msghdr.controlLength), SOL.SOCKET, SCM.RIGHTS);
  const count = at < 0 ? 0 : cmsgLength(view, at) >>> 2;
  for (let i = 0; i < count; i++) descriptors.push(view.getInt32(at + 4 * i, true));
  return { bytes: data.bytes.slice(0, length), descriptors };
}
