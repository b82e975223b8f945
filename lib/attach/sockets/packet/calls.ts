/**
 * Calls on packet sockets that name something: carried out by us, on a duplicate of the socket that we have looked at, with
 * our copy of the name. Left to the kernel, they could hit another socket that the guest holds, one of the host's network,
 * if it exchanged the descriptor in time. What names nothing goes on.
 *
 * @module
 */

import { MSG } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { SCRATCH_SIZE } from "../../../host/guest_memory.ts";
import { NativeMemory } from "../../../host/memory.ts";
import { MSGHDR_SIZE, SOCKADDR_SIZE } from "../../../host/structs.ts";
import { SOCKET_CALLS } from "../../../host/socket_calls.ts";
import { bind, sendto } from "../../../host/sys.ts";
import type { Call } from "../call.ts";
import { Message } from "../message/message.ts";

const C = SOCKET_CALLS;
const QUIET = MSG.DONTWAIT | MSG.NOSIGNAL;
const name = new NativeMemory(SOCKADDR_SIZE);
const message = new Message();

/** Whether a call is one of these. */
export function concernsPackets({ nr }: Call): boolean {
  switch (nr) {
    case C.bind:
    case C.connect:
    case C.listen:
    case C.sendto:
    case C.sendmsg:
    case C.sendmmsg:
    case C.ioctl:
      return true;
    default:
      return false;
  }
}

/** Binds `fd`, our duplicate, as the call says; its result, or undefined: answered. */
export function bindPacket(call: Call, fd: number): number | undefined {
  const length = call.int(2);
  if (length < 0 || length > SOCKADDR_SIZE) return -Errno.EINVAL;
  if (!call.readInto(call.arg(1), length, name.address)) return undefined;
  return bind(fd, name.address, length);
}

/**
 * Sends on `fd`, our duplicate, what the call says: one message. The bytes sent, −errno, or undefined: answered. EAGAIN: there
 * is no room, and whether the call may wait is the caller's business.
 */
export function sendPacket(call: Call, fd: number): number | undefined {
  const flags = call.int(call.nr === C.sendmsg ? 2 : 3);
  if (call.nr === C.sendto) {
    message.single(call.arg(1), call.arg(2), flags, call.arg(4), call.int(5), 0);
  } else {
    if (call.nr === C.sendmmsg && call.int(2) === 0) return 0;
    if (message.read(call, call.arg(1), flags) !== 0) return undefined;
  }
  // Time stamps and departure times are for hardware.
  if (message.controlLength > 0) return -Errno.EINVAL;
  if (message.nameLength < 0 || message.nameLength > SOCKADDR_SIZE) return -Errno.EINVAL;
  if (message.length > SCRATCH_SIZE) return -Errno.EMSGSIZE;
  const nameLength = message.name === 0 ? 0 : message.nameLength;
  if (nameLength > 0 && !call.readInto(message.name, nameLength, name.address)) return undefined;
  const { scratch } = call;
  if (!message.gather(call, scratch.address)) return undefined;
  return sendto(
    fd,
    scratch.address,
    message.length,
    flags | QUIET,
    nameLength > 0 ? name.address : 0,
    nameLength,
  );
}

/** What a send that sent `sent` bytes answers; undefined: answered, with EFAULT. */
export function sendAnswer(call: Call, sent: number): number | undefined {
  if (call.nr !== C.sendmmsg || sent < 0 || call.int(2) === 0) return sent;
  return call.writeInt(call.arg(1) + MSGHDR_SIZE, sent) ? 1 : undefined;
}
