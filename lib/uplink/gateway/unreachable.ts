/**
 * What the host's kernel said, in the words of ICMP (RFC 792, RFC 1812 section 5.2.7.1).
 *
 * @module
 */

import { Errno } from "../../host/errno.ts";

/** Why a destination cannot be reached. */
export type Unreachable =
  | "network-unreachable"
  | "host-unreachable"
  | "port-unreachable"
  | "admin-prohibited";

/** The error that tells a guest what `errno` (positive) told us. */
export function unreachable(errno: number): Unreachable {
  switch (errno) {
    case Errno.ECONNREFUSED:
    case Errno.ECONNRESET:
      return "port-unreachable";
    case Errno.ENETUNREACH:
    case Errno.ENETDOWN:
      return "network-unreachable";
    case Errno.EACCES:
    case Errno.EPERM:
      return "admin-prohibited";
    default:
      return "host-unreachable";
  }
}
