/**
 * `IP_MULTICAST_IF` and `IPV6_MULTICAST_IF`: the interface by which datagrams for groups leave, whatever the routes say.
 *
 * @module
 */

import { SOL } from "../../../host/constants.ts";
import { Errno } from "../../../host/errno.ts";
import type { Nic } from "../../../stack/nic.ts";
import type { Stack } from "../../../stack/stack.ts";
import { IpAddress } from "../../../stack/wire/address.ts";
import type { Call } from "../call.ts";
import type { OptionValues } from "../options/option.ts";

export const IP_MULTICAST_IF = 32;
const IPV6_MULTICAST_IF = 17;
/** Of `struct in_addr`, `ip_mreq` and `ip_mreqn`, any of which names the interface. */
const IN_ADDR = 4, IP_MREQ = 8, IP_MREQN = 12;

/** What one socket has chosen. */
export class GroupInterface {
  readonly #stack: Stack;
  readonly #values: OptionValues;
  /** Index of the interface for groups of IPv4; 0: as routed. */
  #v4 = 0;

  constructor(stack: Stack, values: OptionValues) {
    this.#stack = stack;
    this.#values = values;
  }

  /** The interface for groups of that family; undefined: as routed. */
  of(family: 4 | 6): Nic | undefined {
    const index = family === 4 ? this.#v4 : this.#values.get(SOL.IPV6, IPV6_MULTICAST_IF) ?? 0;
    return index === 0 ? undefined : this.#stack.nics[index - 1];
  }

  /** Answers `setsockopt(IP_MULTICAST_IF)`; what is given back is the address (ip_sockglue.c). */
  set(call: Call): void {
    const given = call.int(4);
    if (given < IN_ADDR) return void call.fail(Errno.EINVAL);
    const length = given >= IP_MREQN ? IP_MREQN : given >= IP_MREQ ? IP_MREQ : IN_ADDR;
    if (call.readBytes(call.arg(3), length) === undefined) return;
    const { view } = call.scratch;
    const at = length === IN_ADDR ? 0 : 4;
    const address = IpAddress.readV4(view, at);
    const value = view.getInt32(at, true);
    let index = length === IP_MREQN ? view.getInt32(8, true) : 0;
    if (index === 0 && !address.isUnspecified()) {
      index = this.#stack.nics.find((nic) => nic.owns(address))?.index ?? -1;
    }
    if (index !== 0 && this.#stack.nics[index - 1] === undefined) return void call.fail(Errno.EADDRNOTAVAIL);
    this.#v4 = index;
    this.#values.set(SOL.IP, IP_MULTICAST_IF, value);
    call.reply(0);
  }
}
