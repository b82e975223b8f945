/**
 * The control messages of a send: from which address, by which interface, how far, how urgent.
 *
 * @module
 */

import { AF, IP, IPV6, SO, SOL, UDP } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import type { Call } from "../call.ts";
import { ControlReader } from "../message/control.ts";
import type { Message } from "../message/message.ts";

/** `IPV6_2292PKTINFO` and its sisters have the same data as their successors. */
const IPV6_OLD_PKTINFO = 2, IPV6_OLD_HOPLIMIT = 8;
/** `SO_TIMESTAMPING`, `SCM_TXTIME`: for the sender's own statistics; nothing is asked of the network. */
const IGNORED: readonly number[] = [SO.MARK, 37, 61, 65, 80];

/** What a send asks for beside its data. Scratch: one for all sends. */
export class SendControl {
  /** Absent: the socket's own. */
  source: IpAddress | undefined;
  /** 0: any. */
  interfaceIndex = 0;
  /** −1: the socket's own. */
  hopLimit = -1;
  trafficClass = -1;
  /** `UDP_SEGMENT`: bytes of each datagram that the data is cut into; 0: one datagram. */
  segment = 0;

  reset(): this {
    this.source = undefined;
    this.interfaceIndex = 0;
    this.hopLimit = this.trafficClass = -1;
    this.segment = 0;
    return this;
  }
}

const control = new SendControl();
const reader = new ControlReader();

/** A send that asks for nothing. */
export function nothingAsked(): SendControl {
  return control.reset();
}

/**
 * Reads the control messages of `message`.
 *
 * @returns scratch, or undefined: answered with EFAULT, EINVAL, ENOBUFS
 */
export function readSendControl(call: Call, message: Message, domain: number): SendControl | undefined {
  control.reset();
  if (message.controlLength === 0) return control;
  if (message.readControl(call) === undefined) return undefined;
  reader.begin(call.scratch.view, 0, message.controlLength);
  for (;;) {
    const found = reader.next();
    if (found === 0) return control;
    if (found < 0 || !understand(domain)) {
      call.fail(Errno.EINVAL);
      return undefined;
    }
  }
}

function understand(domain: number): boolean {
  const { level, type, length, data, view } = reader;
  if (level === SOL.SOCKET) return IGNORED.includes(type);
  if (level === SOL.UDP) {
    if (type !== UDP.SEGMENT || length !== 2) return false;
    control.segment = view.getUint16(data, true);
    return true;
  }
  if (level === SOL.IP) return understandV4(type, length, data, view);
  if (level === SOL.IPV6 && domain === AF.INET6) return understandV6(type, length, data, view);
  // Messages of other protocols are none of ours (`cmsg_level` is compared, not validated).
  return true;
}

function understandV4(type: number, length: number, data: number, view: DataView): boolean {
  switch (type) {
    case IP.PKTINFO:
      if (length !== 12) return false;
      control.interfaceIndex = view.getInt32(data, true);
      if (view.getInt32(data + 4) !== 0) control.source = IpAddress.readV4(view, data + 4);
      return true;
    case IP.TTL:
      if (length !== 4) return false;
      control.hopLimit = view.getInt32(data, true);
      return control.hopLimit >= 1 && control.hopLimit <= 255;
    case IP.TOS:
      if (length !== 4 && length !== 1) return false;
      control.trafficClass = length === 4 ? view.getInt32(data, true) : view.getUint8(data);
      return control.trafficClass >= 0 && control.trafficClass <= 255;
    default:
      return false;
  }
}

function understandV6(type: number, length: number, data: number, view: DataView): boolean {
  switch (type) {
    case IPV6.PKTINFO:
    case IPV6_OLD_PKTINFO: {
      if (length < 20) return false;
      const source = IpAddress.readV6(view, data).unmapped();
      if (!source.isUnspecified()) control.source = source;
      control.interfaceIndex = view.getInt32(data + 16, true);
      return true;
    }
    case IPV6.HOPLIMIT:
    case IPV6_OLD_HOPLIMIT:
      if (length !== 4) return false;
      control.hopLimit = view.getInt32(data, true);
      return control.hopLimit >= -1 && control.hopLimit <= 255;
    case IPV6.TCLASS:
      if (length !== 4) return false;
      control.trafficClass = view.getInt32(data, true);
      return control.trafficClass >= -1 && control.trafficClass <= 255;
    default:
      // Extension headers need a privilege that nobody here has, but for padding.
      return false;
  }
}
