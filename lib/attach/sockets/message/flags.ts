/**
 * The flags of sends and receives that the host's own code has no use for, and which of them a guest may combine.
 *
 * @module
 */

import { MSG } from "../../../host/constants.ts";

/** All `MSG_…` that a guest may name; values of Linux. */
export const MessageFlag = {
  ...MSG,
  DONTROUTE: 0x4,
  PROBE: 0x10,
  CONFIRM: 0x800,
  WAITFORONE: 0x10000,
  ZEROCOPY: 0x4000000,
  FASTOPEN: 0x20000000,
} as const;

/** `UIO_MAXIOV`: most entries of an iovec, and most messages of one `sendmmsg` or `recvmmsg`. */
export const MAX_IOVECS = 1_024;
