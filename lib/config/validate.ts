/**
 * What must hold between flags. Runs once, after every source has been applied, so that the order in which flags and
 * annotations are given never matters.
 *
 * @module
 */

import { contains, formatCidr, networkAddress, whyUnfit } from "./cidr.ts";
import { MAX_EXTERNAL_NETWORKS } from "./external_network.ts";
import type { FlagName } from "./flag_table.ts";
import type { Origin, Problem } from "./origin.ts";
import { findClash, formatPublish, MAX_PUBLISHED } from "./publish.ts";
import type { Settings } from "./settings.ts";
import { IpAddress } from "../stack/wire/address.ts";

/** As in gVisor: the bucket's depth is a 32-bit number. */
export const MAX_BURST = 4294967295n;
/** RFC 8200 section 5: a link that carries IPv6 carries 1280 bytes, and the interface always has an IPv6 address. */
export const MIN_MTU = 1280n;
/** What a TAP device carries: 65535 bytes less the Ethernet header. */
export const MAX_MTU = 65521n;

/** Seconds: as patient as anybody could want to be. */
export const MAX_ADDRESS_WAIT = 3_600n;

/** Numbers before they are rounded to what a number holds, for exact messages. */
export interface Exact {
  readonly rate: bigint;
  readonly burst: bigint;
  readonly mtu: bigint;
  readonly addressWait: bigint;
}

/** Every problem, in the order of the flags. `originOf` names who set a flag. */
export function validate(
  settings: Settings,
  exact: Exact,
  originOf: (flag: FlagName) => Origin,
): readonly Problem[] {
  const problems: Problem[] = [];
  const report = (flag: FlagName, message: string, hint?: string, cause: FlagName = flag) => {
    // Nobody set the flag that does not fit: the one it does not fit with is to blame.
    const blamed = originOf(flag).kind === "default" ? cause : flag;
    problems.push({ message, ...(hint === undefined ? {} : { hint }), origin: originOf(blamed) });
  };

  if (exact.burst > MAX_BURST) {
    report("qdisc-tbf-burst", `qdisc-tbf-burst must be <= ${MAX_BURST}, got: ${exact.burst}`);
  }
  if (settings.qdisc === "tbf") {
    if (exact.rate === 0n) report("qdisc", "qdisc=tbf requires setting qdisc-tbf-rate", "bytes per second");
    if (exact.burst === 0n) report("qdisc", "qdisc=tbf requires setting qdisc-tbf-burst", "bytes");
  }
  if (settings.network === "sandbox" && settings.attach !== "sockets") {
    report(
      "attach",
      `attach=${settings.attach} cannot be used with network=sandbox, which needs attach=sockets`,
      "leave --attach away",
    );
  }
  if (exact.mtu < MIN_MTU || exact.mtu > MAX_MTU) {
    report("mtu", `mtu must be from ${MIN_MTU} to ${MAX_MTU}, got: ${exact.mtu}`);
  }

  const interfaces = [
    { address: "address", gateway: "gateway", cidr: settings.address, router: settings.gateway },
    { address: "address6", gateway: "gateway6", cidr: settings.address6, router: settings.gateway6 },
  ] as const;
  for (const { address, gateway, cidr, router } of interfaces) {
    const unfit = whyUnfit(cidr, cidr.address);
    if (unfit !== undefined) {
      report(address, `${address}=${formatCidr(cidr)} cannot be the guest's address: ${unfit}`);
      continue;
    }
    const why = !contains(cidr, router)
      ? `it is outside ${formatCidr({ ...cidr, address: networkAddress(cidr) })}`
      : router.equals(cidr.address)
      ? "it is the guest's own address"
      : whyUnfit(cidr, router);
    if (why !== undefined) {
      report(
        gateway,
        `${gateway}=${router} cannot be the guest's router: ${why}`,
        `set --${address} and --${gateway}`,
        address,
      );
    }
  }
  const why = whyNoNameServer(settings);
  // One that follows the address is as wrong as the address, of which all has been said.
  if (why !== undefined && originOf("dns").kind !== "derived") {
    report("dns", `dns=${settings.dns} cannot be a name server: ${why}`);
  }

  if (settings.network === "tsi" && settings.attach === "tap") {
    report(
      "attach",
      "attach=tap cannot be used with network=tsi",
      "its sockets are impersonated: --attach=sockets",
    );
  }
  for (const flag of ["publish-all", "tsi-handoff"] as const) {
    const set = flag === "publish-all" ? settings.publishAll : settings.tsiHandoff;
    if (set && settings.network !== "tsi") {
      report(flag, `${flag} means nothing with network=${settings.network}`, "it belongs to --network=tsi");
    }
  }

  if (settings.runtime !== undefined && settings.config.length === 0) {
    report(
      "runtime",
      `runtime=${settings.runtime} is looked for in Docker's daemon.json, and no file is named`,
      "--config /etc/docker/daemon.json",
    );
  }

  if (settings.publish.length > MAX_PUBLISHED) {
    report("publish", `cannot publish ${settings.publish.length} ports: the limit is ${MAX_PUBLISHED}`);
  }
  const clash = findClash(settings.publish);
  if (clash !== undefined) {
    const [a, b] = clash;
    report("publish", `cannot publish ${formatPublish(b)}: the host port is taken by ${formatPublish(a)}`);
  }

  if (exact.addressWait < 1n || exact.addressWait > MAX_ADDRESS_WAIT) {
    report("address-wait", `address-wait must be from 1 to ${MAX_ADDRESS_WAIT}, got: ${exact.addressWait}`);
  }
  const { networks } = settings;
  if (networks.length > 0 && settings.publish.length > 0) {
    report(
      "publish",
      "cannot publish a port on an external network",
      "ports there are its provider's to publish",
      "external-network",
    );
  }
  if (networks.length > MAX_EXTERNAL_NETWORKS) {
    report(
      "external-network",
      `cannot join ${networks.length} external networks: the limit is ${MAX_EXTERNAL_NETWORKS}`,
    );
  }
  for (const [i, network] of networks.entries()) {
    const twin = networks.slice(0, i).find(({ name, mac }) => name === network.name || mac === network.mac);
    if (twin === undefined) continue;
    const what = twin.name === network.name ? `name ${JSON.stringify(twin.name)}` : `MAC address ${twin.mac}`;
    report("external-network", `two external networks have the ${what}`, "each needs its own");
  }

  const { api } = settings;
  if (api.kind === "tcp" && !settings.apiAllowRemote && !isLoopbackHost(api.host)) {
    report("api", `api=${api.host}:${api.port} is not a loopback address`, "--api-allow-remote permits it");
  }
  if (settings.apiTokenFile !== undefined && api.kind !== "tcp") {
    report(
      "api-token-file",
      `api-token-file has no meaning with api=${api.kind}`,
      "only --api=HOST:PORT takes a token",
    );
  }
  return problems;
}

function whyNoNameServer({ dns, address, address6 }: Settings): string | undefined {
  if (dns.isUnspecified() || dns.isMulticast() || dns.isLoopback() || dns.isLimitedBroadcast()) {
    return "it is not a unicast address";
  }
  return dns.equals(address.address) || dns.equals(address6.address)
    ? "it is the guest's own address"
    : undefined;
}

function isLoopbackHost(host: string): boolean {
  return host === "localhost" || IpAddress.parse(host)?.isLoopback() === true;
}
