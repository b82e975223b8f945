/**
 * Which part of the attachment answers `socket()`: by family, type and protocol, first match.
 *
 * @module
 */

import type { Call } from "./call.ts";
import { openTcp } from "./tcp/open.ts";
import type { SocketsContext } from "./guest_socket.ts";
import { openHandedOff } from "./impersonate/handed_off.ts";
import { openImpersonatedTcp, openImpersonatedUdp } from "./impersonate/open.ts";
import { openPing } from "./icmp/open.ts";
import { openPacket } from "./packet/open.ts";
import { openRaw, refuseOthers } from "./raw/open.ts";
import { openUdp } from "./udp/open.ts";
import { interfaceIoctl } from "./ioctl/interface.ts";
import { openNetlink } from "./netlink/socket.ts";

/** A `socket()` call, taken apart. */
export interface SocketRequest {
  /** `AF_…`. */
  readonly domain: number;
  /** `SOCK_…` without its flags. */
  readonly type: number;
  readonly protocol: number;
  readonly cloexec: boolean;
  readonly nonblock: boolean;
}

/**
 * Answers `socket()`, usually by {@linkcode SupervisorFace.openPair}.
 *
 * @returns false: not my kind, ask the next
 */
export type Opener = (context: SocketsContext, call: Call, request: SocketRequest) => boolean;

/** Interface ioctls (`SIOCGIF…`) work on a socket of any family, unix ones too. False: none of mine. */
export type InterfaceIoctl = (context: SocketsContext, call: Call, domain?: number) => boolean;

/** Asked in order. The first three take part only where the host's sockets stand for the guest's. */
export const OPENERS: readonly Opener[] = [
  openHandedOff,
  openImpersonatedTcp,
  openImpersonatedUdp,
  openTcp,
  openUdp,
  openPing,
  openRaw,
  openPacket,
  openNetlink,
  refuseOthers,
];

/** Asked first, for sockets that are ours and for those that are not. */
export const INTERFACE_IOCTL: InterfaceIoctl = interfaceIoctl;
