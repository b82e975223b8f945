/**
 * Which of the addresses and routes that networks give are used, so that none of them takes what is an earlier one's
 * (territory.ts). Who gave what first does not matter, only the order of the networks.
 *
 * ```text
 *   an address  that is an earlier network's: of its prefixes (but for
 *               one and the same), a gateway, a resolver                is not used
 *   its prefix  if that is everything                                   is not used, only the address
 *   a route     to an earlier network's prefix, gateway, resolver       is not used
 *   gateways and resolvers beyond the link, in a later network's prefix get routes of their own
 * ```
 *
 * @module
 */

import type { Route } from "../../stack/ip/routes.ts";
import type { Nic } from "../../stack/nic.ts";
import type { Stack } from "../../stack/stack.ts";
import { ANY4, ANY6, type IpAddress } from "../../stack/wire/address.ts";
import type { Addressing } from "./addressing.ts";
import { alone, astray, impersonates, isShared, type Prefix, type Territory, trespass } from "./territory.ts";

/** A route beside the default one; by way of nobody if `gateway` is unspecified. */
export interface NetworkRoute extends Prefix {
  readonly gateway: IpAddress;
}

/** A network, as far as this is concerned. */
export interface RankedNetwork {
  readonly nic: Nic;
  readonly config: { readonly name: string };
  readonly addressing: Pick<
    Addressing,
    "offered4" | "offered6" | "use4" | "use6" | "routes" | "gateway" | "dns"
  >;
  /** Something that it gave is not used, for it is `whose`. */
  refuse(what: string, whose: { readonly name: string }): void;
}

/** Keeps the routes of the stack right. */
export class Precedence {
  readonly #stack: Stack;
  readonly #routes = new Map<RankedNetwork, { readonly given: NetworkRoute; readonly route: Route }[]>();

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** The routes of a network that are used. */
  routesOf(network: RankedNetwork): NetworkRoute[] {
    return (this.#routes.get(network) ?? []).map(({ given }) => given);
  }

  /** Decides anew. */
  update(networks: readonly RankedNetwork[]): void {
    const territories: Territory[] = [];
    const accepted = networks.map((network) => {
      this.#judgeAddresses(network, territories);
      const routes = network.addressing.routes.filter((route) => {
        const whose = trespass(route, territories);
        if (whose !== undefined) network.refuse(`route to ${route.destination}/${route.prefixLength}`, whose);
        return whose === undefined;
      });
      territories.push(territoryOf(network, routes));
      return routes;
    });
    for (const [i, network] of networks.entries()) {
      const lost = astray(territories[i]!, territories.slice(i + 1));
      this.#set(network, [...accepted[i]!, ...lost.map((host) => ownRoute(host, network))]);
    }
    this.#order(networks.map(({ nic }) => nic));
  }

  #judgeAddresses(network: RankedNetwork, earlier: readonly Territory[]): void {
    const { offered4, offered6 } = network.addressing;
    if (offered4 !== undefined) {
      const { address, prefixLength } = offered4;
      const prefix = { destination: address, prefixLength };
      const host = isShared(prefix, earlier)
        ? impersonates(address, earlier)
        : trespass(alone(address), earlier);
      const whose = trespass(prefix, earlier, true);
      if (host !== undefined) network.refuse(`address ${address}`, host);
      else if (whose !== undefined) network.refuse(`prefix of ${address}/${prefixLength}`, whose);
      network.addressing.use4(host !== undefined ? "nothing" : whose !== undefined ? "address" : "prefix");
    }
    if (offered6 !== undefined) {
      const host = impersonates(offered6, earlier);
      if (host !== undefined) network.refuse(`address ${offered6}`, host);
      network.addressing.use6(host === undefined);
    }
  }

  #set(network: RankedNetwork, wanted: readonly NetworkRoute[]): void {
    const { routes } = this.#stack;
    const before = this.#routes.get(network) ?? [];
    const kept = before.filter(({ given }) => wanted.some((other) => isSame(given, other)));
    for (const one of before) if (!kept.includes(one)) routes.remove(one.route);
    const fresh = wanted.filter((given) => !kept.some((one) => isSame(one.given, given)));
    const added = fresh.map((given) => {
      const { destination, prefixLength, gateway } = given;
      const via = gateway.isUnspecified() ? {} : { gateway };
      return { given, route: routes.add({ destination, prefixLength, nic: network.nic, ...via }) };
    });
    this.#routes.set(network, [...kept, ...added]);
  }

  /** Of routes to one prefix the first counts: those that came with addresses are put in the order of the networks. */
  #order(nics: readonly Nic[]): void {
    const { routes } = this.#stack;
    for (let rank = nics.length - 1; rank >= 0; rank--) {
      const all = routes.all();
      for (const [i, route] of all.entries()) {
        if (route.nic !== nics[rank] || route.protocol !== "kernel") continue;
        const isBehind = all.slice(0, i).some((other) =>
          nics.indexOf(other.nic) > rank && isSamePrefix(other, route)
        );
        if (isBehind && routes.remove(route)) routes.add(route, true);
      }
    }
  }
}

function territoryOf({ nic, config, addressing }: RankedNetwork, routes: readonly Prefix[]): Territory {
  const linked = nic.addresses.filter(({ scope }) => scope === "global")
    .map(({ address, prefixLength }) => ({ destination: address, prefixLength }));
  const gateways = [addressing.gateway(4), addressing.gateway(6)].filter((one) => one !== undefined);
  return { name: config.name, prefixes: [...linked, ...routes], gateways, resolvers: addressing.dns };
}

/** By the network's gateway, unless it is that itself. */
function ownRoute(host: IpAddress, { addressing }: RankedNetwork): NetworkRoute {
  const gateway = addressing.gateway(host.family);
  const nobody = host.family === 4 ? ANY4 : ANY6;
  return { ...alone(host), gateway: gateway === undefined || gateway.equals(host) ? nobody : gateway };
}

function isSame(a: NetworkRoute, b: NetworkRoute): boolean {
  return isSamePrefix(a, b) && a.gateway.equals(b.gateway);
}

function isSamePrefix(a: Prefix, b: Prefix): boolean {
  return a.prefixLength === b.prefixLength && a.destination.equals(b.destination);
}
