/**
 * Addresses as `ip -j addr` prints them.
 *
 * @module
 */

import type { AddressFacts, NicFacts } from "../../engine/messages.ts";
import { type LinkJson, linkJson } from "./link.ts";
import { sameNetwork } from "./order.ts";

/** One element of `addr_info`. */
export interface AddressInfoJson {
  readonly family: "inet" | "inet6";
  readonly local: string;
  readonly prefixlen: number;
  readonly broadcast?: string;
  readonly scope: AddressFacts["scope"];
  /** IPv4 only: an earlier address of the interface is in the same network. */
  readonly secondary?: true;
  /** IPv4 only. */
  readonly label?: string;
  readonly valid_life_time: number;
  readonly preferred_life_time: number;
}

/** One element of `ip -j addr`. What a family filter removes is absent, as with `ip -4` and `ip -6`. */
export type AddressJson =
  & Pick<LinkJson, "ifindex" | "ifname" | "flags" | "mtu" | "operstate" | "txqlen">
  & Partial<Pick<LinkJson, "qdisc" | "group" | "link_type" | "address" | "broadcast">>
  & { readonly addr_info: readonly AddressInfoJson[] };

/** `INFINITY_LIFE_TIME` of the kernel's headers: an address that was not leased. */
export const FOREVER = 4294967295;

/** The interfaces of `ip -j addr`, or of `ip -4 -j addr` and `ip -6 -j addr` if `family` is given. */
export function addressesJson(nics: readonly NicFacts[], family?: 4 | 6): AddressJson[] {
  const all = nics.map((nic) => addressJson(nic, family));
  // iproute2 leaves out the interfaces that have nothing of the family asked for.
  return family === undefined ? all : all.filter((entry) => entry.addr_info.length > 0);
}

function addressJson(nic: NicFacts, family: 4 | 6 | undefined): AddressJson {
  const link = linkJson(nic);
  return {
    ifindex: link.ifindex,
    ifname: link.ifname,
    flags: link.flags,
    mtu: link.mtu,
    // `ip -6 addr` asks for AF_INET6 links (RTM_GETLINK answers without qdisc and group), `ip -4 addr` for all of them.
    ...(family === 6 ? {} : { qdisc: link.qdisc }),
    operstate: link.operstate,
    ...(family === 6 ? {} : { group: link.group }),
    txqlen: link.txqlen,
    ...(family === undefined
      ? { link_type: link.link_type, address: link.address, broadcast: link.broadcast }
      : {}),
    addr_info: infos(nic, family),
  };
}

function infos(nic: NicFacts, family: 4 | 6 | undefined): AddressInfoJson[] {
  const v4 = nic.addresses.filter((address) => address.family === 4);
  const isSecondary = (address: AddressFacts, at: number) =>
    v4.slice(0, at).some(({ local, prefixLength }) =>
      prefixLength === address.prefixLength && sameNetwork(local, address.local, prefixLength)
    );
  const primary = v4.filter((address, at) => !isSecondary(address, at));
  const secondary = v4.filter(isSecondary);
  const v6 = nic.addresses.filter((address) => address.family === 6);
  // The order of the kernel's dump; within each group it is the stack's.
  return [
    ...(family === 6 ? [] : primary.map((address) => infoV4(address, nic.name, false))),
    ...(family === 6 ? [] : secondary.map((address) => infoV4(address, nic.name, true))),
    ...(family === 4 ? [] : v6.map(infoV6)),
  ];
}

function infoV4(address: AddressFacts, label: string, secondary: boolean): AddressInfoJson {
  return {
    family: "inet",
    local: address.local,
    prefixlen: address.prefixLength,
    ...(address.broadcast === undefined ? {} : { broadcast: address.broadcast }),
    scope: address.scope,
    ...(secondary ? { secondary } : {}),
    label,
    valid_life_time: FOREVER,
    preferred_life_time: FOREVER,
  };
}

function infoV6({ local, prefixLength, scope }: AddressFacts): AddressInfoJson {
  return {
    family: "inet6",
    local,
    prefixlen: prefixLength,
    scope,
    valid_life_time: FOREVER,
    preferred_life_time: FOREVER,
  };
}
