/**
 * Addresses of one family for sockets of the other.
 *
 * @module
 */

import { AF } from "../../../host/constants.ts";
import type { AddressWords } from "../../../host/structs.ts";

/** `address` as a socket of `domain` wants it: one of IPv6 takes IPv4 as mapped. */
export function fitting({ family, a, b, c, d }: AddressWords, domain: number): AddressWords {
  return { family: domain === AF.INET6 ? 6 : family, a, b, c, d };
}
