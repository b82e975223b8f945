/**
 * One default route for each family: that of the first network that has one.
 *
 * @module
 */

import type { Route } from "../../stack/ip/routes.ts";
import type { Stack } from "../../stack/stack.ts";
import { ANY4, ANY6, type IpFamily } from "../../stack/wire/address.ts";
import type { RankedNetwork } from "./precedence.ts";

/** Keeps them right. */
export class DefaultRoutes {
  readonly #stack: Stack;
  readonly #routes: { [Family in IpFamily]?: Route } = {};

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  update(networks: readonly RankedNetwork[]): void {
    this.#set(4, networks);
    this.#set(6, networks);
  }

  #set(family: IpFamily, networks: readonly RankedNetwork[]): void {
    const before = this.#routes[family];
    const network = networks.find(({ addressing }) => addressing.gateway(family) !== undefined);
    const gateway = network?.addressing.gateway(family);
    if (before !== undefined) {
      if (gateway !== undefined && before.nic === network?.nic && before.gateway?.equals(gateway) === true) {
        return;
      }
      this.#stack.routes.remove(before);
      delete this.#routes[family];
    }
    if (network === undefined || gateway === undefined) return;
    const destination = family === 4 ? ANY4 : ANY6;
    this.#routes[family] = this.#stack.routes.add({
      destination,
      prefixLength: 0,
      nic: network.nic,
      gateway,
    });
  }
}
