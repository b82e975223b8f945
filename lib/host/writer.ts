/**
 * Messages of a unix socket pair, with the process that wrote each (`SCM_CREDENTIALS`, filled in by the kernel).
 *
 * @module
 */

import { MSG, SCM, SO, SOL } from "./constants.ts";
import { NativeMemory } from "./memory.ts";
import { cmsgSpace, findCmsg, Msghdr, writeIovec } from "./structs.ts";
import { recvmsg, setsockopt } from "./sys.ts";

/** Bytes of `struct ucred`. */
const UCRED = 12;
const IOV = 64, CONTROL = 80;

const memory = new NativeMemory(CONTROL + cmsgSpace(UCRED));
const one = new NativeMemory(4);
one.view.setInt32(0, 1, true);

/** Has the kernel name the writer of what `fd` receives. */
export function askForWriter(fd: number): void {
  setsockopt(fd, SOL.SOCKET, SO.PASSCRED, one.address, 4);
}

/** What {@linkcode receiveWithWriter} has found. */
export interface Received {
  /** Bytes, or −errno. */
  length: number;
  /** In our pid namespace; 0 when it cannot be told. */
  process: number;
}

const received: Received = { length: 0, process: 0 };

/** Receives a message without waiting; what it returns is scratch. */
export function receiveWithWriter(fd: number, address: number, room: number): Received {
  memory.bytes.fill(0);
  writeIovec(memory, IOV, 0, address, room);
  memory.setPointer(Msghdr.iov, memory.address + IOV);
  memory.setPointer(Msghdr.iovLength, 1);
  memory.setPointer(Msghdr.control, memory.address + CONTROL);
  memory.setPointer(Msghdr.controlLength, cmsgSpace(UCRED));
  received.length = recvmsg(fd, memory.address, MSG.DONTWAIT | MSG.CMSG_CLOEXEC);
  const filled = received.length < 0 ? 0 : memory.getPointer(Msghdr.controlLength);
  const at = findCmsg(memory.view, CONTROL, filled, SOL.SOCKET, SCM.CREDENTIALS);
  received.process = at < 0 ? 0 : memory.view.getInt32(at, true);
  return received;
}
