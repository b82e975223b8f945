/**
 * What gvproxy does beside carrying frames, as its flags, its defaults or its configuration file ask for it.
 *
 * @module
 */

import type { Publish } from "../config/publish.ts";
import {
  type ChosenAddresses,
  gvproxyDefaults,
  parseSshPort,
  parseVpnkitMac,
  type ServedNetwork,
  type StaticLease,
} from "../config/serve.ts";
import type { ZoneFacts } from "../engine/messages.ts";
import { type FlagValues, UsageFailure } from "./command.ts";

/** It, for a network. */
export interface GvproxySide {
  readonly leases: readonly StaticLease[];
  readonly zones: readonly ZoneFacts[];
  /** Beside those of `--publish`. */
  readonly publish: readonly Publish[];
  /** Hardware addresses of HyperKit's machines, by UUID in lower case. */
  readonly vpnkitMacs: Readonly<Record<string, string>>;
  /** Absent: the host's own. */
  readonly searchDomains?: readonly string[];
  /** Absent: gvproxy's. */
  readonly gatewayMac?: string;
}

/** The socket of who wants to be told; undefined: nobody. */
export function notified(flags: FlagValues): string | undefined {
  const url = flags.get("notification");
  if (url === undefined || url.startsWith("unix:///")) return url?.slice("unix://".length);
  throw new UsageFailure("notification listen address must be unix:// address");
}

/** The file that is gvproxy's configuration; undefined: there is none. */
export function gvproxyFile(flags: FlagValues): string | undefined {
  return flags.get("gvproxy");
}

/** The addresses that are named one by one. */
export function chosenAddresses(flags: FlagValues): ChosenAddresses {
  return {
    gateway: flags.get("gatewayIP"),
    device: flags.get("deviceIP"),
    host: flags.get("nat") ?? flags.get("hostIP"),
  };
}

/** Throws a {@linkcode UsageFailure} for what cannot be. */
export function gvproxySide(flags: FlagValues, network: ServedNetwork, isGvproxy: boolean): GvproxySide {
  const sshPort = parseSshPort(flags.get("ssh-port"));
  if (typeof sshPort === "string") throw new UsageFailure(sshPort);
  const own = { vpnkitMacs: Object.fromEntries(flags.all("vpnkit-mac").map(vpnkitMac)) };
  if (gvproxyFile(flags) === undefined) {
    return isGvproxy ? gvproxyDefaults(network, sshPort) : { ...own, leases: [], zones: [], publish: [] };
  }
  const foreign = flags.all("virtual-ip").find((ip) =>
    ip !== `${network.host}` && ip !== `${network.gateway}`
  );
  if (foreign !== undefined) {
    throw new UsageFailure(
      `Cannot answer ARP for ${foreign}: gatewayVirtualIPs may name the host's address only`,
    );
  }
  const gatewayMac = flags.get("gateway-mac");
  return {
    ...own,
    leases: [],
    zones: flags.all("zone").map((text) => JSON.parse(text) as ZoneFacts),
    publish: [],
    searchDomains: flags.all("search"),
    ...(gatewayMac === undefined ? {} : { gatewayMac }),
  };
}

function vpnkitMac(text: string): readonly [string, string] {
  const parsed = parseVpnkitMac(text);
  if (typeof parsed === "string") throw new UsageFailure(`wrong usage: vpnKitUUIDMacAddresses: ${parsed}`);
  return parsed;
}
