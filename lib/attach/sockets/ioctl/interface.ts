/**
 * Interface ioctls (`SIOCGIF…`) of any socket of the guest, unix ones too: answered from the stack.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { IFREQ_SIZE } from "../../../host/structs.ts";
import { networkOf } from "../../../stack/snapshot.ts";
import type { Instant } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { answerIfreq, interfaceList, verdictOn } from "./ifreq.ts";

/** Bytes of `struct ifconf`: a length, a hole, and a pointer. */
const IFCONF_SIZE = 16;

/**
 * Answers a command that is about interfaces.
 *
 * @param domain family of the socket that it is called on; some commands are only for IPv4's
 * @returns false: it is about something else, and not answered
 */
export function interfaceIoctl(context: SocketsContext, call: Call, domain: number = AF.UNIX): boolean {
  const command = call.int(1) >>> 0;
  const verdict = verdictOn(command, domain);
  if (verdict === undefined) return false;
  if (typeof verdict === "number") {
    call.fail(verdict);
    return true;
  }
  const { nics } = networkOf(context.stack, context.reactor.now() as Instant);
  const at = call.arg(2);
  if (verdict === "ifconf") {
    answerList(call, at, interfaceList(nics));
    return true;
  }
  const request = call.readBytes(at, IFREQ_SIZE)?.slice();
  if (request === undefined) return true;
  const errno = answerIfreq(command, nics, new DataView(request.buffer));
  if (errno !== 0) call.fail(errno);
  else if (call.writeBytes(at, request)) call.reply(0);
  return true;
}

/** SIOCGIFCONF: as many whole entries as there is room for, or how many bytes all of them would take. */
function answerList(call: Call, at: number, list: Uint8Array): void {
  if (call.readBytes(at, IFCONF_SIZE) === undefined) return;
  const room = call.scratch.view.getInt32(0, true);
  const to = call.scratch.getPointer(8);
  if (to === 0) {
    if (call.writeInt(at, list.length)) call.reply(0);
    return;
  }
  const whole = Math.floor(Math.max(0, room) / IFREQ_SIZE) * IFREQ_SIZE;
  const part = list.subarray(0, Math.min(whole, list.length));
  if (part.length > 0 && !call.writeBytes(to, part)) return;
  if (call.writeInt(at, part.length)) call.reply(0);
}
