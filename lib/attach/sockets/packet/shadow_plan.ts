/**
 * What the stage is to show of the guest's stack.
 *
 * @module
 */

import type { Stack } from "../../../stack/stack.ts";
import type { StageConfig, StageShadows, StageShadowState } from "../../stage/protocol.ts";

/** The interfaces of the stack, its loopback apart, which every namespace has. */
export function shadowsOf({ nics }: Stack, packets: boolean): StageShadows {
  const interfaces = nics
    .filter(({ kind }) => kind === "ether")
    .map(({ name, index, mac }) => ({ name, index, mac: mac.toString() }));
  return { interfaces, packets };
}

/** IPv6 takes no interface with less (RFC 8200 section 5). */
const IPV6_MIN_MTU = 1_280;

/**
 * As they are when the program starts: with MTU and the routes of IPv4, and the addresses of IPv6 where no packet socket can
 * be: see `stage/shadows.ts`.
 */
export function shadowDevices(stack: Stack, packets: boolean): StageShadowState[] {
  const routes = stack.routes.all().filter(({ destination }) => destination.family === 4);
  return stack.nics.filter(({ kind }) => kind === "ether").map((nic) => {
    const own = routes.filter((route) => route.nic === nic);
    return {
      name: nic.name,
      index: nic.index,
      mtu: nic.mtu,
      addresses: packets || nic.mtu < IPV6_MIN_MTU ? [] : nic.addresses
        .filter(({ address }) => address.family === 6)
        .map(({ address, prefixLength }) => ({ address: address.toString(), prefixLength })),
      gateways: own.filter(({ prefixLength }) => prefixLength === 0)
        .flatMap(({ gateway }) => gateway === undefined ? [] : [gateway.toString()]),
      routes: own.filter(({ prefixLength }) => prefixLength > 0)
        .map(({ destination, prefixLength, gateway }) => ({
          address: destination.toString(),
          prefixLength,
          ...(gateway === undefined ? {} : { gateway: gateway.toString() }),
        })),
    };
  });
}

/** The stage's configuration with shadows in it. */
export function withShadows(stageConfig: string, shadows: StageShadows | undefined): string {
  const config = JSON.parse(stageConfig) as StageConfig;
  if (shadows === undefined || config.sockets === undefined) return stageConfig;
  return JSON.stringify({ ...config, sockets: { ...config.sockets, shadows } });
}
