/**
 * The guest's interfaces while its program runs: addresses, routes and the MTU follow what the network says.
 *
 * ```text
 *   stage, in the guest's namespaces ── a netlink socket ──▶ engine, outside
 * ```
 *
 * A netlink socket belongs to the namespace in which it was made, whoever has it. What the kernel asks for is power over that
 * namespace of its maker and of its user (netlink_ns_capable): the stage had it, and the engine's user has it over every user
 * namespace that he made (user_namespaces(7)).
 *
 * A kernel takes the routes of an address away with it, and an address of the same network away with the one that was there
 * before; so what is over goes first, and what is true is then said anew.
 *
 * @module
 */

import { Errno, SystemError } from "../../host/errno.ts";
import { RouteNetlink } from "../../host/rtnetlink.ts";
import { address, parse, whatFailed } from "../stage/interface.ts";
import type { StageDevice } from "../stage/protocol.ts";

/** What removing it may say of something that is gone already. */
const GONE: readonly number[] = [Errno.EADDRNOTAVAIL, Errno.ESRCH, Errno.ENETUNREACH];

/** Interfaces of one guest. */
export class GuestInterfaces {
  readonly #netlink: RouteNetlink;
  /** By name; the guest may give them others. */
  readonly #indexes = new Map<string, number>();
  readonly #known = new Map<string, StageDevice>();
  /** What was refused of the last change, which is not told again and again. */
  readonly #refused = new Map<string, string>();

  /** @param fd a netlink socket of the guest's namespace; ours from now on */
  constructor(fd: number, names: readonly string[]) {
    this.#netlink = new RouteNetlink(fd);
    for (const name of names) this.#indexes.set(name, this.#netlink.link(name).index);
  }

  /** What the stage sets. */
  told(devices: readonly StageDevice[]): void {
    for (const device of devices) this.#known.set(device.name, device);
  }

  /** Sets what is different. Returns what the kernel does not take of it. */
  update(devices: readonly StageDevice[]): string[] {
    const failures: string[] = [];
    for (const device of devices) {
      const before = this.#known.get(device.name);
      if (before === undefined || JSON.stringify(before) === JSON.stringify(device)) continue;
      this.#known.set(device.name, device);
      const refused = this.#change(this.#indexes.get(device.name)!, before, device)
        .map((error) => whatFailed(device.name, error));
      const text = refused.join();
      if (text !== this.#refused.get(device.name)) failures.push(...refused);
      this.#refused.set(device.name, text);
    }
    return failures;
  }

  close(): void {
    this.#netlink.close();
  }

  #change(index: number, before: StageDevice, after: StageDevice): SystemError[] {
    const netlink = this.#netlink;
    const failures: SystemError[] = [];
    const forget = (remove: () => void) => {
      try {
        remove();
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        if (!GONE.includes(error.errno)) failures.push(error);
      }
    };
    for (const text of missing(before.gateways, after.gateways)) {
      const gateway = parse(text);
      forget(() => netlink.removeRoute({ family: gateway.family, gateway, index }));
    }
    for (const { address, prefixLength } of missing(before.routes ?? [], after.routes ?? [])) {
      const destination = parse(address);
      forget(() => netlink.removeRoute({ family: destination.family, destination, prefixLength, index }));
    }
    for (const { address, prefixLength } of missing(before.addresses, after.addresses)) {
      forget(() => netlink.removeAddress(index, parse(address), prefixLength));
    }
    return [...failures, ...address(netlink, index, after)];
  }
}

/** Those of `before` that are not among `after`. */
function missing<T>(before: readonly T[], after: readonly T[]): T[] {
  const kept = new Set(after.map((one) => JSON.stringify(one)));
  return before.filter((one) => !kept.has(JSON.stringify(one)));
}
