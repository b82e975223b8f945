/**
 * Interface ioctls (`SIOCGIF…`, `SIOCSIF…`) of any socket of the guest, unix ones too: answered from the stack.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { textAt } from "../../../host/memory.ts";
import { IFREQ_SIZE } from "../../../host/structs.ts";
import { networkOf } from "../../../stack/snapshot.ts";
import type { Instant } from "../../../stack/time.ts";
import type { Call } from "../call.ts";
import type { SocketsContext } from "../guest_socket.ts";
import { announcerOf } from "../netlink/announcer.ts";
import {
  changeAddress6,
  changeInterface,
  changeRoute,
  changeRoute6,
  IN6_IFREQ_SIZE,
  IN6_RTMSG_SIZE,
  RTENTRY_SIZE,
} from "./change.ts";
import { answerIfreq, interfaceList, SIOC, verdictOn } from "./ifreq.ts";

const NAME_SIZE = 16;
/** Where `struct rtentry` has a pointer to the name of an interface. */
const RTENTRY_DEVICE = 88;
/** They mean something to IPv4 sockets only. */
const IPV4_CHANGES: ReadonlySet<number> = new Set([SIOC.SIFADDR, SIOC.SIFBRDADDR, SIOC.SIFNETMASK]);

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
  if (verdict === "change") {
    const result = context.mayAdminister(call.tid) ? change(context, call, command, domain) : Errno.EPERM;
    if (result === undefined) return true;
    announcerOf(context).announce();
    if (result === 0) call.reply(0);
    else call.fail(result);
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

/** Carries out a command that changes something; returns an errno, 0 for none, or undefined: answered. */
function change(context: SocketsContext, call: Call, command: number, domain: number): number | undefined {
  const { stack, counters, fixedInterfaces, reactor } = context;
  const network = { stack, counters, fixedInterfaces, now: reactor.now() as Instant };
  const read = (size: number) => {
    const bytes = call.readBytes(call.arg(2), size)?.slice();
    return bytes && new DataView(bytes.buffer);
  };
  const route = command === SIOC.ADDRT || command === SIOC.DELRT;
  if (domain === AF.INET6 && route) {
    const view = read(IN6_RTMSG_SIZE);
    return view && changeRoute6(command, network, view);
  }
  if (domain === AF.INET6 && (command === SIOC.SIFADDR || command === SIOC.DIFADDR)) {
    const view = read(IN6_IFREQ_SIZE);
    return view && changeAddress6(command, network, view);
  }
  if (route && domain === AF.INET) {
    const view = read(RTENTRY_SIZE);
    if (view === undefined) return undefined;
    const pointer = view.getUint32(RTENTRY_DEVICE, true) +
      view.getUint32(RTENTRY_DEVICE + 4, true) * 4294967296;
    const name = pointer === 0 ? undefined : call.readBytes(pointer, NAME_SIZE);
    if (pointer !== 0 && name === undefined) return undefined;
    return changeRoute(command, network, view, name && textAt(name, 0, NAME_SIZE));
  }
  if (route || (IPV4_CHANGES.has(command) && domain !== AF.INET)) return Errno.ENOTTY;
  const view = read(IFREQ_SIZE);
  return view && changeInterface(command, network, view);
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
