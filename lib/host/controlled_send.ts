/**
 * A datagram with control messages: from which address, by which interface, how far, how urgent.
 *
 * @module
 */

import { IP, IPV6, MSG, SOL } from "./constants.ts";
import { NativeMemory } from "./memory.ts";
import { type AddressWords, cmsgSpace, Msghdr, writeCmsg, writeIovec } from "./structs.ts";
import { sendmsg } from "./sys.ts";

/** What is asked for one datagram. */
export interface SendAsk {
  /** Absent: the socket's own. */
  readonly source: AddressWords | undefined;
  /** 0: any. */
  readonly interfaceIndex: number;
  /** −1: the socket's own. */
  readonly hopLimit: number;
  readonly trafficClass: number;
}

const IOV = 64, CONTROL = 80;
const scratch = new NativeMemory(CONTROL + 128);

/**
 * Sends `length` bytes at `address`; bytes or −errno.
 *
 * @param v6 whether the datagram is one of IPv6
 * @param name native address of a socket address of `nameLength` bytes; 0: where the socket is connected
 */
export function sendAsking(
  fd: number,
  address: number,
  length: number,
  v6: boolean,
  ask: SendAsk,
  name: number,
  nameLength: number,
): number {
  const { view } = scratch;
  writeIovec(scratch, IOV, 0, address, length);
  scratch.setPointer(Msghdr.name, name);
  view.setUint32(Msghdr.nameLength, nameLength, true);
  scratch.setPointer(Msghdr.iov, scratch.address + IOV);
  scratch.setPointer(Msghdr.iovLength, 1);
  let end = CONTROL;
  const add = (type: number, size: number): number => {
    const at = writeCmsg(view, end, v6 ? SOL.IPV6 : SOL.IP, type, size);
    end += cmsgSpace(size);
    return at;
  };
  const { source, interfaceIndex } = ask;
  if (source !== undefined || interfaceIndex > 0) {
    const at = add(v6 ? IPV6.PKTINFO : IP.PKTINFO, v6 ? 20 : 12);
    if (v6) {
      view.setInt32(at, source?.a ?? 0);
      view.setInt32(at + 4, source?.b ?? 0);
      view.setInt32(at + 8, source?.c ?? 0);
      view.setInt32(at + 12, source?.d ?? 0);
      view.setInt32(at + 16, interfaceIndex, true);
    } else {
      view.setInt32(at, interfaceIndex, true);
      view.setInt32(at + 4, source?.d ?? 0);
      view.setInt32(at + 8, 0);
    }
  }
  if (ask.hopLimit >= 0) view.setInt32(add(v6 ? IPV6.HOPLIMIT : IP.TTL, 4), ask.hopLimit, true);
  if (ask.trafficClass >= 0) view.setInt32(add(v6 ? IPV6.TCLASS : IP.TOS, 4), ask.trafficClass, true);
  scratch.setPointer(Msghdr.control, end > CONTROL ? scratch.address + CONTROL : 0);
  scratch.setPointer(Msghdr.controlLength, end - CONTROL);
  return sendmsg(fd, scratch.address, MSG.DONTWAIT | MSG.NOSIGNAL);
}
